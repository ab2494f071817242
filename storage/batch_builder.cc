// BatchBuilder of storage/resolver.h.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "storage/resolver.h"
#include "storage/resolver_table.h"

namespace basalt::storage {
namespace {

// Where the new series of one request stand in its batches: open addressing, emptied by a new
// generation instead of a sweep, since a builder serves one request after another. Known series
// have no such table: it cost as much as all else of resolving (8 % of a sample by remote write, 17
// % by the stream), and a series that stands twice in a batch only makes it longer.
class SeenSeries {
 public:
  struct Slot {
    SeriesId key{};
    uint32_t generation = 0;
    uint32_t series = 0;
  };

  void Clear() {
    used_ = 0;
    if (++generation_ == 0) {  // wrapped: old marks would look new
      std::fill(slots_.begin(), slots_.end(), Slot{});
      generation_ = 1;
    }
  }

  // The slot of `key`; `fresh` tells that it is new, and `series` is then for the caller to fill
  // in.
  Slot& FindOrAdd(const SeriesId& key, bool& fresh) {
    if ((used_ + 1) * 2 > slots_.size()) Grow();
    Slot& slot = Probe(slots_, key);
    fresh = slot.generation != generation_;
    if (fresh) {
      slot = {.key = key, .generation = generation_, .series = 0};
      ++used_;
    }
    return slot;
  }

 private:
  Slot& Probe(std::vector<Slot>& slots, const SeriesId& key) const {
    const size_t mask = slots.size() - 1;
    size_t i = key.hash.low & mask;
    while (slots[i].generation == generation_ && slots[i].key != key) i = (i + 1) & mask;
    return slots[i];
  }
  void Grow() {
    std::vector<Slot> bigger(std::max<size_t>(256, slots_.size() * 2));
    for (const Slot& slot : slots_) {
      if (slot.generation == generation_) Probe(bigger, slot.key) = slot;
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
    created.Clear();
  }

  // Room for as much as the largest batch of the last request: batches are given away, so their
  // columns would otherwise grow from nothing each time.
  IngestBatch& BatchOf(PartitionId partition) {
    IngestBatch& batch = batches[static_cast<uint32_t>(partition)];
    if (batch.series.capacity() == 0) {
      batch.series.reserve(expected_series);
      batch.sample_series.reserve(expected_samples);
      batch.sample_ms.reserve(expected_samples);
      batch.sample_value.reserve(expected_samples);
    }
    return batch;
  }

  // Makes a series with an ordinal the selected one.
  void SelectKnown(PartitionId partition, SeriesOrdinal ordinal) {
    IngestBatch& batch = BatchOf(partition);
    if (&batch == selected_batch && batch.series[selected_series].ordinal == ordinal) return;
    selected_batch = &batch;
    selected_partition = partition;
    selected_series = static_cast<uint32_t>(batch.series.size());
    batch.series.push_back({.ordinal = ordinal, .id = {}});
  }

  // Makes a series the selected one that a layer above knows by `id`; it has no place of its own.
  void SelectAside(const SeriesId& id) {
    IngestBatch& batch = BatchOf(PartitionId{0});
    selected_batch = &batch;
    selected_partition = PartitionId{0};
    selected_series = static_cast<uint32_t>(batch.series.size());
    batch.series.push_back({.id = id});
  }

  // Makes a series the selected one that `canonical` defines.
  void SelectNew(PartitionId partition, const SeriesId& id) {
    selected_batch = &BatchOf(partition);
    selected_partition = partition;
    bool fresh = false;
    auto& slot = created.FindOrAdd(id, fresh);
    if (fresh) {
      slot.series = static_cast<uint32_t>(selected_batch->series.size());
      selected_batch->series.push_back(
          {.ordinal = kUnknownOrdinal,
           .id = id,
           .labels_offset = static_cast<uint32_t>(selected_batch->labels.size()),
           .labels_bytes = static_cast<uint32_t>(canonical.size())});
      selected_batch->labels.append(canonical);
    }
    selected_series = slot.series;
  }

  void Follow(uint32_t index) {
    if (previous != Table::kNone) table->at(previous).next.store(index, std::memory_order_release);
    previous = index;
  }

  Resolver& resolver;
  TenantId tenant;
  const SeriesAside* aside = nullptr;
  std::shared_ptr<Table> table;
  uint32_t previous = Table::kNone;  // the entry selected before this one
  SeenSeries created;
  std::vector<IngestBatch> batches;  // by partition
  size_t expected_series = 0;        // of the last request's largest batch
  size_t expected_samples = 0;
  IngestBatch* selected_batch = nullptr;
  PartitionId selected_partition{0};
  uint32_t selected_series = 0;
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
    if (guess != Impl::Table::kNone) {
      const auto& entry = m.table->at(guess);
      if (entry.Is(key)) {
        m.previous = guess;
        m.SelectKnown(entry.partition, entry.ordinal);
        return true;
      }
    }
  }
  const uint32_t found = m.table->Find(key);
  if (found == Impl::Table::kNone) {
    SeriesId id;
    if (m.aside == nullptr || !m.aside->Find(key, id)) return false;
    m.SelectAside(id);
    return true;
  }
  m.Follow(found);
  const auto& entry = m.table->at(found);
  m.SelectKnown(entry.partition, entry.ordinal);
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
    m.SelectNew(handle.partition, handle.id);
  } else {
    uint32_t index = m.table->Insert(key, handle);
    if (index == Impl::Table::kNone) {
      m.table = m.resolver.TableWithRoom();
      m.previous = Impl::Table::kNone;
      index = m.table->Insert(key, handle);
    }
    // A new table may have filled up again already; then this series stays unknown for now.
    if (index != Impl::Table::kNone) m.Follow(index);
    m.SelectKnown(handle.partition, handle.ordinal);
  }
}

void BatchBuilder::SelectHandle(const SeriesHandle& handle) {
  BASALT_CHECK(handle.ordinal != kUnknownOrdinal, "SelectHandle: the handle has no ordinal yet");
  BASALT_CHECK(static_cast<uint32_t>(handle.partition) < impl_->resolver.partitions());
  impl_->SelectKnown(handle.partition, handle.ordinal);
}

SeriesHandle BatchBuilder::selected() const {
  BASALT_CHECK(impl_->selected_batch != nullptr, "no series is selected");
  BatchSeries series = impl_->selected_batch->series[impl_->selected_series];
  impl_->resolver.finder_.FillIds(impl_->selected_partition, {&series, 1});
  return {impl_->selected_partition, series.ordinal, series.id};
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

void BatchBuilder::AddScrape(PartitionId partition, std::span<const SeriesOrdinal> series,
                             int64_t time_ms, std::span<const double> values) {
  BASALT_CHECK(series.size() == values.size());
  if (series.empty()) return;
  BASALT_CHECK(static_cast<uint32_t>(partition) < impl_->resolver.partitions());
  IngestBatch& batch = impl_->BatchOf(partition);
  const size_t first = batch.series.size();
  const size_t at = batch.sample_ms.size();
  const size_t n = series.size();
  batch.series.resize(first + n);
  for (size_t i = 0; i < n; ++i) batch.series[first + i].ordinal = series[i];
  batch.sample_series.resize(at + n);
  std::iota(batch.sample_series.begin() + static_cast<ptrdiff_t>(at), batch.sample_series.end(),
            static_cast<uint32_t>(first));
  batch.sample_ms.resize(at + n, time_ms);
  batch.sample_value.insert(batch.sample_value.end(), values.begin(), values.end());
  if (!batch.sample_start_ms.empty()) batch.sample_start_ms.resize(at + n, kNoStartMs);
  impl_->selected_batch = &batch;
  impl_->selected_partition = partition;
  impl_->selected_series = static_cast<uint32_t>(first + n - 1);
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
  Impl& m = *impl_;
  std::vector<IngestBatch> out;
  m.expected_series = m.expected_samples = 0;
  for (size_t i = 0; i < m.batches.size(); ++i) {
    IngestBatch& batch = m.batches[i];
    m.expected_series = std::max(m.expected_series, batch.series.size());
    m.expected_samples = std::max(m.expected_samples, batch.sample_ms.size());
    if (!batch.empty()) {
      batch.tenant = m.tenant;
      batch.partition = PartitionId{static_cast<uint16_t>(i)};
      batch.writer = writer;
      batch.ids_from_index = true;
      out.push_back(std::move(batch));
    }
    batch = IngestBatch();
  }
  m.Begin(m.tenant);
  return out;
}

void BatchBuilder::SetAside(const SeriesAside* aside) { impl_->aside = aside; }

void BatchBuilder::Reset(TenantId tenant) {
  for (IngestBatch& batch : impl_->batches) batch = IngestBatch();
  impl_->Begin(tenant);
}

}  // namespace basalt::storage
