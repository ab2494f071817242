// storage/parts/side_store.h -- exemplars and metric metadata: small, bounded, keyed; beside the
// samples.
//
// Both keep what is newer than the last commit in memory and put it into the batch of the next one;
// a crash between is repaired by replay, since adding the same thing twice changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/ingest_batch.h"
#include "storage/parts/database.h"
#include "storage/reader.h"

namespace basalt::storage {

// The newest ones stay: an hour of one exemplar a minute. A series with 64 exemplars costs about 4
// KiB on disk.
inline constexpr size_t kMaxExemplarsPerSeries = 64;
// Different targets may describe a metric differently; the latest ones stay.
inline constexpr size_t kMaxMetadataPerMetric = 8;
inline constexpr size_t kMaxMetadataMetricsPerTenant = 100'000;

struct StoredExemplar {
  int64_t time_ms = 0;
  double value = 0;
  std::string labels;  // canonical bytes
};

// Thread-safe. `database` must outlive it.
class ExemplarStore {
 public:
  explicit ExemplarStore(Database& database) : database_(database) {}
  // False if it is there already (same time, value bits and labels), or older than all of a full
  // series.
  Result<bool> Add(PartitionId partition, SeriesOrdinal ordinal, StoredExemplar exemplar)
      BASALT_EXCLUDES(mu_);
  // Appends those of the series inside the range, in time order.
  Status Read(PartitionId partition, SeriesOrdinal ordinal, TimeRange range,
              std::vector<StoredExemplar>& out) const BASALT_EXCLUDES(mu_);
  // Writes the series that changed into `batch`; call Saved once it is durable.
  void Save(WriteBatch& batch) BASALT_EXCLUDES(mu_);
  void Saved() BASALT_EXCLUDES(mu_);

 private:
  using Key = std::pair<PartitionId, SeriesOrdinal>;
  struct Entry {
    std::vector<StoredExemplar> exemplars;  // all of the series, by time
    uint64_t version = 0;
  };
  Result<std::vector<StoredExemplar>> Stored(const Key& key) const;

  Database& database_;
  mutable Mutex mu_;
  std::map<Key, Entry> changed_ BASALT_GUARDED_BY(mu_);
  std::map<Key, uint64_t> saving_ BASALT_GUARDED_BY(mu_);
  uint64_t version_ BASALT_GUARDED_BY(mu_) = 0;
};

// Thread-safe. All in memory: a few thousand metrics.
class MetadataStore {
 public:
  // kDataLoss naming the key that does not parse.
  static Result<std::unique_ptr<MetadataStore>> Open(const Database& database);
  // The latest entry of a metric comes last. kResourceExhausted beyond
  // kMaxMetadataMetricsPerTenant.
  Status Put(TenantId tenant, const MetadataEntry& entry) BASALT_EXCLUDES(mu_);
  // Sorted by metric; an empty `metric`: all.
  [[nodiscard]] std::vector<MetadataEntry> Read(TenantId tenant, std::string_view metric) const
      BASALT_EXCLUDES(mu_);
  // Writes the metrics that changed into `batch`; call Saved once it is durable.
  void Save(WriteBatch& batch) BASALT_EXCLUDES(mu_);
  void Saved() BASALT_EXCLUDES(mu_);

 private:
  MetadataStore() = default;
  struct Metric {
    std::vector<MetadataEntry> entries;  // at most kMaxMetadataPerMetric
    bool changed = false;
    bool saving = false;
  };
  using Metrics = std::map<std::string, Metric, std::less<>>;

  mutable Mutex mu_;
  std::map<TenantId, Metrics> tenants_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
