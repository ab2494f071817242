#include "tests/query/script/classic_to_native.h"

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "query/promql/text.h"

namespace basalt::query::script {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// What is known of one histogram at one time.
struct Collected {
  std::map<double, double> cumulative;  // by upper bound
  std::optional<double> count;
  double sum = 0;
};

enum class Part : uint8_t { kNone, kBucket, kCount, kSum };

Part PartOf(std::string_view metric, std::string& base) {
  for (const auto& [suffix, part] : {std::pair<std::string_view, Part>{"_bucket", Part::kBucket},
                                     {"_count", Part::kCount},
                                     {"_sum", Part::kSum}}) {
    if (!metric.ends_with(suffix)) continue;
    base = metric.substr(0, metric.size() - suffix.size());
    return part;
  }
  return Part::kNone;
}

std::optional<double> UpperBound(const Labels& labels) {
  std::string_view le = labels.Get("le");
  const bool negative = le.starts_with('-');
  if (negative || le.starts_with('+')) le.remove_prefix(1);
  const Result<double> bound = promql::ParseNumber(le);
  if (!bound.ok() || std::isnan(*bound)) return std::nullopt;
  return negative ? -*bound : *bound;
}

Result<HistogramPtr> Convert(Collected collected) {
  auto& cumulative = collected.cumulative;
  if (!collected.count) collected.count = cumulative.empty() ? 0 : cumulative.rbegin()->second;
  cumulative.emplace(kInf, *collected.count);
  FloatHistogram h;
  h.schema = kCustomBucketsSchema;
  h.count = *collected.count;
  h.sum = collected.sum;
  double below = 0;
  for (const auto& [bound, count] : cumulative) {
    if (count < below) return InvalidArgument("a classic histogram is not cumulative");
    h.positive_buckets.push_back(count - below);
    if (bound != kInf) h.custom_values.push_back(bound);
    below = count;
  }
  if (below != h.count)
    return InvalidArgument("a classic histogram's count is not that of its last bucket");
  h.positive_spans = {{0, static_cast<uint32_t>(h.positive_buckets.size())}};
  return HistogramPtr(std::make_shared<const FloatHistogram>(std::move(h)));
}

}  // namespace

Result<std::vector<LoadedSeries>> ClassicToNative(const Load& load) {
  std::map<Labels, std::map<size_t, Collected>>
      histograms;  // by labels without le, then by interval
  for (const LoadedSeries& series : load.series) {
    std::string base;
    const Part part = PartOf(series.labels.metric_name(), base);
    const std::optional<double> bound = UpperBound(series.labels);
    if (part == Part::kNone || (part == Part::kBucket && !bound)) continue;
    Labels labels = series.labels;
    labels.Set(kMetricName, base);
    labels.Remove("le");
    for (size_t i = 0; i < series.values.size(); ++i) {
      const SequenceValue& value = series.values[i];
      if (value.omitted || value.histogram) continue;
      Collected& at = histograms[labels][i];
      if (part == Part::kBucket) at.cumulative.emplace(*bound, value.value);
      if (part == Part::kCount) at.count = value.value;
      if (part == Part::kSum) at.sum = value.value;
    }
  }
  std::vector<LoadedSeries> out;
  for (auto& [labels, by_interval] : histograms) {
    SequenceValue gap;
    gap.omitted = true;
    LoadedSeries series{
        labels, std::vector<SequenceValue>(by_interval.rbegin()->first + 1, gap), {}};
    for (auto& [i, collected] : by_interval) {
      BASALT_TRY_ASSIGN(series.values[i].histogram, Convert(std::move(collected)));
      series.values[i].omitted = false;
    }
    out.push_back(std::move(series));
  }
  return out;
}

}  // namespace basalt::query::script
