// engine/ingest/fold_table.h -- counters that are folded: many series of a tenant that grow as one.
//
// A *member* is a series that is not stored; a *group* is the series that stands for it: the
// running sum of the increases of its members. So the sum of rates over the members and the rate of
// the group are the same number. A member costs 24 bytes. What decides who is folded into what:
// firewall.h; why it is right, and kept over restarts: docs/0001-cardinality-firewall.md.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "storage/ingest_batch.h"

namespace basalt::ingest {

// The low half of a SeriesId: among ten million members, two are taken for each other with a
// probability of 3e-6.
enum class FoldMember : uint64_t {};
enum class FoldGroup : uint32_t {};

struct FoldedSample {
  FoldMember member{0};
  FoldGroup group{0};
  int64_t time_ms = 0;
  double value = 0;
  int64_t start_ms = storage::kNoStartMs;
};

// What one sample came to.
enum class FoldOutcome : uint8_t {
  kCounted,    // its increase is in the sum; 0 for a member's first
  kLate,       // not newer than its member's newest: that has counted it already
  kNotFinite,  // NaN (stale markers too) or infinite: no increase can be told
};

// The folds of one tenant. Thread-compatible.
class FoldTable {
 public:
  // A member that is silent for so long, in the time of its group's samples, may be forgotten; if
  // it comes back, its next sample counts as a first one.
  static constexpr Duration kIdleMember = std::chrono::hours(1);

  struct Group {
    std::string labels;  // canonical
    double sum = 0;
    int64_t newest_ms = INT64_MIN;  // of all samples folded; the sum's time
    // The store has been asked what it holds of the series (RaiseTo).
    bool is_compared = false;
  };

  [[nodiscard]] std::optional<FoldGroup> Find(FoldMember member) const;
  // The group of these labels, made if there is none.
  FoldGroup GroupOf(std::string_view canonical_labels);
  [[nodiscard]] bool HasGroup(std::string_view canonical_labels) const;
  // A member of which no sample has been seen.
  void AddMember(FoldMember member, FoldGroup group);

  // Raises the group's sum and time. A member that is not known (it may have been forgotten as idle
  // since its group was found) becomes one of `sample.group`.
  FoldOutcome Add(const FoldedSample& sample);
  // What the store holds of the group's series: the sum never falls below it.
  void RaiseTo(FoldGroup group, double stored_sum, int64_t stored_ms);
  // The value to store for the group now: its sum, but never less than what is stored already.
  [[nodiscard]] const Group& group(FoldGroup group) const {
    return groups_[static_cast<size_t>(group)];
  }
  [[nodiscard]] double ValueOf(FoldGroup group) const;

  // Forgets members that are idle. Returns how many.
  size_t ForgetIdle();

  // State as bytes, for a journal: appended to `out`. Applied in order to an empty table they make
  // it again.
  void WriteAll(std::string& out) const;
  void WriteGroup(FoldGroup group, std::string& out) const;
  void WriteMember(FoldMember member, std::string& out) const;
  // Reads what these wrote. Safe on hostile bytes; kDataLoss if they do not fit, some of them may
  // then be applied.
  Status Apply(std::string_view bytes);

  [[nodiscard]] size_t members() const { return members_.size(); }
  [[nodiscard]] size_t groups() const { return groups_.size(); }
  [[nodiscard]] size_t memory_bytes() const;

 private:
  static constexpr double kUnseen = std::numeric_limits<double>::quiet_NaN();
  // 24 bytes. The time is its low 32 bits, in milliseconds; its group's newest tells the others, as
  // a member that is older than that by 24 days is forgotten.
  struct Member {
    FoldMember id{0};
    mutable double last = kUnseen;
    FoldGroup group{0};
    mutable uint32_t time_low = 0;
  };
  static_assert(sizeof(Member) == 24);
  struct MemberHash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
    size_t operator()(FoldMember id) const { return static_cast<size_t>(id); }
    size_t operator()(const Member& member) const { return static_cast<size_t>(member.id); }
  };
  struct MemberEq {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
    bool operator()(const Member& a, const Member& b) const { return a.id == b.id; }
    bool operator()(const Member& a, FoldMember b) const { return a.id == b; }
    bool operator()(FoldMember a, const Member& b) const { return a == b.id; }
  };
  void Write(const Member& member, std::string& out) const;
  [[nodiscard]] bool IsIdle(const Member& member) const;

  absl::flat_hash_set<Member, MemberHash, MemberEq> members_;
  std::vector<Group> groups_;
  std::vector<double> stored_;  // by group: RaiseTo
  absl::flat_hash_map<std::string, FoldGroup> by_labels_;
};

}  // namespace basalt::ingest
