#include "storage/index/index.h"

#include <algorithm>

#include "storage/index/impl.h"
#include "storage/resolver.h"

namespace basalt::storage {

using index_internal::CarrierId;
using index_internal::GroupKey;
using index_internal::kNoPair;
using index_internal::LabelPair;
using index_internal::NameIndex;
using index_internal::PairId;
using index_internal::ShapeId;
using index_internal::ShapeKey;
using index_internal::ShapeView;
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
      shapes(0, {tables.get()}, {tables.get()}),
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
  carriers_of_pair.Append();
  const LabelPair& pair = tables->Pair(id);
  std::unique_ptr<NameIndex>& name = Tenant(pair.tenant).names[pair.name];
  if (name == nullptr) {
    name = std::make_unique<NameIndex>();
    name->name = pair.name;
  }
  name->value_bytes += tables->String(pair.value).size();
  name->pairs.Append(id);
}

void PartitionIndex::Impl::AddCarrierOf(CarrierId carrier, PairId pair) {
  carriers_of_pair[pair].Append(carrier);
  const LabelPair& label = tables->Pair(pair);
  Tenant(label.tenant).names.find(label.name)->second->carriers.add(carrier);
}

GroupId PartitionIndex::Impl::InternGroup(TenantId tenant, std::span<const PairId> key) {
  const auto it = groups.find(GroupKey{tenant, key});
  if (it != groups.end() &&
      series_of_carrier[group_carriers[*it]].cardinality() < kMaxSeriesPerGroup) {
    return GroupId{*it};
  }
  const GroupId id = tables->AddGroup(tenant, key);
  RegisterGroup();
  return id;
}

void PartitionIndex::Impl::RegisterGroup() {
  const auto group = static_cast<uint32_t>(tables->groups.size() - 1);
  // A key comes again when its group is full; from then on its newest group is the one to find.
  if (const auto it = groups.find(groups.hash_function().Key(group)); it != groups.end()) {
    groups.erase(it);
  }
  groups.insert(group);
  const auto carrier = static_cast<CarrierId>(series_of_carrier.size());
  series_of_carrier.Append();
  group_carriers.push_back(carrier);
  for (const PairId pair : tables->GroupPairs(GroupId{group})) AddCarrierOf(carrier, pair);
}

ShapeId PartitionIndex::Impl::InternShape(PairId name, std::span<const PairId> own) {
  if (const auto it = shapes.find(ShapeKey{name, own}); it != shapes.end()) return *it;
  const ShapeId id = tables->AddShape(name, own);
  RegisterShape();
  return id;
}

void PartitionIndex::Impl::RegisterShape() {
  const auto shape = static_cast<ShapeId>(tables->shapes.size() - 1);
  shapes.insert(shape);
  const auto carrier = static_cast<CarrierId>(series_of_carrier.size());
  series_of_carrier.Append();
  shape_carriers.push_back(carrier);
  const ShapeView view = tables->Shape(shape);
  for (const PairId pair : view.own) AddCarrierOf(carrier, pair);
  if (view.name != kNoPair) AddCarrierOf(carrier, view.name);
}

TenantIndex& PartitionIndex::Impl::Tenant(TenantId tenant) {
  TenantIndex& index = tenants[tenant];
  index.tenant = tenant;
  return index;
}

void PartitionIndex::Impl::Post(uint32_t ordinal) {
  const index_internal::SeriesEntry& entry = tables->Series(SeriesOrdinal{ordinal});
  const auto group = static_cast<uint32_t>(entry.group);
  Tenant(tables->groups[group].tenant).series.add(ordinal);
  series_of_carrier[group_carriers[group]].Append(ordinal);
  series_of_carrier[shape_carriers[entry.shape]].Append(ordinal);
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
  const SeriesOrdinal ordinal = tables.AddSeries(id, {group, impl.InternShape(name, own)});
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

std::string PartitionIndex::metric_name(MetricId metric) const {
  const auto number = static_cast<uint32_t>(metric);
  if (number >= impl_->tables->strings.size()) return "";
  return std::string(impl_->tables->String(number));
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

uint64_t PartitionIndex::Impl::ListBytes() const {
  const uint64_t count = tables->series.size();
  const uint64_t counted = list_bytes_of.load(std::memory_order_relaxed);
  // Going over all lists takes a millisecond, and somebody asks every few seconds: a guess that is
  // right to the 64th will do.
  if (counted != 0 && count - counted <= count / 64) {
    return list_bytes.load(std::memory_order_relaxed);
  }
  uint64_t bytes = 0;
  for (const auto* const lists : {&carriers_of_pair, &series_of_carrier}) {
    for (size_t i = 0; i < lists->size(); ++i) {
      bytes += sizeof((*lists)[i]) + (*lists)[i].heap_bytes();
    }
  }
  list_bytes.store(bytes, std::memory_order_relaxed);
  list_bytes_of.store(count, std::memory_order_relaxed);
  return bytes;
}

IndexStats PartitionIndex::Stats() const {
  const Impl& impl = *impl_;
  IndexStats stats;
  const ReaderLock lock(impl.mu);
  stats.series = impl.tables->series.size();
  stats.groups = impl.tables->groups.size();
  stats.strings = impl.tables->strings.size() - index_internal::kReservedStrings;
  stats.label_pairs = impl.tables->pairs.size();
  stats.regex_values_asked = impl.matched.values_asked();
  stats.shapes = impl.tables->shapes.size();
  // An absl table holds 1 control byte beside each slot.
  const auto table_bytes = [](const auto& set) { return set.capacity() * (sizeof(uint32_t) + 1); };
  size_t bytes =
      impl.tables->Bytes() + table_bytes(impl.strings) + table_bytes(impl.pairs) +
      table_bytes(impl.groups) + table_bytes(impl.shapes) + table_bytes(impl.series) +
      impl.order.Bytes() + impl.matched.bytes() +
      (impl.group_carriers.capacity() + impl.shape_carriers.capacity()) * sizeof(CarrierId);
  bytes += impl.ListBytes();
  for (const auto& [id, tenant] : impl.tenants) {
    bytes += tenant.series.getSizeInBytes();
    for (const auto& [name_id, name] : tenant.names) {
      bytes +=
          sizeof(NameIndex) + name->carriers.getSizeInBytes() + name->pairs.size() * sizeof(PairId);
    }
  }
  const ReaderLock activity_lock(impl.activity_mu);
  for (const auto& [day, activity] : impl.days) bytes += activity.series.getSizeInBytes();
  stats.bytes = bytes + impl.last_active.capacity() * sizeof(uint16_t);
  return stats;
}

}  // namespace basalt::storage
