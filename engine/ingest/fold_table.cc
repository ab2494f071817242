#include "engine/ingest/fold_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "engine/base/little_endian.h"
#include "engine/base/varint.h"

namespace basalt::ingest {
namespace {

constexpr double kNothingStored = -std::numeric_limits<double>::infinity();
// Entries of a journal.
constexpr char kGroupEntry = 'G';   // varint number, canonical labels, sum, zigzag newest ms
constexpr char kMemberEntry = 'M';  // id, last, varint group, varint low bits of its time

bool ReadBits(VarintReader& in, uint64_t& bits) {
  std::string_view bytes;
  if (!in.ReadBytes(8, bytes)) return false;
  bits = LoadLittleEndian<uint64_t>(bytes.data());
  return true;
}

// How much later than a member's time `ms` is: right within 24 days either way.
int64_t Since(uint32_t time_low, int64_t ms) {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(ms)) - time_low);
}

}  // namespace

std::optional<FoldGroup> FoldTable::Find(FoldMember member) const {
  const auto found = members_.find(member);
  if (found == members_.end()) return std::nullopt;
  return found->group;
}

bool FoldTable::HasGroup(std::string_view canonical_labels) const {
  return by_labels_.contains(std::string(canonical_labels));
}

FoldGroup FoldTable::GroupOf(std::string_view canonical_labels) {
  const auto [entry, is_new] = by_labels_.try_emplace(
      std::string(canonical_labels), FoldGroup{static_cast<uint32_t>(groups_.size())});
  if (is_new) {
    groups_.push_back({.labels = std::string(canonical_labels)});
    stored_.push_back(kNothingStored);
  }
  return entry->second;
}

void FoldTable::AddMember(FoldMember member, FoldGroup group) {
  BASALT_CHECK(static_cast<size_t>(group) < groups_.size(), "AddMember: no such group");
  members_.insert({.id = member, .group = group});
}

FoldOutcome FoldTable::Add(const FoldedSample& sample) {
  auto found = members_.find(sample.member);
  if (found == members_.end()) {
    AddMember(sample.member, sample.group);
    found = members_.find(sample.member);
  }
  const Member& member = *found;
  Group& group = groups_[static_cast<size_t>(member.group)];
  if (!std::isfinite(sample.value)) return FoldOutcome::kNotFinite;
  const bool is_first = std::isnan(member.last);
  const int64_t since_ms = is_first ? 0 : Since(member.time_low, sample.time_ms);
  if (!is_first && since_ms <= 0) return FoldOutcome::kLate;
  // A counter that began after its last sample, or fell, has counted from 0.
  const bool began_since = sample.start_ms != storage::kNoStartMs && !is_first &&
                           sample.start_ms > sample.time_ms - since_ms;
  double increase = 0;
  if (!is_first)
    increase =
        began_since || sample.value < member.last ? sample.value : sample.value - member.last;
  group.sum += increase;
  group.newest_ms = std::max(group.newest_ms, sample.time_ms);
  member.last = sample.value;
  member.time_low = static_cast<uint32_t>(static_cast<uint64_t>(sample.time_ms));
  return FoldOutcome::kCounted;
}

void FoldTable::RaiseTo(FoldGroup group, double stored_sum, int64_t stored_ms) {
  Group& g = groups_[static_cast<size_t>(group)];
  g.is_compared = true;
  if (!std::isfinite(stored_sum)) return;
  // Nothing was known of it here: it goes on where the stored series ends.
  if (g.newest_ms == INT64_MIN) g.sum = stored_sum;
  g.newest_ms = std::max(g.newest_ms, stored_ms);
  stored_[static_cast<size_t>(group)] = stored_sum;
}

double FoldTable::ValueOf(FoldGroup group) const {
  return std::max(groups_[static_cast<size_t>(group)].sum, stored_[static_cast<size_t>(group)]);
}

bool FoldTable::IsIdle(const Member& member) const {
  const Group& group = groups_[static_cast<size_t>(member.group)];
  if (group.newest_ms == INT64_MIN || std::isnan(member.last)) return false;
  const int64_t since_ms = Since(member.time_low, group.newest_ms);
  // Below 0: half of what 32 bits tell apart has passed.
  return since_ms > kIdleMember.count() || since_ms < 0;
}

size_t FoldTable::ForgetIdle() {
  const size_t before = members_.size();
  absl::erase_if(members_, [this](const Member& member) { return IsIdle(member); });
  return before - members_.size();
}

void FoldTable::WriteGroup(FoldGroup number, std::string& out) const {
  const Group& group = groups_[static_cast<size_t>(number)];
  out += kGroupEntry;
  AppendVarint(static_cast<uint32_t>(number), out);
  AppendVarint(group.labels.size(), out);
  out += group.labels;
  AppendLittleEndian(std::bit_cast<uint64_t>(group.sum), out);
  AppendVarint(ZigZag(group.newest_ms), out);
}

void FoldTable::Write(const Member& member, std::string& out) const {
  out += kMemberEntry;
  AppendLittleEndian(static_cast<uint64_t>(member.id), out);
  AppendLittleEndian(std::bit_cast<uint64_t>(member.last), out);
  AppendVarint(static_cast<uint32_t>(member.group), out);
  AppendVarint(member.time_low, out);
}

void FoldTable::WriteMember(FoldMember member, std::string& out) const {
  const auto found = members_.find(member);
  if (found != members_.end()) Write(*found, out);
}

void FoldTable::WriteAll(std::string& out) const {
  for (size_t i = 0; i < groups_.size(); ++i) WriteGroup(FoldGroup{static_cast<uint32_t>(i)}, out);
  for (const Member& member : members_) Write(member, out);
}

Status FoldTable::Apply(std::string_view bytes) {
  VarintReader in(bytes);
  while (!in.done()) {
    std::string_view kind;
    (void)in.ReadBytes(1, kind);
    if (kind[0] == kGroupEntry) {
      uint64_t number = 0;
      uint64_t sum = 0;
      std::string_view labels;
      int64_t newest_ms = 0;
      if (!in.Read(number) || !in.ReadString(labels) || !ReadBits(in, sum) ||
          !in.ReadSigned(newest_ms)) {
        return DataLoss("folds: a group ends early");
      }
      // Numbers are given in order, and never again.
      if (number != static_cast<uint32_t>(GroupOf(labels)))
        return DataLoss("folds: group " + std::to_string(number) + " is out of order");
      groups_[number].sum = std::bit_cast<double>(sum);
      groups_[number].newest_ms = newest_ms;
    } else if (kind[0] == kMemberEntry) {
      uint64_t id = 0;
      uint64_t last = 0;
      uint64_t group = 0;
      uint64_t time_low = 0;
      if (!ReadBits(in, id) || !ReadBits(in, last) || !in.Read(group) || !in.Read(time_low))
        return DataLoss("folds: a member ends early");
      if (group >= groups_.size() || time_low > UINT32_MAX)
        return DataLoss("folds: a member of group " + std::to_string(group) + ", which is unknown");
      const Member member{.id = FoldMember{id},
                          .last = std::bit_cast<double>(last),
                          .group = FoldGroup{static_cast<uint32_t>(group)},
                          .time_low = static_cast<uint32_t>(time_low)};
      members_.erase(member);
      members_.insert(member);
    } else {
      return DataLoss("folds: an entry of an unknown kind");
    }
  }
  return OkStatus();
}

size_t FoldTable::memory_bytes() const {
  size_t bytes = members_.capacity() * (sizeof(Member) + 1);  // and a byte of control each
  for (const Group& group : groups_)
    bytes += sizeof(group) + sizeof(double) + 2 * group.labels.size() + sizeof(FoldGroup);
  return bytes;
}

}  // namespace basalt::ingest
