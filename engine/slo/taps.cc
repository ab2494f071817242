#include "engine/slo/taps.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "engine/base/stale.h"
#include "engine/base/status.h"

namespace basalt::slo {
namespace {

using storage::SampleKind;
using storage::TapId;

// Times of a target's last rounds, the newest first: enough to know whether it was there before.
constexpr size_t kRounds = 4;

struct Target {
  std::array<int64_t, kRounds> rounds_ms{};
  size_t rounds = 0;
  // First samples that were not counted for want of evidence, as (leaf, time). Dropped once
  // evidence came or can no longer come.
  std::vector<std::pair<LeafNumber, int64_t>> unevidenced;

  void Saw(int64_t time_ms) {
    if (rounds > 0 && rounds_ms[0] == time_ms) return;  // as mostly: many series, one scrape
    size_t at = 0;
    while (at < rounds && rounds_ms[at] > time_ms) ++at;
    if (at < rounds && rounds_ms[at] == time_ms) return;
    if (at == kRounds) return;
    rounds = std::min(rounds + 1, kRounds);
    for (size_t i = rounds - 1; i > at; --i) rounds_ms[i] = rounds_ms[i - 1];
    rounds_ms[at] = time_ms;
  }
  [[nodiscard]] bool WasThereBefore(int64_t time_ms) const {
    for (size_t i = 0; i < rounds; ++i) {
      if (rounds_ms[i] < time_ms) return rounds_ms[i] >= time_ms - kMinGapMs;
    }
    return false;
  }
};

struct Leaf {
  LeafState state;
  TargetNumber target = kNoTarget;
  bool primed = false;
  bool presence_only = false;  // `up`: marks rounds, counts nothing
  bool more = false;           // the next leaf is of the same series
  bool cumulative = true;
  MeasureIndex measure = 0;
};

struct WaitingSample {
  LeafNumber leaf;
  SampleKind kind;
  LeafSample sample;
  LogPosition position;
};

}  // namespace

struct Taps::Partition {
  mutable Mutex mu;
  std::vector<Leaf> leaves BASALT_GUARDED_BY(mu);
  std::unordered_map<uint32_t, LeafNumber> by_ordinal BASALT_GUARDED_BY(mu);
  std::vector<Target> targets BASALT_GUARDED_BY(mu);
  std::unordered_map<std::string, TargetNumber, StringHash, StringEq> target_numbers
      BASALT_GUARDED_BY(mu);
  std::vector<WaitingSample> waiting BASALT_GUARDED_BY(mu);
  Drained drained BASALT_GUARDED_BY(mu);
  bool overflowed BASALT_GUARDED_BY(mu) = false;

  TargetNumber TargetOf(const Labels& labels) BASALT_REQUIRES(mu);
  // The sample by the leaf's measure; none: it is none of that kind.
  std::optional<LeafSample> ByMeasure(LeafNumber number, LeafSample sample,
                                      const NativeHistogram* histogram, const TapIndex& index)
      BASALT_REQUIRES(mu);
  void Take(LeafNumber number, SampleKind kind, const LeafSample& sample, LogPosition position,
            size_t max_queued) BASALT_REQUIRES(mu);
  // Counts a sample of a primed leaf into `events`.
  void Count(LeafNumber number, SampleKind kind, const LeafSample& sample, LogPosition position,
             LeafEvents& events) BASALT_REQUIRES(mu);
  void SawTarget(TargetNumber number, int64_t time_ms, LogPosition position, LeafEvents& events)
      BASALT_REQUIRES(mu);
};

TargetNumber Taps::Partition::TargetOf(const Labels& labels) {
  const std::string_view job = labels.Get("job");
  const std::string_view instance = labels.Get("instance");
  if (job.empty() || instance.empty()) return kNoTarget;
  std::string key(job);
  key += '\xff';  // not in UTF-8, so no two pairs share a key
  key += instance;
  const auto [it, is_new] =
      target_numbers.try_emplace(std::move(key), static_cast<TargetNumber>(targets.size()));
  if (is_new) targets.emplace_back();
  return it->second;
}

void Taps::Partition::SawTarget(TargetNumber number, int64_t time_ms, LogPosition position,
                                LeafEvents& events) {
  if (number == kNoTarget) return;
  Target& target = targets[number];
  target.Saw(time_ms);
  if (target.unevidenced.empty()) return;
  std::erase_if(target.unevidenced, [&](const auto& first) {
    const auto [leaf, first_ms] = first;
    if (time_ms >= first_ms) return time_ms > first_ms + kMinGapMs;  // too late for a sign
    if (time_ms < first_ms - kMinGapMs) return false;
    events.dirty.push_back({leaf, first_ms, first_ms, position});
    return true;
  });
}

void Taps::Partition::Count(LeafNumber number, SampleKind kind, const LeafSample& sample,
                            LogPosition position, LeafEvents& events) {
  Leaf& leaf = leaves[number];
  const int64_t t = sample.time_ms;
  if (!IsStaleMarker(sample.value)) SawTarget(leaf.target, t, position, events);
  if (leaf.presence_only) return;
  // A store that was opened a moment ago calls late what may be; the other half of a scrape that a
  // restart has cut in two would be missing until its round has settled without it.
  if (kind == SampleKind::kLate && IsNewest(leaf.state, t)) kind = SampleKind::kInOrder;
  if (kind != SampleKind::kInOrder) {
    // Also if it is called late: what is sealed already is not looked up while samples are applied.
    if (t == leaf.state.last_ms && leaf.state.seen && IsCountable(sample.value)) {
      leaf.state.last_value = sample.value;  // what comes next is counted from here
      leaf.state.last_count = sample.count;
    }
    if (kind == SampleKind::kLate) InsertLate(leaf.state, sample);
    events.dirty.push_back({number, t, t, position});
    return;
  }
  // What storage showed when the leaf was primed comes here again.
  if (leaf.state.seen && t <= leaf.state.last_ms) return;
  const bool is_marker = IsStaleMarker(sample.value);
  if (!is_marker && leaf.cumulative && !IsCountable(sample.value)) return;
  bool born = false;
  if (!is_marker && leaf.cumulative && IsFirst(leaf.state, t) && leaf.target != kNoTarget) {
    Target& target = targets[leaf.target];
    born = target.WasThereBefore(t);
    if (!born) target.unevidenced.emplace_back(number, t);
  }
  const Booking booking =
      leaf.cumulative ? Advance(leaf.state, sample, born) : AdvanceGauge(leaf.state, sample);
  const auto event_kind = is_marker ? LeafEvent::Kind::kStale : LeafEvent::Kind::kSample;
  events.counted.push_back({booking, number, event_kind});
}

std::optional<LeafSample> Taps::Partition::ByMeasure(LeafNumber number, LeafSample sample,
                                                     const NativeHistogram* histogram,
                                                     const TapIndex& index) {
  const Leaf& leaf = leaves[number];
  if (leaf.presence_only) return sample;
  if (IsStaleMarker(sample.value)) return sample;  // ends a series of any kind
  return MeasureSample(index.measures()[leaf.measure], sample, histogram);
}

void Taps::Partition::Take(LeafNumber number, SampleKind kind, const LeafSample& sample,
                           LogPosition position, size_t max_queued) {
  if (drained.events.size() + waiting.size() >= max_queued) overflowed = true;
  if (overflowed) return;
  if (leaves[number].primed) {
    Count(number, kind, sample, position, drained.events);
    return;
  }
  if (!IsStaleMarker(sample.value)) {
    SawTarget(leaves[number].target, sample.time_ms, position, drained.events);
  }
  waiting.push_back({number, kind, sample, position});
}

Taps::Taps(const TapIndex& index, uint32_t partitions, size_t max_queued)
    : index_(index), max_queued_(max_queued) {
  for (uint32_t p = 0; p < partitions; ++p) partitions_.push_back(std::make_unique<Partition>());
}

Taps::~Taps() = default;

Taps::Partition& Taps::At(PartitionId partition) const {
  return *partitions_.at(static_cast<size_t>(partition));
}

TapId Taps::OnSeries(PartitionId partition, SeriesOrdinal ordinal, TenantId tenant,
                     const Labels& labels) {
  std::vector<Contribution> contributions = index_.Match(tenant, labels);
  const bool presence = TapIndex::IsPresence(labels);
  if (contributions.empty() && !presence) return storage::kNoTap;
  Partition& p = At(partition);
  const MutexLock lock(p.mu);
  const auto [it, is_new] = p.by_ordinal.try_emplace(static_cast<uint32_t>(ordinal),
                                                     static_cast<LeafNumber>(p.leaves.size()));
  const TargetNumber target = p.TargetOf(labels);
  if (contributions.empty()) {
    if (is_new) p.leaves.emplace_back();
    Leaf& leaf = p.leaves[it->second];
    leaf.target = target;
    leaf.state = LeafState();
    leaf.presence_only = leaf.primed = true;
    return TapId{it->second + 1};
  }
  LeafNumber number = it->second;
  for (auto begin = contributions.begin(); begin != contributions.end(); ++number) {
    const MeasureIndex measure = begin->measure;
    const auto end = std::find_if(begin, contributions.end(),
                                  [&](const Contribution& c) { return c.measure != measure; });
    if (is_new) p.leaves.emplace_back();
    Leaf& leaf = p.leaves[number];
    leaf.target = target;
    leaf.state = LeafState();
    leaf.primed = false;
    leaf.more = end != contributions.end();
    leaf.measure = measure;
    leaf.cumulative = IsCumulative(index_.measures()[measure].kind);
    p.drained.new_leaves.push_back(
        {number, target, ordinal, tenant, labels, {begin, end}, measure});
    begin = end;
  }
  return TapId{it->second + 1};
}

void Taps::OnSeriesGone(PartitionId partition, TapId tap) {
  Partition& p = At(partition);
  const MutexLock lock(p.mu);
  LeafNumber number = static_cast<LeafNumber>(tap) - 1;
  if (p.leaves.at(number).presence_only) return;
  for (bool more = true; more; ++number) {
    Leaf& leaf = p.leaves.at(number);
    // Samples that still wait are in storage; they are read when the leaf comes back.
    leaf.primed = false;
    p.drained.events.counted.push_back({{}, number, LeafEvent::Kind::kGone});
    more = leaf.more;
  }
}

void Taps::OnSamples(const storage::TappedSamples& samples) {
  Partition& p = At(samples.partition);
  const MutexLock lock(p.mu);
  for (size_t i = 0; i < samples.taps.size(); ++i) {
    if (samples.taps[i] == storage::kNoTap) continue;
    LeafNumber number = static_cast<LeafNumber>(samples.taps[i]) - 1;
    const int64_t start_ms = samples.start_ms.empty() ? storage::kNoStartMs : samples.start_ms[i];
    const LeafSample sample{samples.time_ms[i], samples.values[i], start_ms};
    const Leaf& leaf = p.leaves[number];
    if (leaf.measure == 0 && !leaf.more && samples.histograms.empty()) {  // as nearly always
      p.Take(number, samples.kinds[i], sample, samples.position, max_queued_);
      continue;
    }
    const NativeHistogram* const histogram =
        samples.histograms.empty() ? nullptr : samples.histograms[i];
    for (bool more = true; more; ++number) {
      more = p.leaves[number].more;
      const auto measured = p.ByMeasure(number, sample, histogram, index_);
      if (measured.has_value()) {
        p.Take(number, samples.kinds[i], *measured, samples.position, max_queued_);
      }
    }
  }
}

void Taps::OnDelete(const storage::TappedDelete& deletion) {
  Partition& p = At(deletion.partition);
  const MutexLock lock(p.mu);
  LeafNumber number = static_cast<LeafNumber>(deletion.tap) - 1;
  if (p.leaves.at(number).presence_only) return;
  for (bool more = true; more; ++number) {
    p.drained.events.dirty.push_back(
        {number, deletion.start_ms, deletion.end_ms, deletion.position});
    more = p.leaves.at(number).more;
  }
}

void Taps::Drain(PartitionId partition, Drained& drained) {
  drained.new_leaves.clear();
  drained.events.counted.clear();
  drained.events.dirty.clear();
  Partition& p = At(partition);
  const MutexLock lock(p.mu);
  std::swap(p.drained, drained);
  drained.overflowed = p.overflowed;
}

void Taps::Prime(PartitionId partition, std::span<const PrimedLeaf> primed, LeafEvents& events) {
  Partition& p = At(partition);
  const MutexLock lock(p.mu);
  std::unordered_set<LeafNumber> numbers;
  for (const PrimedLeaf& given : primed) {
    Leaf& leaf = p.leaves.at(given.leaf);
    leaf.state = given.state;
    leaf.primed = true;
    if (given.unevidenced_ms.has_value() && leaf.target != kNoTarget) {
      p.targets[leaf.target].unevidenced.emplace_back(given.leaf, *given.unevidenced_ms);
    }
    numbers.insert(given.leaf);
  }
  std::erase_if(p.waiting, [&](const WaitingSample& waiting) BASALT_REQUIRES(p.mu) {
    if (!numbers.contains(waiting.leaf)) return false;
    p.Count(waiting.leaf, waiting.kind, waiting.sample, waiting.position, events);
    return true;
  });
}

}  // namespace basalt::slo
