#include "storage/sealer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "engine/base/log.h"
#include "engine/base/time.h"
#include "storage/head/seal.h"
#include "storage/parts/meta_keys.h"

namespace basalt::storage {
namespace {

using std::chrono::nanoseconds;

// New series beyond this are committed without waiting for a seal: they would make a start slow (5
// us each instead of 0.3 when they are read from the database) and the next commit large.
constexpr uint64_t kMaxUncommittedSeries = 256u << 10;
// Partitions written side by side when somebody waits.
constexpr size_t kMaxSideBySide = 4;
// Closing says how far it is, so often.
constexpr auto kProgressInterval = std::chrono::seconds(1);

size_t SideBySide() {
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxSideBySide);
}

std::string ReplayKey(size_t partition) {
  std::string key(kPartitionReplayPrefix);
  AppendBigEndian(partition, 2, key);
  return key;
}

constexpr SealWish kEverything{
    .everything = true, .full = true, .full_layers = 1, .older_than_seq = 0};

}  // namespace

Status Sealer::Load() {
  const MutexLock lock(mu_);
  const size_t partitions = core_.partitions.size();
  timing_.assign(partitions, {});
  sealed_to_.assign(partitions, LogPosition{});
  for (const auto& run : core_.runs->Snapshot()->runs()) {
    const RunInfo& info = run->info();
    LogPosition& to = sealed_to_[static_cast<size_t>(info.partition)];
    to = std::max(to, info.last);
    core_.at(info.partition).head->SealedUpTo(info.max_ms);
  }
  uint64_t from = 1;
  for (const LogPosition& position : core_.runs->ReplayFrom()) {
    if (position.lane == 0) from = std::max(from, position.seq);
  }
  replay_from_.assign(partitions, from);
  return core_.database->ForEach(
      Family::kMeta, kPartitionReplayPrefix,
      [this](std::string_view key, std::string_view value)
          BASALT_NO_THREAD_SAFETY_ANALYSIS -> Status {
            uint64_t partition = 0;
            uint64_t seq = 0;
            if (!ReadBigEndian(key.substr(kPartitionReplayPrefix.size()), 2, partition) ||
                partition >= replay_from_.size() || !ReadBigEndian(value, 8, seq)) {
              return DataLoss("meta: a partition's replay position does not parse");
            }
            replay_from_[partition] = std::max(replay_from_[partition], seq);
            return OkStatus();
          });
}

uint64_t Sealer::ReplayFrom(PartitionId partition) const {
  const MutexLock lock(mu_);
  return replay_from_[static_cast<size_t>(partition)];
}

// ---- what is due ----

void Sealer::Mark() {
  const nanoseconds now = core_.options.clock->Monotonic();
  const uint64_t head = core_.applied.watermark();
  if (marks_.empty() || marks_.back().first != head) marks_.emplace_back(head, now);
  // One mark older than the age asked about is enough.
  while (marks_.size() > 1 && marks_[1].second + core_.options.seal_age <= now) marks_.pop_front();
}

uint64_t Sealer::SeqOlderThan(Duration age) {
  const nanoseconds now = core_.options.clock->Monotonic();
  uint64_t found = 0;
  for (const auto& [seq, time] : marks_) {
    if (time + age > now) break;
    found = seq;
  }
  return found;
}

std::vector<PartitionFill> Sealer::Fills() {
  const nanoseconds now = core_.options.clock->Monotonic();
  std::vector<PartitionFill> fills;
  size_t bytes = 0;
  for (const auto& partition : core_.partitions) {
    PartitionFill& fill = fills.emplace_back();
    fill.head = partition->head->Stats();
    fill.oldest_seq = partition->head->OldestSeq();
    bytes += fill.head.sample_bytes;
  }
  sample_bytes_ = bytes;
  const uint32_t full_layers = FullLayers(fills, limits_);
  for (size_t p = 0; p < fills.size(); ++p) {
    PartitionFill& fill = fills[p];
    Timing& timing = timing_[p];
    if (fill.head.groups_full[full_layers - 1] == 0) {
      timing.full_since = nanoseconds(0);
    } else if (timing.full_since == nanoseconds(0)) {
      timing.full_since = now;
    }
    fill.phased = timing.phased;
    fill.patience_over =
        timing.full_since != nanoseconds(0) && now - timing.full_since >= kFullGroupPatience;
  }
  return fills;
}

uint64_t Sealer::UncommittedSeries() const {
  uint64_t uncommitted = 0;
  for (const auto& partition : core_.partitions) {
    uncommitted += partition->index.series_count() - core_.runs->Counts(partition->id).series;
  }
  return uncommitted;
}

Status Sealer::SealDue() {
  const MutexLock lock(mu_);
  Mark();
  if (UncommittedSeries() >= kMaxUncommittedSeries) BASALT_TRY(Seal({}).WithContext("new series"));
  // A pass is bounded: what becomes due meanwhile is the next tick's.
  for (size_t i = 0; i < 2 * core_.partitions.size() && !closing_; ++i) {
    const LogStats log = core_.log->Stats();
    const LogFill log_fill{.bytes = log.segment_bytes,
                           .segments = log.segments,
                           .first_seq = core_.log->First().seq,
                           .head_seq = core_.applied.watermark(),
                           .old_seq = SeqOlderThan(core_.options.seal_age),
                           .nearly_old_seq = SeqOlderThan(std::chrono::duration_cast<Duration>(
                               core_.options.seal_age * kNearlyOld))};
    const std::optional<SealOrder> order = NextSeal(Fills(), log_fill, limits_);
    if (!order.has_value()) break;
    BASALT_TRY(Seal({&*order, 1}).WithContext(SealReasonName(order->reason)));
  }
  return OkStatus();
}

Status Sealer::SealAll() {
  const MutexLock lock(mu_);
  std::vector<SealOrder> orders;
  for (size_t p = 0; p < core_.partitions.size(); ++p)
    orders.push_back({.partition = p, .wish = kEverything});
  return Seal(orders);
}

Result<size_t> Sealer::SealWithin(nanoseconds patience) {
  using SteadyClock = std::chrono::steady_clock;
  const auto begin = SteadyClock::now();
  const MutexLock lock(mu_);
  std::vector<std::pair<uint64_t, size_t>> waiting;  // samples, partition
  uint64_t left = 0;
  for (size_t p = 0; p < core_.partitions.size(); ++p) {
    const uint64_t samples = core_.partitions[p]->head->Stats().samples;
    if (samples > 0) waiting.emplace_back(samples, p);
    left += samples;
  }
  if (waiting.empty() || patience <= nanoseconds(0)) return waiting.size();
  std::sort(waiting.begin(), waiting.end());
  // In a commit of their own: the first seal would be slow by all of them, and tell nothing about
  // the next.
  if (UncommittedSeries() > 0) BASALT_TRY(Seal({}).WithContext("new series"));

  // What a sample takes, as the last round has shown: the first one warms up.
  double ns_a_sample = 0;
  auto last = SteadyClock::now();
  auto said = begin;
  while (!waiting.empty()) {
    std::vector<SealOrder> orders;
    uint64_t samples = 0;
    for (size_t i = 0; i < SideBySide() && i < waiting.size(); ++i) {
      const auto& [of_partition, partition] = waiting[waiting.size() - 1 - i];
      orders.push_back({.partition = partition, .wish = kEverything});
      samples += of_partition;
    }
    const nanoseconds expected(static_cast<int64_t>(ns_a_sample * static_cast<double>(samples)));
    if (last - begin + expected > patience) break;
    BASALT_TRY(Seal(orders));
    waiting.resize(waiting.size() - orders.size());
    left -= samples;
    const auto now = SteadyClock::now();
    ns_a_sample = static_cast<double>((now - last).count()) / static_cast<double>(samples);
    last = now;
    if (now - said >= kProgressInterval) {
      said = now;
      BASALT_LOG(
          kInfo, "close: sealing, so that the next start is short", {"samples_left", left},
          {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(now - begin).count()});
    }
  }
  return waiting.size();
}

// ---- one seal ----

Result<std::vector<FinishedRun>> Sealer::Write(std::span<const SealOrder> orders,
                                               std::span<const FrozenPartition> frozen,
                                               std::map<LogPosition, uint64_t>& removed) {
  struct Task {
    const Partition* partition = nullptr;
    std::shared_ptr<const DeleteSnapshot> masks;
    LogPosition after;
    std::map<LogPosition, uint64_t> removed;
    Result<std::vector<FinishedRun>> written = std::vector<FinishedRun>();
  };
  std::vector<Task> tasks(orders.size());
  for (size_t i = 0; i < orders.size(); ++i) {
    tasks[i].partition = core_.partitions[orders[i].partition].get();
    tasks[i].masks = core_.deletes->Snapshot(tasks[i].partition->id);
    tasks[i].after = sealed_to_[orders[i].partition];
  }
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      if (frozen[i].groups.empty()) continue;
      Task& task = tasks[i];
      task.written = WriteFrozen(frozen[i], task.partition->id, task.partition->index, *task.masks,
                                 task.after, *core_.runs, task.removed);
    }
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min(SideBySide(), tasks.size()); ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();

  std::vector<FinishedRun> runs;
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!tasks[i].written.ok()) {
      return tasks[i].written.status().WithContext("partition " +
                                                   std::to_string(orders[i].partition));
    }
    for (FinishedRun& run : *tasks[i].written) runs.push_back(std::move(run));
    for (const auto& [id, samples] : tasks[i].removed) removed[id] += samples;
  }
  return runs;
}

Status Sealer::Seal(std::span<const SealOrder> orders) {
  const WorkScope scope(StoreWork::kSeal);
  const Step step(core_.options, StoreStep::kSeal);
  // Read first: what is applied after it is newer than anything a group tells below.
  const uint64_t watermark = core_.applied.watermark();
  // Should the commit fail, what is frozen now stays in the head, and with it the masks that it
  // needs.
  uint64_t head_from = watermark + 1;
  for (const auto& partition : core_.partitions)
    head_from = std::min(head_from, partition->head->OldestSeq().value_or(head_from));
  std::vector<FrozenPartition> frozen;
  for (const SealOrder& order : orders) {
    PartitionHead& head = *core_.partitions[order.partition]->head;
    // Only one run of a partition and day may have an empty interval (RunInfo::after), so a seal
    // that would give one takes everything.
    const bool nothing_new = head.applied() <= sealed_to_[order.partition];
    frozen.push_back(head.Freeze(nothing_new ? kEverything : order.wish));
  }
  std::vector<uint64_t> replay_from;  // by partition
  for (const auto& partition : core_.partitions) {
    replay_from.push_back(
        std::min(watermark + 1, partition->head->OldestSeq().value_or(watermark + 1)));
  }
  const uint64_t log_from = *std::min_element(replay_from.begin(), replay_from.end());
  std::map<LogPosition, uint64_t> removed;  // by deletes, of what was frozen
  bool counted = false;
  const auto keep = [&](const Status& status) {
    for (const SealOrder& order : orders) core_.partitions[order.partition]->head->Keep();
    if (counted) core_.receipts->Undo(removed, 0);
    return status.WithContext("seal");
  };

  RunCommit commit;
  Result<std::vector<FinishedRun>> written = Write(orders, frozen, removed);
  if (!written.ok()) return keep(written.status());
  commit.added = std::move(*written);
  commit.replay_from = {{.lane = 0, .seq = log_from}};
  for (const auto& partition : core_.partitions)
    commit.index.push_back(partition->index.PrepareFlush());
  commit.writers = core_.writers.All();
  core_.exemplars->Save(commit.extra);
  core_.metadata->Save(commit.extra);
  core_.deletes->Save(*core_.runs->Snapshot(), {.lane = 0, .seq = head_from}, commit.extra);
  core_.receipts->Save(commit.extra);
  core_.receipts->CarriedOut(removed, 0, commit.extra);
  counted = true;
  for (size_t p = 0; p < replay_from.size(); ++p) {
    std::string value;
    AppendBigEndian(replay_from[p], 8, value);
    commit.extra.Put(Family::kMeta, ReplayKey(p), value);
  }
  uint64_t bytes_written = 0;
  for (const FinishedRun& run : commit.added) bytes_written += run.info().bytes;
  // What FlushCommitted needs of them; the writes themselves can be as large as all new series.
  std::vector<IndexFlush> flushed;
  for (const IndexFlush& flush : commit.index) {
    flushed.push_back(
        {.partition = flush.partition, .counts = flush.counts, .writes = {}, .days = flush.days});
  }
  if (Status status = core_.runs->Commit(std::move(commit)); !status.ok())
    return keep(std::move(status));

  for (size_t p = 0; p < core_.partitions.size(); ++p)
    core_.partitions[p]->index.FlushCommitted(flushed[p]);
  core_.exemplars->Saved();
  core_.metadata->Saved();
  core_.deletes->Saved();
  core_.receipts->Saved();
  core_.counters.seal_bytes_written += bytes_written;
  {
    const WriterLock lock(core_.handover);
    for (const SealOrder& order : orders) core_.partitions[order.partition]->head->Drop();
  }
  replay_from_ = std::move(replay_from);
  for (size_t i = 0; i < orders.size(); ++i) {
    const size_t p = orders[i].partition;
    if (!frozen[i].groups.empty()) sealed_to_[p] = std::max(sealed_to_[p], frozen[i].last);
    timing_[p] = {.full_since = nanoseconds(0), .phased = true};
  }
  if (!orders.empty()) ++core_.counters.seals;
  for (const SealOrder& order : orders) core_.partitions[order.partition]->head->ForgetIdle();
  const Step trim(core_.options, StoreStep::kTrim);
  return core_.log->Trim(log_from - 1);
}

}  // namespace basalt::storage
