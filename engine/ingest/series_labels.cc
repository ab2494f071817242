#include "engine/ingest/series_labels.h"

#include <algorithm>
#include <utility>

namespace basalt::ingest {
namespace {

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 80;  // an error message is no place for 16 KiB
  std::string out;
  AppendQuoted(text.substr(0, kShown), out);
  if (text.size() > kShown) out += "...";
  return out;
}

bool ByName(const LabelView& a, const LabelView& b) { return a.name < b.name; }

Status SortOrReject(const Limits& limits, std::vector<LabelView>& labels) {
  if (std::is_sorted(labels.begin(), labels.end(), ByName)) return OkStatus();
  if (limits.unsorted_labels == UnsortedLabels::kSort) {
    std::stable_sort(labels.begin(), labels.end(), ByName);
    return OkStatus();
  }
  const auto at = std::is_sorted_until(labels.begin(), labels.end(), ByName);
  return InvalidArgument("not sorted by name: " + Quoted(at->name) + " comes after " +
                         Quoted((at - 1)->name));
}

Status CheckTexts(const std::vector<LabelView>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    const LabelView& label = labels[i];
    if (label.name.empty())
      return InvalidArgument("label " + std::to_string(i) + " has an empty name");
    if (!IsValidUtf8(label.name))
      return InvalidArgument("label " + std::to_string(i) + ": its name is not UTF-8");
    if (!IsValidUtf8(label.value))
      return InvalidArgument("label " + Quoted(label.name) + ": its value is not UTF-8");
    if (i > 0 && labels[i - 1].name == label.name) {
      return InvalidArgument("label " + Quoted(label.name) + " is there twice");
    }
  }
  return OkStatus();
}

Status CheckLimits(const Limits& limits, const std::vector<LabelView>& labels) {
  if (labels.size() > limits.max_labels) {
    return InvalidArgument(std::to_string(labels.size()) + " labels, the limit is " +
                           std::to_string(limits.max_labels));
  }
  for (const LabelView& label : labels) {
    if (label.name.size() > limits.max_label_name_bytes) {
      return InvalidArgument("label " + Quoted(label.name) + ": its name has " +
                             std::to_string(label.name.size()) + " bytes, the limit is " +
                             std::to_string(limits.max_label_name_bytes));
    }
    if (label.value.size() > limits.max_label_value_bytes) {
      return InvalidArgument("label " + Quoted(label.name) + ": its value has " +
                             std::to_string(label.value.size()) + " bytes, the limit is " +
                             std::to_string(limits.max_label_value_bytes));
    }
  }
  return OkStatus();
}

}  // namespace

Status NormalizeSeriesLabels(const Limits& limits, std::vector<LabelView>& labels, Reason& reason) {
  reason = Reason::kLabels;
  BASALT_TRY(SortOrReject(limits, labels));
  BASALT_TRY(CheckTexts(labels));
  std::erase_if(labels, [](const LabelView& label) { return label.value.empty(); });
  const bool named = std::any_of(labels.begin(), labels.end(),
                                 [](const LabelView& label) { return label.name == kMetricName; });
  if (!named) return InvalidArgument("no metric name: label \"__name__\" is missing or empty");
  reason = Reason::kLabelLimits;
  return CheckLimits(limits, labels);
}

void DropReplica(const HaLabels& ha, std::vector<LabelView>& labels) {
  if (ha.cluster.empty()) return;
  const bool has_cluster = std::any_of(labels.begin(), labels.end(), [&](const LabelView& label) {
    return label.name == ha.cluster;
  });
  if (!has_cluster) return;
  std::erase_if(labels, [&](const LabelView& label) { return label.name == ha.replica; });
}

Status NormalizeExemplarLabels(const Limits& limits, std::vector<LabelView>& labels) {
  // OpenMetrics does not order an exemplar's labels, so nobody is refused for it.
  std::stable_sort(labels.begin(), labels.end(), ByName);
  BASALT_TRY(CheckTexts(labels));
  std::erase_if(labels, [](const LabelView& label) { return label.value.empty(); });
  size_t bytes = 0;
  for (const LabelView& label : labels) bytes += label.name.size() + label.value.size();
  if (bytes > limits.max_exemplar_label_bytes) {
    return InvalidArgument("its labels have " + std::to_string(bytes) + " bytes, the limit is " +
                           std::to_string(limits.max_exemplar_label_bytes));
  }
  return OkStatus();
}

Hash128 CanonicalFingerprint(std::string_view canonical) {
  constexpr uint64_t kSeed = 0x62617361'6c740001;
  return HashBytes128(canonical, kSeed);
}

Status CheckMetadata(const Limits& limits, const storage::MetadataEntry& entry) {
  if (entry.metric.empty()) return InvalidArgument("metric_family_name: empty");
  if (entry.metric.size() > limits.max_label_value_bytes)
    return InvalidArgument("metric_family_name: too long");
  for (const auto& [name, text] :
       {std::pair{"metric_family_name", &entry.metric}, std::pair{"unit", &entry.unit},
        std::pair{"help", &entry.help}}) {
    if (!IsValidUtf8(*text)) return InvalidArgument(std::string(name) + ": not UTF-8");
  }
  for (const auto& [name, text] :
       {std::pair{"unit", &entry.unit}, std::pair{"help", &entry.help}}) {
    if (text->size() > limits.max_metadata_text_bytes) {
      return InvalidArgument(std::string(name) + ": " + std::to_string(text->size()) +
                             " bytes, the limit is " +
                             std::to_string(limits.max_metadata_text_bytes));
    }
  }
  return OkStatus();
}

}  // namespace basalt::ingest
