#include "storage/index/index.h"

#include <algorithm>

#include "storage/index/impl.h"
#include "storage/resolver.h"

namespace basalt::storage {

using index_internal::GroupKey;
using index_internal::kNoPair;
using index_internal::LabelPair;
using index_internal::NameIndex;
using index_internal::PairId;
using index_internal::StringId;
using index_internal::TenantIndex;

namespace {

Status CheckSorted(const std::vector<LabelView>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].name.empty()) return InvalidArgument("series labels: empty label name");
    if (labels[i].value.empty()) {
      return InvalidArgument("series labels: empty value of " + std::string(labels[i].name));
    }
    if (i > 0 && labels[i - 1].name >= labels[i].name) {
      return InvalidArgument("series labels: " + std::string(labels[i].name) + " after " +
                             std::string(labels[i - 1].name));
    }
  }
  return labels.empty() ? InvalidArgument("series labels: none") : OkStatus();
}

}  // namespace

PartitionIndex::Impl::Impl(PartitionId p)
    : partition(p),
      tables(std::make_shared<index_internal::Tables>()),
      order(*tables),
      strings(0, {tables.get()}, {tables.get()}),
      pairs(0, {tables.get()}, {tables.get()}),
      groups(0, {tables.get()}, {tables.get()}),
      series(0, {tables.get()}, {tables.get()}) {}

StringId PartitionIndex::Impl::InternString(std::string_view text) {
  if (const auto it = strings.find(text); it != strings.end()) return *it;
  const StringId id = tables->AddString(text);
  strings.insert(id);
  return id;
}

PairId PartitionIndex::Impl::InternPair(TenantId tenant, std::string_view name,
                                        std::string_view value) {
  const StringId name_id = InternString(name);
  const LabelPair pair{name_id, InternString(value), tenant};
  if (const auto it = pairs.find(pair); it != pairs.end()) return *it;
  const PairId id = tables->AddPair(pair);
  RegisterPair(id);
  return id;
}

void PartitionIndex::Impl::RegisterPair(PairId id) {
  pairs.insert(id);
  postings.Append();
  const LabelPair& pair = tables->Pair(id);
  std::unique_ptr<NameIndex>& name = Tenant(pair.tenant).names[pair.name];
  if (name == nullptr) {
    name = std::make_unique<NameIndex>();
    name->name = pair.name;
  }
  name->pairs.Append(id);
}

GroupId PartitionIndex::Impl::InternGroup(TenantId tenant, std::span<const PairId> key) {
  const auto it = groups.find(GroupKey{tenant, key});
  if (it != groups.end()) {
    if (group_sizes[*it] < kMaxSeriesPerGroup) return GroupId{*it};
    groups.erase(it);
  }
  const GroupId id = tables->AddGroup(tenant, key);
  groups.insert(static_cast<uint32_t>(id));
  group_sizes.push_back(0);
  return id;
}

TenantIndex& PartitionIndex::Impl::Tenant(TenantId tenant) {
  TenantIndex& index = tenants[tenant];
  index.tenant = tenant;
  return index;
}

void PartitionIndex::Impl::Post(uint32_t ordinal) {
  const auto o = SeriesOrdinal{ordinal};
  const index_internal::SeriesEntry& entry = tables->Series(o);
  TenantIndex& tenant = Tenant(tables->Place(o).tenant);
  tenant.series.add(ordinal);
  const auto post = [&](PairId pair) {
    postings[pair].Append(ordinal);
    tenant.names.find(tables->Pair(pair).name)->second->series.add(ordinal);
  };
  for (const PairId pair : tables->GroupPairs(entry.group)) post(pair);
  for (const PairId pair : tables->OwnPairs(o)) post(pair);
  if (entry.name != kNoPair) post(entry.name);
  ++group_sizes[static_cast<uint32_t>(entry.group)];
  series.insert(ordinal);
}

PartitionIndex::PartitionIndex(PartitionId partition) : impl_(std::make_shared<Impl>(partition)) {}
PartitionIndex::~PartitionIndex() = default;

SeriesOrdinal PartitionIndex::Find(const SeriesId& id) const {
  const ReaderLock lock(impl_->mu);
  const auto it = impl_->series.find(id);
  return it == impl_->series.end() ? kUnknownOrdinal : SeriesOrdinal{*it};
}

Result<SeriesOrdinal> PartitionIndex::Insert(TenantId tenant, const SeriesId& id,
                                             std::string_view canonical) {
  // Everything that needs no table is done before the lock.
  BASALT_TRY_ASSIGN(const std::vector<LabelView> labels, ParseCanonical(canonical));
  BASALT_TRY(CheckSorted(labels));
  std::string placement_bytes;
  AppendPlacementKey(labels, placement_bytes);
  BASALT_TRY_ASSIGN(const std::vector<LabelView> placement, ParseCanonical(placement_bytes));

  Impl& impl = *impl_;
  index_internal::Tables& tables = *impl.tables;
  const WriterLock lock(impl.mu);
  if (const auto it = impl.series.find(id); it != impl.series.end()) {
    const auto ordinal = SeriesOrdinal{*it};
    std::vector<LabelView> known;
    tables.AppendLabels(ordinal, known);
    if (known == labels && tables.Place(ordinal).tenant == tenant) return ordinal;
    return AlreadyExists("series labels: another series of the partition has the same 128-bit id");
  }
  if (tables.series.size() >= kMaxSeriesPerPartition) {
    return ResourceExhausted("partition " + std::to_string(static_cast<uint16_t>(impl.partition)) +
                             ": more than " + std::to_string(kMaxSeriesPerPartition) + " series");
  }
  // Numbers are given here, in the order of the labels: this order is part of apply.
  std::vector<PairId> group_pairs;
  std::vector<PairId> own;
  PairId name = kNoPair;
  for (const LabelView& label : labels) {
    const PairId pair = impl.InternPair(tenant, label.name, label.value);
    if (std::find(placement.begin(), placement.end(), label) != placement.end()) {
      group_pairs.push_back(pair);
    } else if (label.name == kMetricName) {
      name = pair;
    } else {
      own.push_back(pair);
    }
  }
  const GroupId group = impl.InternGroup(tenant, group_pairs);
  const SeriesOrdinal ordinal = tables.AddSeries(id, group, name, own);
  impl.Post(static_cast<uint32_t>(ordinal));
  return ordinal;
}

void PartitionIndex::MarkActive(SeriesOrdinal ordinal, uint16_t day) {
  Impl& impl = *impl_;
  const auto o = static_cast<uint32_t>(ordinal);
  // Nearly every call repeats the one before it for its series.
  if (o < impl.last_active.size() && impl.last_active[o] == day + 1) return;
  const WriterLock lock(impl.activity_mu);
  if (o >= impl.last_active.size()) impl.last_active.resize(o + 1);
  impl.last_active[o] = static_cast<uint16_t>(day + 1);
  index_internal::DayActivity& activity = impl.days[day];
  if (activity.series.addChecked(o)) activity.version = ++impl.last_version;
}

void PartitionIndex::DropDaysBefore(uint16_t first_kept) {
  Impl& impl = *impl_;
  const MutexLock flush_lock(impl.flush_mu);
  const WriterLock lock(impl.activity_mu);
  while (!impl.days.empty() && impl.days.begin()->first < first_kept) {
    impl.forgotten_days.push_back(impl.days.begin()->first);
    impl.days.erase(impl.days.begin());
  }
  // A late sample may mark a dropped day again.
  for (uint16_t& day : impl.last_active) {
    if (day <= first_kept) day = 0;
  }
}

uint32_t PartitionIndex::series_count() const {
  return static_cast<uint32_t>(impl_->tables->series.size());
}

SeriesId PartitionIndex::id(SeriesOrdinal ordinal) const {
  return impl_->tables->ids[static_cast<uint32_t>(ordinal)];
}

SeriesPlace PartitionIndex::place(SeriesOrdinal ordinal) const {
  return impl_->tables->Place(ordinal);
}

Labels PartitionIndex::labels(SeriesOrdinal ordinal) const {
  return SeriesSet(impl_->tables, {ordinal}).labels(0);
}

bool PartitionIndex::Before(SeriesOrdinal a, SeriesOrdinal b) const {
  return impl_->tables->Before(a, b);
}

void PartitionIndex::SortBySeriesOrder(std::vector<SeriesOrdinal>& ordinals) const {
  impl_->order.Sort(ordinals);
}

IndexStats PartitionIndex::Stats() const {
  const Impl& impl = *impl_;
  IndexStats stats;
  const ReaderLock lock(impl.mu);
  stats.series = impl.tables->series.size();
  stats.groups = impl.tables->groups.size();
  stats.strings = impl.tables->strings.size() - index_internal::kReservedStrings;
  stats.label_pairs = impl.tables->pairs.size();
  // An absl table holds 1 control byte beside each slot.
  const auto table_bytes = [](const auto& set) { return set.capacity() * (sizeof(uint32_t) + 1); };
  size_t bytes = impl.tables->Bytes() + table_bytes(impl.strings) + table_bytes(impl.pairs) +
                 table_bytes(impl.groups) + table_bytes(impl.series) + impl.order.Bytes() +
                 impl.group_sizes.capacity() * sizeof(uint32_t);
  for (size_t i = 0; i < impl.postings.size(); ++i) {
    bytes += sizeof(index_internal::PostingList) + impl.postings[i].heap_bytes();
  }
  for (const auto& [id, tenant] : impl.tenants) {
    bytes += tenant.series.getSizeInBytes();
    for (const auto& [name_id, name] : tenant.names) {
      bytes +=
          sizeof(NameIndex) + name->series.getSizeInBytes() + name->pairs.size() * sizeof(PairId);
    }
  }
  const ReaderLock activity_lock(impl.activity_mu);
  for (const auto& [day, activity] : impl.days) bytes += activity.series.getSizeInBytes();
  stats.bytes = bytes + impl.last_active.capacity() * sizeof(uint16_t);
  return stats;
}

}  // namespace basalt::storage
