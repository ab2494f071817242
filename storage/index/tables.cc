#include "storage/index/tables.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "engine/base/varint.h"

namespace basalt::storage {

namespace index_internal {

namespace {

// A bucket bound as a number; NaN for anything that is none.
double ParseLe(std::string_view text) {
  std::string_view digits = text;
  if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return std::numeric_limits<double>::quiet_NaN();
  if (error == std::errc::result_out_of_range) {
    // from_chars leaves the value alone: the bytes decide, which is as good an order as any.
    return std::numeric_limits<double>::quiet_NaN();
  }
  return error == std::errc() ? value : std::numeric_limits<double>::quiet_NaN();
}

// Numbers first and by value, the rest by bytes; equal numbers spelt differently by bytes.
std::strong_ordering CompareLe(std::string_view a, std::string_view b) {
  const double x = ParseLe(a);
  const double y = ParseLe(b);
  const bool x_is_number = !std::isnan(x);
  const bool y_is_number = !std::isnan(y);
  if (x_is_number != y_is_number) {
    return x_is_number ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (x_is_number && x != y) {
    return x < y ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  return a <=> b;
}

}  // namespace

Tables::Tables() {
  for (size_t i = 0; i < kReservedStrings; ++i) AddString("");
}

StringId Tables::AddString(std::string_view text_bytes) {
  std::string encoded;
  encoded.reserve(text_bytes.size() + 2);
  AppendVarint(text_bytes.size(), encoded);
  encoded += text_bytes;
  const auto id = static_cast<StringId>(strings.size());
  strings.Append(text.Append(encoded.data(), encoded.size()));
  return id;
}

std::string_view Tables::String(StringId id) const {
  const char* p = strings[id];
  size_t n = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    n |= static_cast<size_t>(byte & 0x7F) << shift;
    if (byte < 0x80) break;
  }
  return {p, n};
}

PairId Tables::AddPair(const LabelPair& pair) {
  const auto id = static_cast<PairId>(pairs.size());
  pairs.Append(pair);
  return id;
}

GroupId Tables::AddGroup(TenantId tenant, std::span<const PairId> group_pairs) {
  const auto id = static_cast<GroupId>(groups.size());
  groups.Append(GroupEntry{tenant, static_cast<uint32_t>(group_pairs.size()),
                           words.Append(group_pairs.data(), group_pairs.size())});
  return id;
}

ShapeId Tables::AddShape(PairId name, std::span<const PairId> own) {
  std::vector<uint32_t> run;
  run.reserve(own.size() + 3);
  run.push_back(name);
  run.push_back(name == kNoPair ? kNoMetricName : Pair(name).value);
  run.push_back(static_cast<uint32_t>(own.size()));
  run.insert(run.end(), own.begin(), own.end());
  const auto id = static_cast<ShapeId>(shapes.size());
  shapes.Append(words.Append(run.data(), run.size()));
  return id;
}

SeriesOrdinal Tables::AddSeries(const SeriesId& id, const SeriesEntry& entry) {
  const auto ordinal = static_cast<SeriesOrdinal>(series.size());
  ids.Append(id);
  series.Append(entry);
  return ordinal;
}

std::span<const PairId> Tables::GroupPairs(GroupId group) const {
  const GroupEntry& entry = groups[static_cast<uint32_t>(group)];
  return {entry.pairs, entry.pair_count};
}

SeriesPlace Tables::Place(SeriesOrdinal ordinal) const {
  const SeriesEntry& entry = Series(ordinal);
  return {groups[static_cast<uint32_t>(entry.group)].tenant, MetricId{Shape(entry.shape).metric},
          entry.group};
}

void Tables::AppendLabels(SeriesOrdinal ordinal, std::vector<LabelView>& out) const {
  const size_t before = out.size();
  const SeriesEntry& entry = Series(ordinal);
  const ShapeView shape = Shape(entry.shape);
  const std::span<const PairId> group = GroupPairs(entry.group);
  out.reserve(before + 1 + shape.own.size() + group.size());
  const auto view = [this](PairId id) {
    const LabelPair& pair = Pair(id);
    return LabelView{String(pair.name), String(pair.value)};
  };
  for (const PairId id : shape.own) out.push_back(view(id));
  for (const PairId id : group) out.push_back(view(id));
  if (shape.name != kNoPair) out.push_back(view(shape.name));
  std::sort(out.begin() + static_cast<ptrdiff_t>(before), out.end(),
            [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
}

std::string_view Tables::Label(SeriesOrdinal ordinal, std::string_view name) const {
  const SeriesEntry& entry = Series(ordinal);
  const ShapeView shape = Shape(entry.shape);
  if (name == kMetricName) return String(shape.metric);
  for (const std::span<const PairId> list : {GroupPairs(entry.group), shape.own}) {
    for (const PairId id : list) {
      const LabelPair& pair = Pair(id);
      if (String(pair.name) == name) return String(pair.value);
    }
  }
  return {};
}

std::strong_ordering Tables::CompareShapes(ShapeId a, ShapeId b) const {
  const std::span<const PairId> x = Shape(a).own;
  const std::span<const PairId> y = Shape(b).own;
  size_t i = 0;
  size_t j = 0;
  std::string_view le_x;
  std::string_view le_y;
  const auto skip_le = [this](std::span<const PairId> list, size_t& at, std::string_view& le) {
    if (at < list.size() && String(Pair(list[at]).name) == "le") {
      le = String(Pair(list[at]).value);
      ++at;
    }
  };
  while (true) {
    skip_le(x, i, le_x);
    skip_le(y, j, le_y);
    if (i == x.size() || j == y.size()) break;
    if (x[i] != y[j]) {
      const LabelPair& p = Pair(x[i]);
      const LabelPair& q = Pair(y[j]);
      if (p.name != q.name) return String(p.name) <=> String(q.name);
      return String(p.value) <=> String(q.value);
    }
    ++i;
    ++j;
  }
  if (i < x.size()) return std::strong_ordering::greater;
  if (j < y.size()) return std::strong_ordering::less;
  if (le_x.empty() || le_y.empty()) return le_x.size() <=> le_y.size();  // absent comes first
  return CompareLe(le_x, le_y);
}

bool Tables::Before(SeriesOrdinal a, SeriesOrdinal b) const {
  const SeriesPlace x = Place(a);
  const SeriesPlace y = Place(b);
  return x == y ? CompareShapes(Series(a).shape, Series(b).shape) < 0 : x < y;
}

size_t Tables::Bytes() const {
  return text.bytes() + words.bytes() + strings.size() * sizeof(const char*) +
         pairs.size() * sizeof(LabelPair) + groups.size() * sizeof(GroupEntry) +
         shapes.size() * sizeof(const uint32_t*) +
         series.size() * (sizeof(SeriesId) + sizeof(SeriesEntry));
}

}  // namespace index_internal

SeriesId SeriesSet::id(size_t i) const { return tables_->ids[static_cast<uint32_t>(ordinals_[i])]; }
SeriesPlace SeriesSet::place(size_t i) const { return tables_->Place(ordinals_[i]); }

Labels SeriesSet::labels(size_t i) const {
  std::vector<LabelView> views;
  tables_->AppendLabels(ordinals_[i], views);
  std::vector<Label> labels;
  labels.reserve(views.size());
  for (const LabelView& v : views) labels.push_back({std::string(v.name), std::string(v.value)});
  return Labels(std::move(labels));
}

void SeriesSet::AppendLabels(size_t i, std::vector<LabelView>& out) const {
  tables_->AppendLabels(ordinals_[i], out);
}

std::string_view SeriesSet::label(size_t i, std::string_view name) const {
  return tables_->Label(ordinals_[i], name);
}

}  // namespace basalt::storage
