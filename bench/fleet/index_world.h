// bench/fleet/index_world.h -- the indexes of all partitions without a store around them: what a
// resolver needs to find series, and apply's part of creating them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "storage/index/index.h"
#include "storage/resolver.h"

namespace basalt::bench {

// Apply comes one at a time; finding from any thread.
class IndexWorld final : public storage::SeriesFinder {
 public:
  explicit IndexWorld(uint32_t count) {
    for (uint32_t p = 0; p < count; ++p) {
      partitions_.push_back(
          std::make_unique<storage::PartitionIndex>(PartitionId{static_cast<uint16_t>(p)}));
    }
  }

  [[nodiscard]] SeriesOrdinal FindSeries(PartitionId partition, const SeriesId& id) const override {
    return partitions_[static_cast<size_t>(partition)]->Find(id);
  }
  void FillIds(PartitionId partition, std::span<storage::BatchSeries> series) const override {
    const storage::PartitionIndex& index = *partitions_[static_cast<size_t>(partition)];
    for (storage::BatchSeries& one : series) {
      if (one.ordinal != kUnknownOrdinal) one.id = index.id(one.ordinal);
    }
  }

  // Inserts the new series of a batch and tells the resolver.
  void Apply(const storage::IngestBatch& batch, uint16_t day, storage::Resolver& resolver) {
    storage::PartitionIndex& index = *partitions_[static_cast<size_t>(batch.partition)];
    for (const storage::BatchSeries& one : batch.series) {
      if (one.ordinal != kUnknownOrdinal) continue;
      const auto labels =
          std::string_view(batch.labels).substr(one.labels_offset, one.labels_bytes);
      const SeriesOrdinal ordinal = index.Insert(batch.tenant, one.id, labels).value();
      index.MarkActive(ordinal, day);
      resolver.Learn(batch.partition, one.id, ordinal);
    }
  }

  [[nodiscard]] const std::vector<std::unique_ptr<storage::PartitionIndex>>& partitions() const {
    return partitions_;
  }

 private:
  std::vector<std::unique_ptr<storage::PartitionIndex>> partitions_;
};

}  // namespace basalt::bench
