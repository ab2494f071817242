// Identity and placement of a series: the free functions of storage/resolver.h. Frozen: their
// values are on disk and decide which partition, and later which machine, keeps a series.
#include <array>
#include <bit>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/resolver.h"

namespace basalt::storage {

namespace {

// What tells the targets of a job apart, best first; the first one present is taken.
constexpr std::array<std::string_view, 5> kInstanceLabels = {
    "instance", "pod", "host", "exported_instance", "service_instance_id"};

const LabelView* FindLabel(std::span<const LabelView> sorted, std::string_view name) {
  for (const LabelView& label : sorted) {
    if (label.name == name) return &label;
  }
  return nullptr;
}

void AppendTwo(const LabelView& a, const LabelView& b, std::string& out) {
  AppendCanonical(a.name < b.name ? std::vector<LabelView>{a, b} : std::vector<LabelView>{b, a},
                  out);
}

}  // namespace

SeriesId MakeSeriesId(TenantId tenant, std::string_view canonical_labels) {
  // The tenant goes in as the seed: no copy of the labels is needed to put it before them.
  return {HashBytes128(canonical_labels, static_cast<uint64_t>(tenant))};
}

void AppendPlacementKey(std::span<const LabelView> sorted, std::string& out) {
  if (const LabelView* job = FindLabel(sorted, "job"); job != nullptr) {
    for (const std::string_view name : kInstanceLabels) {
      if (const LabelView* instance = FindLabel(sorted, name); instance != nullptr) {
        return AppendTwo(*job, *instance, out);
      }
    }
  }
  std::vector<LabelView> rest;
  rest.reserve(sorted.size());
  for (const LabelView& label : sorted) {
    if (label.name != kMetricName && label.name != "le" && label.name != "quantile") {
      rest.push_back(label);
    }
  }
  AppendCanonical(rest, out);
}

PartitionId PlacementPartition(TenantId tenant, std::span<const LabelView> sorted,
                               uint32_t partition_count) {
  BASALT_CHECK(std::has_single_bit(partition_count) && partition_count <= 65'536,
               "partition count is not a power of two in 1..65536");
  if (partition_count == 1) return PartitionId{0};
  std::string key;
  AppendPlacementKey(sorted, key);
  const Hash128 hash = HashBytes128(key, static_cast<uint64_t>(tenant));
  return static_cast<PartitionId>(hash.high >> (64 - std::countr_zero(partition_count)));
}

}  // namespace basalt::storage
