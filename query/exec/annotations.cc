#include "query/exec/annotations.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "engine/base/labels.h"
#include "query/number_format.h"
#include "query/promql/parser.h"

namespace basalt::query::exec {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  AppendQuoted(text, out);
  return out;
}

// " for metric name "x"", or nothing.
std::string ForMetric(std::string_view metric) {
  return metric.empty() ? std::string() : " for metric name " + Quoted(metric);
}

std::string Rfc3339(int64_t time_ms) {
  const std::time_t seconds = time_ms / 1000;  // toward zero, as upstream shows it
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char buffer[40];
  std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return buffer;
}

}  // namespace

Annotations::Entry& Annotations::Add(bool warning, std::string_view text, Pos pos) {
  const auto [it, added] = by_text_.try_emplace(text, list_.size());
  if (added) {
    list_.push_back(
        {.warning = warning, .text = std::string(text), .pos = pos, .monotonicity = {}});
  } else {
    list_[it->second].pos = pos;
  }
  return list_[it->second];
}

void Annotations::Merge(const Annotations& other) {
  for (const Entry& theirs : other.list_) {
    Entry& ours = Add(theirs.warning, theirs.text, theirs.pos);
    ours.overlaps += theirs.overlaps;
    if (!theirs.monotonicity.has_value()) continue;
    if (!ours.monotonicity.has_value()) {
      ours.monotonicity = theirs.monotonicity;
      continue;
    }
    Monotonicity& a = *ours.monotonicity;
    const Monotonicity& b = *theirs.monotonicity;
    a = {std::min(a.first_ms, b.first_ms),     std::max(a.last_ms, b.last_ms),
         std::min(a.min_bucket, b.min_bucket), std::max(a.max_bucket, b.max_bucket),
         std::max(a.max_diff, b.max_diff),     a.samples + b.samples};
  }
}

void Annotations::Render(std::string_view query, std::vector<std::string>& warnings,
                         std::vector<std::string>& infos) const {
  for (const Entry& e : list_) {
    std::string text = (e.warning ? "PromQL warning: " : "PromQL info: ") + e.text;
    if (e.monotonicity.has_value()) {
      const Monotonicity& m = *e.monotonicity;
      char diff[40];
      std::snprintf(diff, sizeof diff, "%.2g", m.max_diff);
      text += ", from buckets " + FormatShort(m.min_bucket) + " to " + FormatShort(m.max_bucket) +
              ", with a max diff of " + diff + ", over " + std::to_string(m.samples) +
              " samples from " + Rfc3339(m.first_ms) + " to " + Rfc3339(m.last_ms);
    }
    if (e.overlaps > 1) text += " (" + std::to_string(e.overlaps) + " occurrences)";
    text += " (" + promql::LineAndColumn(e.pos.start, query) + ")";
    (e.warning ? warnings : infos).push_back(std::move(text));
  }
}

void Annotations::InvalidQuantile(double q, Pos pos) {
  Warn("quantile value should be between 0 and 1, got " + FormatShort(q), pos);
}
void Annotations::InvalidRatio(double ratio, double capped, Pos pos) {
  Warn("ratio value should be between -1 and 1, got " + FormatShort(ratio) + ", capping to " +
           FormatShort(capped),
       pos);
}
void Annotations::BadBucketLabel(std::string_view metric, std::string_view label, Pos pos) {
  Warn("bucket label \"le\" is missing or has a malformed value of " + Quoted(label) +
           ForMetric(metric),
       pos);
}
void Annotations::MixedFloatsHistograms(std::string_view metric, Pos pos) {
  Warn("encountered a mix of histograms and floats for metric name " + Quoted(metric), pos);
}
void Annotations::MixedFloatsHistogramsInAggregation(Pos pos) {
  Warn("encountered a mix of histograms and floats for aggregation", pos);
}
void Annotations::MixedClassicNative(std::string_view metric, Pos pos) {
  Warn("vector contains a mix of classic and native histograms" + ForMetric(metric), pos);
}
void Annotations::NotCounterHistogram(std::string_view metric, Pos pos) {
  Warn("this native histogram metric is not a counter: " + Quoted(metric), pos);
}
void Annotations::NotGaugeHistogram(std::string_view metric, Pos pos) {
  Warn("this native histogram metric is not a gauge: " + Quoted(metric), pos);
}
void Annotations::MixedExponentialCustom(std::string_view metric, Pos pos) {
  Warn(
      "vector contains a mix of histograms with exponential and custom buckets schemas for metric "
      "name " +
          Quoted(metric),
      pos);
}
void Annotations::PossibleNonCounter(std::string_view metric, Pos pos) {
  Info("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " +
           Quoted(metric),
       pos);
}
void Annotations::IncompatibleTypes(std::string_view lhs, std::string_view op, std::string_view rhs,
                                    Pos pos) {
  std::string text =
      "incompatible sample types encountered for binary operator " + Quoted(op) + ": ";
  text.append(lhs).append(" ").append(op).append(" ").append(rhs);
  Info(text, pos);
}
void Annotations::IncompatibleBuckets(std::string_view op, Pos pos) {
  Warn("incompatible bucket layout encountered for binary operator " + std::string(op), pos);
}
void Annotations::HistogramIgnoredInAggregation(std::string_view aggregation, Pos pos) {
  Info("ignored histogram in " + std::string(aggregation) + " aggregation", pos);
}
void Annotations::HistogramIgnoredInMixedRange(std::string_view metric, Pos pos) {
  Info("ignored histograms in a range containing both floats and histograms for metric name " +
           Quoted(metric),
       pos);
}
void Annotations::QuantileNaNResult(std::string_view metric, Pos pos) {
  Info("input to histogram_quantile has NaN observations, result is NaN" + ForMetric(metric), pos);
}
void Annotations::QuantileNaNSkew(std::string_view metric, Pos pos) {
  Info("input to histogram_quantile has NaN observations, result is skewed higher" +
           ForMetric(metric),
       pos);
}
void Annotations::FractionNaNs(std::string_view metric, Pos pos) {
  Info("input to histogram_fraction has NaN observations, which are excluded from all fractions" +
           ForMetric(metric),
       pos);
}
void Annotations::CounterResetCollision(std::string_view operation, Pos pos) {
  Warn("conflicting counter resets during histogram " + std::string(operation), pos);
}
void Annotations::MismatchedCustomBuckets(std::string_view operation, Pos pos) {
  Info("mismatched custom buckets were reconciled during " + std::string(operation), pos);
}
void Annotations::SortInRangeQuery(Pos pos) {
  Warn("sort is ineffective for range queries since results are always ordered by labels", pos);
}
void Annotations::StartTimeOverlap(std::string_view metric, Pos pos) {
  Entry& entry =
      Add(true,
          "sample has start time that overlaps with previous sample timestamp for metric " +
              Quoted(metric),
          pos);
  ++entry.overlaps;
}
void Annotations::ForcedMonotonicity(std::string_view metric, Pos pos, int64_t time_ms,
                                     double min_bucket, double max_bucket, double max_diff) {
  Annotations one;
  Entry& entry = one.Add(
      false,
      "input to histogram_quantile needed to be fixed for monotonicity (see "
      "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)" +
          ForMetric(metric),
      pos);
  entry.monotonicity = Monotonicity{time_ms, time_ms, min_bucket, max_bucket, max_diff, 1};
  Merge(one);
}

}  // namespace basalt::query::exec
