// storage/resolver.h -- from the label bytes on the wire to a series, and from a request to its
// batches.
//
// The usual sample costs no map look-up: the series that followed this one last time is tried
// first, and a fingerprint of the raw label bytes confirms it (DESIGN decision 1): 112 of its 128
// bits, so that a million new series a day for a thousand years beside four million known ones meet
// a false one with a probability of 2^-52. No copy of wire bytes is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/mutex.h"
#include "storage/ingest_batch.h"

namespace basalt::storage {

// The series' identity: tenant and canonical labels, hashed.
SeriesId MakeSeriesId(TenantId tenant, std::string_view canonical_labels);

// Where a series lives: top bits of XXH3-128(tenant, placement labels). Frozen: job+instance; else
// job + the first of (pod, host, exported_instance, service_instance_id); else all labels but
// __name__, le, quantile. `sorted` is sorted by name. `partition_count` is a power of
// two, 1..65536.
PartitionId PlacementPartition(TenantId tenant, std::span<const LabelView> sorted,
                               uint32_t partition_count);

// The canonical bytes that PlacementPartition hashes; series with equal bytes form one group.
void AppendPlacementKey(std::span<const LabelView> sorted, std::string& out);

// A series that a stream has met, to be used again without its labels. Stays valid while the store
// is open.
struct SeriesHandle {
  PartitionId partition{0};
  SeriesOrdinal ordinal = kUnknownOrdinal;
  SeriesId id;
};

// Finds a series that exists already, wherever it is kept. Thread-safe; called once a new
// fingerprint, not once a sample.
class SeriesFinder {
 public:
  virtual ~SeriesFinder() = default;
  // kUnknownOrdinal if there is none.
  [[nodiscard]] virtual SeriesOrdinal FindSeries(PartitionId partition,
                                                 const SeriesId& id) const = 0;
  // Fills in the ids of those series that have an ordinal, which FindSeries or Resolver::Learn has
  // told.
  virtual void FillIds(PartitionId partition, std::span<BatchSeries> series) const = 0;
};

// Series that a layer above keeps instead of the store: each stands for something else there.
// Thread-safe; called once a sample of a series that the resolver does not know.
class SeriesAside {
 public:
  virtual ~SeriesAside() = default;
  // By the tenant's fingerprint of the raw label bytes (Resolver::Awaited): true, and `id` is
  // what the owner knows it by.
  virtual bool Find(const Hash128& fingerprint, SeriesId& id) const = 0;
};

struct ResolverOptions {
  uint32_t partitions = 8;  // power of two, 1..65536
  // Fingerprints kept. Past it the table is forgotten and learnt again, which costs every series
  // one more decoding of its labels; 31 bytes each. Four million are two fingerprints a series for
  // two protocols and a million series, twice.
  size_t max_fingerprints = 4u << 20;
};

// What is known of raw label bytes. Thread-safe. One a store; everything it holds are hints that a
// batch carries together with the series' id, so forgetting any of it changes no answer.
class Resolver {
 public:
  // `finder` must outlive it.
  Resolver(const ResolverOptions& options, const SeriesFinder& finder);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Apply has created a series: fingerprints selected for it before become usable.
  void Learn(PartitionId partition, const SeriesId& id, SeriesOrdinal ordinal);
  // The tenant's fingerprints selected by labels for a series that is not created. They are still
  // learnt if it is.
  [[nodiscard]] std::vector<Hash128> Awaited(const SeriesId& id) const;

  [[nodiscard]] uint32_t partitions() const { return partitions_; }
  [[nodiscard]] size_t fingerprints() const;
  [[nodiscard]] size_t memory_bytes() const;

 private:
  friend class BatchBuilder;
  class Table;
  [[nodiscard]] std::shared_ptr<Table> table() const;
  // A table with room: the current one, or an empty one that takes its place.
  std::shared_ptr<Table> TableWithRoom();

  const uint32_t partitions_;
  const size_t max_fingerprints_;
  const SeriesFinder& finder_;
  mutable Mutex mu_;
  std::shared_ptr<Table> table_ BASALT_GUARDED_BY(mu_);
};

// Collects one request and splits it by partition. A known series stands in its batch again each
// time that another one was selected in between. One thread; cheap to make, meant to be reused by
// Reset(). Call one of the Select functions, then Add* for the series selected.
class BatchBuilder {
 public:
  // `resolver` must outlive the builder.
  BatchBuilder(Resolver& resolver, TenantId tenant);
  ~BatchBuilder();
  BatchBuilder(BatchBuilder&&) noexcept;
  BatchBuilder& operator=(BatchBuilder&&) noexcept;

  // Series that `aside` (null: none; must outlive the builder) knows, and the resolver does not,
  // are selected by SelectKnown, too. They come with an unknown ordinal, the id that it told, and
  // no labels: whoever asks for them takes them out of the batches before those are appended.
  void SetAside(const SeriesAside* aside);

  // Selects by the fingerprint of the raw label bytes (HashBytes128 of them, whatever the
  // protocol). False: unknown here; decode and check the labels, then call SelectLabels with the
  // same fingerprint, which remembers them.
  bool SelectKnown(const Hash128& raw_fingerprint);
  // `sorted`: by name, unique names, no empty values (the caller has checked and said so in its
  // error otherwise).
  void SelectLabels(const Hash128& raw_fingerprint, std::span<const LabelView> sorted);
  // For streams with references.
  void SelectHandle(const SeriesHandle& handle);
  // The handle of the selected series, for streams; its ordinal is kUnknownOrdinal while the series
  // is new (look it up again by fingerprint once the batch is applied).
  [[nodiscard]] SeriesHandle selected() const;

  void AddSample(int64_t time_ms, double value, int64_t start_ms = kNoStartMs);
  // One sample of each of several series of a partition, at one time; their ordinals were told by
  // handles. As SelectHandle and AddSample for each, the last stays selected.
  void AddScrape(PartitionId partition, std::span<const SeriesOrdinal> series, int64_t time_ms,
                 std::span<const double> values);
  void AddHistogram(int64_t time_ms, NativeHistogram histogram, int64_t start_ms = kNoStartMs);
  void AddExemplar(int64_t time_ms, double value, std::span<const LabelView> sorted_labels);
  // Needs no selected series; goes to the partition of the family name's hash.
  void AddMetadata(MetadataEntry entry);

  // The batches made so far, empty ones left out, in partition order, with the ids of known series
  // left to the index; the builder is then as new.
  std::vector<IngestBatch> Finish(WriterSequence writer = {});
  void Reset(TenantId tenant);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::storage
