// BatchBuilder of storage/resolver.h.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "storage/resolver.h"
#include "storage/resolver_table.h"

namespace basalt::storage {
namespace {

// The series of one request by id: open addressing, emptied by a new generation instead of a sweep,
// since a builder serves one request after another.
class SeenSeries {
 public:
  struct Slot {
    uint32_t generation = 0;
    uint32_t batch = 0;
    uint32_t series = 0;
    SeriesId id;
  };

  void Clear() {
    used_ = 0;
    if (++generation_ == 0) {  // wrapped: old marks would look new
      std::fill(slots_.begin(), slots_.end(), Slot{});
      generation_ = 1;
    }
  }

  // The slot of `id`; `fresh` tells that it is new, and batch and series are then for the caller to
  // fill in.
  Slot& FindOrAdd(const SeriesId& id, bool& fresh) {
    if ((used_ + 1) * 2 > slots_.size()) Grow();
    Slot& slot = Probe(slots_, id);
    fresh = slot.generation != generation_;
    if (fresh) {
      slot = {.generation = generation_, .batch = 0, .series = 0, .id = id};
      ++used_;
    }
    return slot;
  }

 private:
  Slot& Probe(std::vector<Slot>& slots, const SeriesId& id) const {
    const size_t mask = slots.size() - 1;
    size_t i = id.hash.low & mask;
    while (slots[i].generation == generation_ && slots[i].id != id) i = (i + 1) & mask;
    return slots[i];
  }
  void Grow() {
    std::vector<Slot> bigger(std::max<size_t>(256, slots_.size() * 2));
    for (const Slot& slot : slots_) {
      if (slot.generation == generation_) Probe(bigger, slot.id) = slot;
    }
    slots_ = std::move(bigger);
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
  uint32_t generation_ = 1;
};

}  // namespace

struct BatchBuilder::Impl {
  using Table = Resolver::Table;

  Impl(Resolver& r, TenantId t) : resolver(r), tenant(t), batches(r.partitions()) {}

  void Begin(TenantId new_tenant) {
    tenant = new_tenant;
    table = resolver.table();
    previous = Table::kNone;
    selected_batch = nullptr;
    selected_series = 0;
    seen.Clear();
  }

  // Makes `handle` the selected series; `canonical` defines it if it has no ordinal.
  void Select(const SeriesHandle& handle, std::string_view canonical_labels) {
    selected_handle = handle;
    const auto partition = static_cast<uint32_t>(handle.partition);
    selected_batch = &batches[partition];
    bool fresh = false;
    SeenSeries::Slot& slot = seen.FindOrAdd(handle.id, fresh);
    if (fresh) {
      slot.batch = partition;
      slot.series = static_cast<uint32_t>(selected_batch->series.size());
      BatchSeries series{.ordinal = handle.ordinal, .id = handle.id};
      if (handle.ordinal == kUnknownOrdinal) {
        series.labels_offset = static_cast<uint32_t>(selected_batch->labels.size());
        series.labels_bytes = static_cast<uint32_t>(canonical_labels.size());
        selected_batch->labels.append(canonical_labels);
      }
      selected_batch->series.push_back(series);
    }
    selected_series = slot.series;
  }

  void Follow(uint32_t index) {
    if (previous != Table::kNone) table->at(previous).next.store(index, std::memory_order_release);
    previous = index;
  }

  Resolver& resolver;
  TenantId tenant;
  std::shared_ptr<Table> table;
  uint32_t previous = Table::kNone;  // the entry selected before this one
  SeenSeries seen;
  std::vector<IngestBatch> batches;  // by partition
  IngestBatch* selected_batch = nullptr;
  uint32_t selected_series = 0;
  SeriesHandle selected_handle;
  std::string canonical;  // scratch
};

BatchBuilder::BatchBuilder(Resolver& resolver, TenantId tenant)
    : impl_(std::make_unique<Impl>(resolver, tenant)) {
  impl_->Begin(tenant);
}
BatchBuilder::~BatchBuilder() = default;
BatchBuilder::BatchBuilder(BatchBuilder&&) noexcept = default;
BatchBuilder& BatchBuilder::operator=(BatchBuilder&&) noexcept = default;

bool BatchBuilder::SelectKnown(const Hash128& raw_fingerprint) {
  Impl& m = *impl_;
  const Hash128 key = TenantFingerprint(m.tenant, raw_fingerprint);
  if (m.previous != Impl::Table::kNone) {
    const uint32_t guess = m.table->at(m.previous).next.load(std::memory_order_acquire);
    if (guess != Impl::Table::kNone && m.table->at(guess).fingerprint == key) {
      m.previous = guess;
      const auto& entry = m.table->at(guess);
      m.Select({entry.partition, entry.ordinal, entry.id}, {});
      return true;
    }
  }
  const uint32_t found = m.table->Find(key);
  if (found == Impl::Table::kNone) return false;
  m.Follow(found);
  const auto& entry = m.table->at(found);
  m.Select({entry.partition, entry.ordinal, entry.id}, {});
  return true;
}

void BatchBuilder::SelectLabels(const Hash128& raw_fingerprint, std::span<const LabelView> sorted) {
  Impl& m = *impl_;
  m.canonical.clear();
  AppendCanonicalLabels(sorted, m.canonical);
  SeriesHandle handle{.partition = PlacementPartition(m.tenant, sorted, m.resolver.partitions()),
                      .ordinal = kUnknownOrdinal,
                      .id = MakeSeriesId(m.tenant, m.canonical)};
  handle.ordinal = m.resolver.finder_.FindSeries(handle.partition, handle.id);
  const Hash128 key = TenantFingerprint(m.tenant, raw_fingerprint);
  if (handle.ordinal == kUnknownOrdinal) {
    // Nothing to predict with yet; the series before this one will point here once both are known.
    m.table->Await(handle.id, key);
    m.previous = Impl::Table::kNone;
  } else {
    uint32_t index = m.table->Insert(key, handle);
    if (index == Impl::Table::kNone) {
      m.table = m.resolver.TableWithRoom();
      m.previous = Impl::Table::kNone;
      index = m.table->Insert(key, handle);
    }
    // A new table may have filled up again already; then this series stays unknown for now.
    if (index != Impl::Table::kNone) m.Follow(index);
  }
  m.Select(handle, m.canonical);
}

void BatchBuilder::SelectHandle(const SeriesHandle& handle) {
  BASALT_CHECK(handle.ordinal != kUnknownOrdinal, "SelectHandle: the handle has no ordinal yet");
  BASALT_CHECK(static_cast<uint32_t>(handle.partition) < impl_->resolver.partitions());
  impl_->Select(handle, {});
}

SeriesHandle BatchBuilder::selected() const {
  BASALT_CHECK(impl_->selected_batch != nullptr, "no series is selected");
  return impl_->selected_handle;
}

void BatchBuilder::AddSample(int64_t time_ms, double value, int64_t start_ms) {
  BASALT_CHECK(impl_->selected_batch != nullptr, "AddSample: no series is selected");
  IngestBatch& batch = *impl_->selected_batch;
  if (start_ms != kNoStartMs && batch.sample_start_ms.empty()) {
    batch.sample_start_ms.resize(batch.sample_ms.size(), kNoStartMs);
  }
  // The column exists once a sample had a start.
  if (start_ms != kNoStartMs || !batch.sample_start_ms.empty()) {
    batch.sample_start_ms.push_back(start_ms);
  }
  batch.sample_series.push_back(impl_->selected_series);
  batch.sample_ms.push_back(time_ms);
  batch.sample_value.push_back(value);
}

void BatchBuilder::AddHistogram(int64_t time_ms, NativeHistogram histogram, int64_t start_ms) {
  BASALT_CHECK(impl_->selected_batch != nullptr, "AddHistogram: no series is selected");
  impl_->selected_batch->histograms.push_back({.series = impl_->selected_series,
                                               .time_ms = time_ms,
                                               .start_ms = start_ms,
                                               .histogram = std::move(histogram)});
}

void BatchBuilder::AddExemplar(int64_t time_ms, double value,
                               std::span<const LabelView> sorted_labels) {
  BASALT_CHECK(impl_->selected_batch != nullptr, "AddExemplar: no series is selected");
  ExemplarSample exemplar{
      .series = impl_->selected_series, .time_ms = time_ms, .value = value, .labels = {}};
  AppendCanonicalLabels(sorted_labels, exemplar.labels);
  impl_->selected_batch->exemplars.push_back(std::move(exemplar));
}

void BatchBuilder::AddMetadata(MetadataEntry entry) {
  const PartitionId partition = MetadataPartition(entry.metric, impl_->resolver.partitions());
  impl_->batches[static_cast<uint32_t>(partition)].metadata.push_back(std::move(entry));
}

std::vector<IngestBatch> BatchBuilder::Finish(WriterSequence writer) {
  std::vector<IngestBatch> out;
  for (size_t i = 0; i < impl_->batches.size(); ++i) {
    IngestBatch& batch = impl_->batches[i];
    if (!batch.empty()) {
      batch.tenant = impl_->tenant;
      batch.partition = PartitionId{static_cast<uint16_t>(i)};
      batch.writer = writer;
      out.push_back(std::move(batch));
    }
    batch = IngestBatch();
  }
  impl_->Begin(impl_->tenant);
  return out;
}

void BatchBuilder::Reset(TenantId tenant) {
  for (IngestBatch& batch : impl_->batches) batch = IngestBatch();
  impl_->Begin(tenant);
}

}  // namespace basalt::storage
