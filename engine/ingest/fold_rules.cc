#include "engine/ingest/fold_rules.h"

#include <algorithm>
#include <array>

namespace basalt::ingest {
namespace {

using storage::MetricType;

constexpr std::array<std::string_view, 4> kCounterSuffixes = {"_total", "_count", "_sum",
                                                              "_bucket"};
// One wild series must not make the rules remember a thousand label names.
constexpr size_t kMaxLabelsOfMetric = 128;

bool MayGo(std::string_view name) { return name != kMetricName && name != "job" && name != "le"; }

std::string_view MetricOf(std::span<const LabelView> labels) {
  for (const LabelView& label : labels) {
    if (label.name == kMetricName) return label.value;
  }
  return {};
}

// What a family's type says of its series that ends in `suffix`.
std::optional<bool> IsCounterOfFamily(MetricType family, std::string_view suffix) {
  switch (family) {
    case MetricType::kCounter:
      return suffix == "_total";
    case MetricType::kHistogram:
      return suffix != "_total";
    case MetricType::kSummary:
      return suffix == "_count" || suffix == "_sum";
    case MetricType::kUnknown:
      return std::nullopt;
    default:
      return false;
  }
}

bool LooksLikeCounter(std::string_view metric, const FoldKnowledge& knowledge) {
  if (const auto type = knowledge.TypeOf(metric);
      type.has_value() && *type != MetricType::kUnknown) {
    return *type == MetricType::kCounter;
  }
  for (const std::string_view suffix : kCounterSuffixes) {
    if (!metric.ends_with(suffix)) continue;
    const auto family = knowledge.TypeOf(metric.substr(0, metric.size() - suffix.size()));
    if (!family.has_value()) return true;
    return IsCounterOfFamily(*family, suffix).value_or(true);
  }
  return false;
}

}  // namespace

bool FoldRules::IsCounter(std::string_view name, std::chrono::nanoseconds now,
                          const FoldKnowledge& knowledge) {
  const auto found = metrics_.find(std::string(name));
  if (found != metrics_.end() &&
      (found->second.is_counter ||
       now - found->second.looked < std::chrono::nanoseconds(kLookAgain))) {
    return found->second.is_counter;
  }
  if (found == metrics_.end() && metrics_.size() >= kMaxMetrics) return false;
  Metric& metric = metrics_[std::string(name)];
  metric.looked = now;
  metric.is_counter = LooksLikeCounter(name, knowledge);
  return metric.is_counter;
}

void FoldRules::Learn(std::span<const LabelView> labels, const FoldKnowledge& knowledge) {
  const std::string_view name = MetricOf(labels);
  Metric& metric = metrics_[std::string(name)];
  if (!metric.has_knowledge) {
    metric.has_knowledge = true;
    for (const auto& [label, count] : knowledge.DistinctValues(name)) {
      if (!MayGo(label)) continue;
      LabelUse& use = metric.labels[label];
      use.stored = count;
      if (count > kKeptValues) continue;
      for (const std::string& value : knowledge.Values(name, label, kKeptValues))
        use.values.insert(HashBytes64(value));
    }
  }
  for (const LabelView& label : labels) {
    if (!MayGo(label.name)) continue;
    auto use = metric.labels.find(label.name);
    if (use == metric.labels.end()) {
      if (metric.labels.size() >= kMaxLabelsOfMetric) continue;
      use = metric.labels.try_emplace(std::string(label.name)).first;
    }
    if (use->second.values.size() <= kKeptValues)
      use->second.values.insert(HashBytes64(label.value));
  }
}

bool FoldRules::Goes(const Metric& metric, std::string_view name) {
  if (!MayGo(name)) return false;
  if (metric.all_go || name == metric.most) return true;
  const auto use = metric.labels.find(name);
  // One beyond kMaxLabelsOfMetric is not told from an explosion.
  return use == metric.labels.end() || use->second.distinct() > kKeptValues;
}

std::string FoldRules::Replace(const Metric& metric, std::span<const LabelView> labels) {
  std::vector<LabelView> folded(labels.begin(), labels.end());
  for (LabelView& label : folded) {
    if (Goes(metric, label.name)) label.value = kOtherValue;
  }
  std::string canonical;
  AppendCanonical(folded, canonical);
  return canonical;
}

std::optional<std::string> FoldRules::Fold(std::span<const LabelView> labels,
                                           const std::function<bool(std::string_view)>& is_group) {
  Metric& metric = metrics_[std::string(MetricOf(labels))];
  if (metric.most.empty()) {
    // Of equal counts the first by name, so that the same series fold alike everywhere.
    uint64_t most = 0;
    for (const auto& [name, use] : metric.labels) {
      if (use.distinct() <= most) continue;
      most = use.distinct();
      metric.most = name;
    }
  }
  std::string before;
  AppendCanonical(std::vector<LabelView>(labels.begin(), labels.end()), before);
  std::string canonical = Replace(metric, labels);
  if (!is_group(canonical) && metric.groups >= kMaxGroups && !metric.all_go) {
    metric.all_go = true;
    metric.groups = 0;  // what is left to tell apart is job and le
    canonical = Replace(metric, labels);
  }
  if (canonical == before) return std::nullopt;
  if (is_group(canonical)) return canonical;
  if (metric.groups >= kMaxGroups) return std::nullopt;
  ++metric.groups;
  return canonical;
}

}  // namespace basalt::ingest
