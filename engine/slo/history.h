// engine/slo/history.h -- counted events read back from stored samples: for new leaves, for edges
// of windows that slots cannot decide, and for corrections after late samples and deletes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/slo/leaf_counter.h"
#include "engine/slo/tap_index.h"
#include "storage/reader.h"

namespace basalt::slo {

// One leaf as storage has it.
struct StoredLeaf {
  PartitionId partition{0};
  SeriesOrdinal ordinal{};
  TenantId tenant{};
  Labels labels;
  MeasureIndex measure = 0;
};

// What ran over a stretch of one leaf's samples.
struct LeafHistory {
  std::vector<Booking> bookings;  // in time order
  LeafState state;                // after the last sample read
  int64_t last_amount_ms = 0;     // the last sample's time, and its amount: what may come next
  Amount last_amount = 0;
  std::optional<int64_t> unevidenced_ms;  // a first sample in the stretch that lacked evidence
};

// To know a leaf's state at a time, its samples from this long before it on are wanted.
inline constexpr int64_t kStateReachMs = kMaxGapMs + 15 * 60'000;

// Series that one SLO may match, at most: a definition that selects more is refused when it is
// read.
inline constexpr size_t kMaxLeavesPerSlo = 2'000'000;

// Reads one snapshot. One thread.
class History {
 public:
  // Borrows `index`.
  History(const TapIndex& index, std::shared_ptr<const storage::Snapshot> snapshot)
      : index_(index), snapshot_(std::move(snapshot)) {}

  // All series of an SLO that may have samples in `range`, each once, in series order. `group`, if
  // given, restricts to those values of group_by.
  Status ForEachLeaf(const Definition& definition, SloIndex slo,
                     const std::vector<std::string>* group, storage::TimeRange range,
                     const std::function<Status(const StoredLeaf&, const storage::Selection&,
                                                size_t in_selection)>& visit);

  // The selections that ForEachLeaf walks through; a series may be in several of one partition.
  Status ForEachSelection(
      const Definition& definition, SloIndex slo, const std::vector<std::string>* group,
      storage::TimeRange range,
      const std::function<Status(PartitionId, const std::shared_ptr<const storage::Selection>&)>&
          visit);

  // Counts the next samples of a leaf into `out`, whose state is that after the ones before.
  // Bookings of samples at or before from_ms are left out, and those without an amount at or before
  // `zeros_from_ms`.
  Status Continue(const StoredLeaf& leaf, const storage::SeriesColumns& columns, int64_t from_ms,
                  int64_t zeros_from_ms, LeafHistory& out);

  // Counts a leaf's samples in (from_ms, to_ms], beginning early enough to know the state at
  // from_ms; bookings of samples at or before from_ms are left out, and those without an amount at
  // or before `zeros_from_ms`.
  Result<LeafHistory> Count(const StoredLeaf& leaf, const storage::Selection& selection,
                            size_t in_selection, int64_t from_ms, int64_t to_ms,
                            int64_t zeros_from_ms = INT64_MAX);
  // The same for a leaf known by its labels. Storage may not know it (yet): then nothing is
  // counted.
  Result<LeafHistory> Count(const StoredLeaf& leaf, int64_t from_ms, int64_t to_ms);

  // The span around `time_ms` in which a change of the leaf's sample there can change bookings:
  // from the sample before to the third one after.
  Result<storage::TimeRange> Reach(const StoredLeaf& leaf, int64_t time_ms);

 private:
  // What HasEvidence read last. The leaves of a target are born in one scrape and come in a row;
  // for each to look through all of its target's would take the square of them.
  struct Evidence {
    TenantId tenant{};
    PartitionId partition{0};
    std::string job;
    std::string instance;
    int64_t time_ms = 0;
    bool found = false;
  };

  Result<bool> HasEvidence(const StoredLeaf& leaf, int64_t time_ms);
  Result<bool> ReadEvidence(const Evidence& target);

  const TapIndex& index_;
  const std::shared_ptr<const storage::Snapshot> snapshot_;
  std::optional<Evidence> last_evidence_;
};

// The values of an SLO's group_by labels; empty for an absent one.
std::vector<std::string> GroupValues(const Definition& definition, const Labels& labels);

}  // namespace basalt::slo
