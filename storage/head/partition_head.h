// storage/head/partition_head.h -- the samples of one partition that are not in runs yet.
//
// Apply-side calls come from the partition's strand, one at a time; reading, sealing and Stats from
// any thread. A lock a partition is held for one record's section, for a few series being copied,
// or for the freeze of a seal.
//
// What readers see. OpenView() names the state of now. It costs nothing until something a view
// looks at changes: then the group concerned remembers what it was (pointers to frozen layers, and
// how many samples of each open stream there were: streams only grow, so a count is a view). Format
// of what is remembered: SavedView.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/apply_observer.h"
#include "storage/head/layer.h"
#include "storage/head/sample_columns.h"
#include "storage/index/index.h"
#include "storage/ingest_batch.h"
#include "storage/parts/deletes.h"

namespace basalt::storage {

// A series is *idle* when the samples of its partition have moved on by this much since its own
// newest one. Event time, so the same for every replay of the same records: no clock decides it. At
// least the lookback of any query and the longest usual scrape interval, by far.
inline constexpr Duration kIdleAfter = std::chrono::hours(2);
// Whether series are idle is looked at when the partition's newest sample enters another interval
// of this length.
inline constexpr Duration kIdleSweep = std::chrono::minutes(10);

// Bounds of StoreOptions::seal_samples: a stream's bytes are counted in 16 bits.
inline constexpr uint32_t kMaxSealSamples = 1024;

// What applying one section came to.
struct ApplyCounts {
  uint64_t accepted = 0;
  uint64_t identical = 0;
  uint64_t overwritten = 0;
  uint64_t late = 0;
  uint64_t histograms = 0;  // of those accepted
  std::vector<std::pair<SeriesId, SeriesOrdinal>> created;
  // Series whose id or labels did not fit: our own mistake or damage that a checksum did not catch.
  // Left out whole.
  uint64_t series_refused = 0;
};

// Everything a group had when it was frozen for a seal. Slots are indexes into `members`.
struct FrozenGroup {
  GroupId group{0};
  std::vector<SeriesOrdinal> members;
  std::vector<std::shared_ptr<const FrozenLayer>> layers;  // lowest precedence first
  std::vector<std::shared_ptr<const LateList>> lates;      // above all layers, lowest first
};

// Puts one series of it together; `masks` are deletes.
void ReadFrozen(const FrozenGroup& group, uint32_t slot, TimeRange range,
                const DeleteSnapshot& masks, SampleColumns& out);

struct FrozenPartition {
  LogPosition last;  // everything applied up to here is in it, in runs, or still in the head
  std::vector<FrozenGroup> groups;
  uint64_t samples = 0;
};

// Which groups a seal takes.
struct SealWish {
  bool everything = false;
  bool full = true;             // those that have `full_layers`
  uint32_t full_layers = 1;     // full ones, of seal_samples each; or a full list of late samples
  uint64_t older_than_seq = 0;  // those whose oldest sample came before this position
};

struct HeadStats {
  uint64_t groups = 0;   // with a place in memory
  uint64_t series = 0;   // likewise
  uint64_t samples = 0;  // not yet dropped after a seal
  uint64_t bytes = 0;
  // [n]: those that SealWish::full with n + 1 layers takes.
  static constexpr size_t kCountedLayers = 4;
  std::array<uint64_t, kCountedLayers> groups_full = {};
  uint64_t groups_filled = 0;  // with any sample
  uint64_t filled_series = 0;  // of those groups
  uint64_t sample_bytes = 0;   // of `bytes`: what sealing gives back, or makes room with
};

class PartitionHead {
 public:
  // `index` must outlive it; inserting into it is this class' part of apply.
  // `seal_samples`: 1..kMaxSealSamples.
  PartitionHead(PartitionId partition, PartitionIndex& index, uint32_t seal_samples);
  ~PartitionHead();
  PartitionHead(const PartitionHead&) = delete;
  PartitionHead& operator=(const PartitionHead&) = delete;

  // ---- apply side ----

  // Applies floats and histograms of one section. Its `partition` must be this one.
  void Apply(const IngestBatch& batch, LogPosition position, ApplyCounts& counts)
      BASALT_EXCLUDES(mu_);
  // A delete of these series (sorted). What is in the head so far is frozen, so that the mask,
  // which lies after it in the log, applies to it as it does to runs.
  void Delete(std::span<const SeriesOrdinal> ordinals, TimeRange range, LogPosition position)
      BASALT_EXCLUDES(mu_);
  // A record that touches the partition in another way.
  void Skip(LogPosition position) BASALT_EXCLUDES(mu_);
  // Null removes it. OnSeries is called for every series of the index. A tapped series that is idle
  // is given up by OnSeriesGone, decided by the records since then alone: by its newest sample, or
  // by where the partition stood here if it has had none in memory. With its next sample, or a
  // delete of it, it comes back by another OnSeries, followed by that. The observer is called with
  // the partition's lock held, so it must not read the partition.
  void Observe(ApplyObserver* observer) BASALT_EXCLUDES(mu_);

  // ---- seal ----

  // Freezes and hands out what `wish` says. One at a time: until Drop or Keep ends it.
  FrozenPartition Freeze(const SealWish& wish) BASALT_EXCLUDES(mu_);
  // The frozen samples are in committed runs: they leave the head. Views still see them.
  void Drop() BASALT_EXCLUDES(mu_);
  // The seal failed: they stay, to be sealed again.
  void Keep() BASALT_EXCLUDES(mu_);
  // The oldest log position that is needed to replay what is in the head and not frozen by a seal
  // under way.
  [[nodiscard]] std::optional<uint64_t> OldestSeq() const BASALT_EXCLUDES(mu_);
  // Forgets idle series whose group has no samples in memory and is not being looked at; they come
  // back when written to.
  void ForgetIdle() BASALT_EXCLUDES(mu_);
  // Runs hold samples up to this time. A first sample in memory that is not newer is reported as
  // late, since it may be.
  void SealedUpTo(int64_t max_ms) BASALT_EXCLUDES(mu_);

  // ---- read side ----

  // The state of now, until CloseView.
  [[nodiscard]] uint64_t OpenView() BASALT_EXCLUDES(mu_);
  void CloseView(uint64_t view) BASALT_EXCLUDES(mu_);
  // The samples of each of `ordinals` in the range as of `view`, into out[i]; `masks` are the
  // deletes of that moment.
  void Read(uint64_t view, std::span<const SeriesOrdinal> ordinals, TimeRange range,
            const DeleteSnapshot& masks, std::vector<SampleColumns>& out) const
      BASALT_EXCLUDES(mu_);

  // The newest sample in the range, where it is at hand.
  struct Newest {
    int64_t time_ms = INT64_MIN;  // none
    bool stale = false;
    bool known = true;  // false: only Read can tell
  };
  // Of each of `ordinals` into out[i], as of `view`. Decodes nothing.
  void FindNewest(uint64_t view, std::span<const SeriesOrdinal> ordinals, TimeRange range,
                  std::vector<Newest>& out) const BASALT_EXCLUDES(mu_);

  [[nodiscard]] LogPosition applied() const BASALT_EXCLUDES(mu_);
  [[nodiscard]] HeadStats Stats() const BASALT_EXCLUDES(mu_);

 private:
  struct SavedView;
  struct Group;
  struct Place {
    uint32_t group = kNoGroup;  // index into groups_: GroupId
    uint16_t slot = 0;
  };
  static constexpr uint32_t kNoGroup = 0xFFFF'FFFF;

  // Where a series of the batch being applied has its samples put.
  struct Target {
    SeriesOrdinal ordinal = kUnknownOrdinal;
    uint32_t slot = 0;
    bool created = false;  // by the record being applied
    Group* group = nullptr;
  };
  // What the observer is to be told of the record being applied.
  struct TappedColumns {
    std::vector<TapId> taps;
    std::vector<int64_t> time_ms;
    std::vector<double> values;
    std::vector<int64_t> start_ms;
    std::vector<SampleKind> kinds;
    std::vector<const NativeHistogram*> histograms;  // empty, or as TappedSamples has them
  };

  // ---- apply (partition_head.cc, apply_scrape.cc)

  // Whether all series of a batch exist and are who they say, and no float has a start: then its
  // samples need no targets_, and go by ApplyKnown.
  [[nodiscard]] bool AllKnown(const IngestBatch& batch) const BASALT_REQUIRES(mu_);
  // The floats of such a batch, a target's scrape at a time.
  void ApplyKnown(const IngestBatch& batch, uint64_t seq, ApplyCounts& counts) BASALT_REQUIRES(mu_);
  // Of `count` samples from `first` on, which are of one group and one time; slots_ has theirs.
  void ApplyScrape(const IngestBatch& batch, size_t first, size_t count, Group& group, uint64_t seq,
                   ApplyCounts& counts) BASALT_REQUIRES(mu_);
  // The floats of any other; targets_ has been filled.
  void ApplyAny(const IngestBatch& batch, uint64_t seq, ApplyCounts& counts) BASALT_REQUIRES(mu_);
  // One float, of either.
  void ApplyFloat(const IngestBatch& batch, size_t i, const Target& target, uint64_t seq,
                  ApplyCounts& counts) BASALT_REQUIRES(mu_);
  // Finds or creates the series; an unknown ordinal in the result: refused.
  Target Resolve(const IngestBatch& batch, const BatchSeries& series, ApplyCounts& counts)
      BASALT_REQUIRES(mu_);
  // Gives a series of the index its place in memory.
  Target PlaceOf(SeriesOrdinal ordinal) BASALT_REQUIRES(mu_);
  // What became of the sample; nullopt if it was there already.
  std::optional<SampleKind> ApplySample(const Target& target, const NewSample& sample, uint64_t seq)
      BASALT_REQUIRES(mu_);
  void Count(const std::optional<SampleKind>& kind, ApplyCounts& counts) BASALT_REQUIRES(mu_);
  void AddLate(Group& group, uint32_t slot, const NewSample& sample, uint64_t seq)
      BASALT_REQUIRES(mu_);
  // `histogram`: in place of the sample's value.
  void Report(const Target& target, const NewSample& sample, SampleKind kind,
              const NativeHistogram* histogram = nullptr) BASALT_REQUIRES(mu_);
  void ReportNewSeries(SeriesOrdinal ordinal) BASALT_REQUIRES(mu_);
  // Hands what was collected to the observer.
  void ReportSamples() BASALT_REQUIRES(mu_);
  // The newest sample of a series in memory; INT64_MIN if it has none, or no place.
  [[nodiscard]] int64_t NewestMs(uint32_t ordinal) const BASALT_REQUIRES(mu_);
  // Event time has moved to `newest_ms`: idle series may have to be given up.
  void MoveOn(int64_t newest_ms) BASALT_REQUIRES(mu_);
  // Forgets the idle series of a group; true if none is left.
  bool ForgetIdleOf(Group& group) BASALT_REQUIRES(mu_);
  // Tells the index of the series' day, unless the group shows that it knows.
  void MarkDay(const Target& target, int64_t time_ms) BASALT_REQUIRES(mu_);

  // To be called before anything that a view could see changes in `group`; then version_ is raised.
  void BeforeChange(Group& group) BASALT_REQUIRES(mu_);
  // Freezing changes where samples are, not which: views need not be told, but for where to look.
  void FreezeLayer(Group& group, uint64_t frozen_seq) BASALT_REQUIRES(mu_);
  void FreezeLate(Group& group, uint64_t frozen_seq) BASALT_REQUIRES(mu_);
  [[nodiscard]] static bool IsFull(const Group& group, uint32_t layers);
  [[nodiscard]] bool Wanted(const Group& group, const SealWish& wish) const BASALT_REQUIRES(mu_);

  const PartitionId partition_;
  PartitionIndex& index_;
  const uint32_t seal_samples_;

  mutable Mutex mu_;
  LogPosition applied_ BASALT_GUARDED_BY(mu_);
  uint64_t version_ BASALT_GUARDED_BY(mu_) =
      1;  // of the state; every change of any group raises it
  std::vector<std::unique_ptr<Group>> groups_
      BASALT_GUARDED_BY(mu_);                         // by GroupId; null while not in memory
  std::vector<Place> places_ BASALT_GUARDED_BY(mu_);  // by ordinal
  std::vector<TapId> taps_ BASALT_GUARDED_BY(mu_);    // by ordinal; empty without an observer
  ApplyObserver* observer_ BASALT_GUARDED_BY(mu_) = nullptr;
  std::map<uint64_t, uint32_t> views_
      BASALT_GUARDED_BY(mu_);  // open ones, with how many share each
  std::vector<uint32_t> groups_with_views_ BASALT_GUARDED_BY(mu_);
  std::vector<Target> targets_ BASALT_GUARDED_BY(mu_);    // scratch of Apply
  std::vector<uint16_t> slots_ BASALT_GUARDED_BY(mu_);    // scratch of ApplyKnown
  int64_t newest_ms_ BASALT_GUARDED_BY(mu_) = INT64_MIN;  // of the record being applied, or before
  TappedColumns tapped_ BASALT_GUARDED_BY(mu_);           // likewise
  std::vector<uint32_t> sealing_ BASALT_GUARDED_BY(mu_);  // groups of the seal under way
  uint32_t known_series_ BASALT_GUARDED_BY(mu_) = 0;      // ordinals below are in the index
  int64_t event_ms_ BASALT_GUARDED_BY(mu_) = INT64_MIN;   // the newest sample applied
  int64_t next_sweep_ms_ BASALT_GUARDED_BY(mu_) = INT64_MIN;
  int64_t observed_ms_ BASALT_GUARDED_BY(mu_) = INT64_MIN;  // event_ms_ when the observer came
  int64_t sealed_ms_ BASALT_GUARDED_BY(mu_) = INT64_MIN;    // see SealedUpTo
  uint64_t group_count_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t series_count_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t samples_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t frozen_bytes_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t open_late_ BASALT_GUARDED_BY(mu_) = 0;  // samples in open late lists
};

}  // namespace basalt::storage
