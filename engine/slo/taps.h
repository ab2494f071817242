// engine/slo/taps.h -- the observer in the write path: accepted samples in, counted events out.
//
// For each partition a table of leaves (tapped series) and a queue of events for the sweep. A
// tapped sample costs one step of leaf_counter.h and one push under the partition's own lock; the
// sweep takes the queues by swapping, so neither waits for the other's work.
//
// A leaf begins *unprimed*: nobody knows what came before its first sample here. Its samples wait
// until the sweep has read its history from storage and hands over the state (Prime). Thereby
// restart, new SLOs, new series and series read back after a rest are one and the same case, and
// nothing is missed or counted twice: what storage showed is skipped in the waiting samples by
// time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/mutex.h"
#include "engine/slo/leaf_counter.h"
#include "engine/slo/tap_index.h"
#include "storage/apply_observer.h"

namespace basalt::slo {

// A leaf's number in its partition; the TapId of a series is one more than its first leaf's, and
// its other leaves follow (measure.h). Given once, kept while the taps live.
using LeafNumber = uint32_t;
// A target's number in its partition. Series without job and instance have none.
using TargetNumber = uint32_t;
inline constexpr TargetNumber kNoTarget = UINT32_MAX;

struct LeafEvent {
  enum class Kind : uint8_t {
    kSample,  // `booking` happened; a baseline books 0
    kStale,   // the series ended at booking.to_ms
    kGone,    // left memory
  };
  Booking booking;
  LeafNumber leaf = 0;
  Kind kind = Kind::kSample;
};

// Storage has changed in [from_ms, to_ms]: recompute around it. It shows from `position` on.
struct DirtyLeaf {
  LeafNumber leaf = 0;
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  LogPosition position;
};

struct LeafEvents {
  std::vector<LeafEvent> counted;  // in the order of apply
  std::vector<DirtyLeaf> dirty;
  [[nodiscard]] size_t size() const { return counted.size() + dirty.size(); }
};

struct NewLeaf {
  LeafNumber leaf = 0;
  TargetNumber target = kNoTarget;
  SeriesOrdinal ordinal{};
  TenantId tenant{};
  Labels labels;
  std::vector<Contribution> contributions;  // of one measure
  MeasureIndex measure = 0;
};

// What a sweep takes from a partition.
struct Drained {
  std::vector<NewLeaf> new_leaves;  // to be primed; also leaves that came back
  LeafEvents events;
  // More was queued than fits, and dropped: these taps are useless from now on. Make new ones and
  // read everything from storage again.
  bool overflowed = false;
};

// Waiting samples of unprimed leaves, and events, that a partition holds at most (each 32 to 56
// bytes).
inline constexpr size_t kMaxQueued = 2'000'000;

// A leaf's state as of what storage shows.
struct PrimedLeaf {
  LeafNumber leaf = 0;
  LeafState state;
  // Its first sample was counted as a mere baseline for want of a sign that its target was there
  // before. If one arrives later, the leaf becomes dirty at this time.
  std::optional<int64_t> unevidenced_ms;
};

// Thread-safe, as ApplyObserver asks.
class Taps final : public storage::ApplyObserver {
 public:
  Taps(const TapIndex& index, uint32_t partitions, size_t max_queued = kMaxQueued);
  ~Taps() override;

  storage::TapId OnSeries(PartitionId partition, SeriesOrdinal ordinal, TenantId tenant,
                          const Labels& labels) override;
  void OnSeriesGone(PartitionId partition, storage::TapId tap) override;
  void OnSamples(const storage::TappedSamples& samples) override;
  void OnDelete(const storage::TappedDelete& deletion) override;

  // For the sweep. Gives what has queued since the last time, and takes `drained`'s memory to queue
  // in from now on.
  void Drain(PartitionId partition, Drained& drained);
  // Gives unprimed leaves their states, and appends the events of those samples that waited and are
  // newer.
  void Prime(PartitionId partition, std::span<const PrimedLeaf> primed, LeafEvents& events);

 private:
  struct Partition;
  Partition& At(PartitionId partition) const;

  const TapIndex& index_;
  const size_t max_queued_;
  std::vector<std::unique_ptr<Partition>> partitions_;
};

}  // namespace basalt::slo
