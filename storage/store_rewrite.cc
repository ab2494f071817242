// Rewriting in the background and on demand: merging, deletes, retention by rule, rollups; and the
// receipts of what was purged.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/time.h"
#include "engine/base/varint.h"
#include "storage/codec/keys.h"
#include "storage/parts/rewrite.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

constexpr uint8_t kNoRuleYet = 0xFF;
static_assert(kMaxRetentionRules + 1 < kNoRuleYet);

DayShape ShapeOf(const RetentionRules& rules, uint16_t day, int64_t now_ms) {
  DayShape shape;
  std::string bytes;
  for (const Resolution r : {Resolution::kRaw, Resolution::kFiveMinutes, Resolution::kHour}) {
    const uint64_t of = rules.Shape(r, day, now_ms);
    AppendVarint(of, bytes);
    shape.shape |= of;
    if (r != Resolution::kRaw) {
      shape.rollups[static_cast<size_t>(r)] = rules.KeepsAny(r, day, now_ms);
    }
  }
  if (shape.shape != 0) shape.shape = std::max<uint64_t>(HashBytes64(bytes), 1);
  shape.raw_filtered = !rules.KeepsEvery(Resolution::kRaw, day, now_ms);
  return shape;
}

}  // namespace

bool StoreImpl::IsBusy() const {
  if (core_.snapshots.count() > 0) return true;
  const MutexLock lock(state_mu_);
  return under_way_ > 0;
}

uint8_t StoreImpl::RuleOf(const RetentionRules& rules, PartitionId partition,
                          SeriesOrdinal ordinal) {
  std::vector<uint8_t>& cache = rule_cache_[static_cast<size_t>(partition)];
  const auto at = static_cast<size_t>(ordinal);
  if (at >= cache.size()) cache.resize(at + at / 2 + 64, kNoRuleYet);
  if (cache[at] == kNoRuleYet) {
    const PartitionIndex& index = core_.at(partition).index;
    cache[at] = rules.RuleOf(index.place(ordinal).tenant, index.labels(ordinal));
  }
  return cache[at];
}

Result<bool> StoreImpl::Narrow(RewriteTask& task, const RetentionRules& rules, int64_t now_ms) {
  std::set<TenantId> tenants;
  {
    const auto snapshot = core_.runs->Snapshot();
    for (const auto& run : snapshot->runs()) {
      const auto is_in = [&](const std::vector<uint32_t>& runs) {
        return std::find(runs.begin(), runs.end(), run->info().number) != runs.end();
      };
      if (!is_in(task.runs) && !is_in(task.rollups)) continue;
      BASALT_TRY_ASSIGN(const auto directory, run->Directory());
      for (size_t i = 0, n = TimesBegin(*directory); i < n; ++i) {
        // A superblock may begin with one tenant and end with another.
        tenants.insert((*directory)[i].place.tenant);
        tenants.insert((*directory)[i].last_place.tenant);
      }
    }
  }
  // Tenants that lie wholly inside a superblock are not seen: then nothing is narrowed.
  const bool all_seen = tenants.empty() || static_cast<uint32_t>(*tenants.rbegin()) -
                                                   static_cast<uint32_t>(*tenants.begin()) + 1 ==
                                               tenants.size();
  if (!all_seen) return true;
  const TimeRange day{DayStartMs(task.day), DayStartMs(task.day) + kMsPerDay - 1};
  bool any_goes = false;
  std::array<bool, kResolutionCount> any{};
  for (const TenantId tenant : tenants) {
    BASALT_TRY_ASSIGN(const auto series,
                      core_.at(task.partition).index.Select(tenant, MatcherSet{}, day, SIZE_MAX));
    for (const SeriesOrdinal ordinal : series->ordinals()) {
      const uint8_t rule = RuleOf(rules, task.partition, ordinal);
      any_goes = any_goes || !rules.Keeps(rule, Resolution::kRaw, task.day, now_ms);
      for (size_t r = 1; r < kResolutionCount; ++r) {
        any[r] = any[r] || rules.Keeps(rule, static_cast<Resolution>(r), task.day, now_ms);
      }
    }
  }
  for (size_t r = 1; r < kResolutionCount; ++r) task.make[r] = task.make[r] && any[r];
  if (task.only_filter && !any_goes) task.write_raw = false;
  return task.write_raw || task.make[1] || task.make[2] || !task.rollups.empty();
}

namespace {

// Dropping a damaged input would make the damage final, so it stays as it is.
bool HasDamage(const RunsSnapshot& runs, const RewriteTask& task) {
  const auto is_in = [](const std::vector<uint32_t>& numbers, const Run& run) {
    return std::find(numbers.begin(), numbers.end(), run.info().number) != numbers.end();
  };
  return std::any_of(runs.runs().begin(), runs.runs().end(), [&](const auto& run) {
    return (is_in(task.runs, *run) || is_in(task.rollups, *run)) && !run->Quarantined().empty();
  });
}

}  // namespace

Status StoreImpl::RewriteOne(RewriteTask& task, const RetentionRules& rules, int64_t now_ms,
                             Pace* pace) {
  // The day as a whole takes a shape: series are asked about.
  const bool by_rule = task.shape != 0 && (task.make[1] || task.make[2] || !task.rollups.empty() ||
                                           task.reason == RewriteReason::kRetention);
  if (by_rule) {
    BASALT_TRY_ASSIGN(const bool anything, Narrow(task, rules, now_ms));
    if (!anything) return core_.runs->Conform(task.runs, task.shape);
  }
  RewriteContext context;
  // A delete that concerned no run is forgotten, but replay brings it back: it must not mask a
  // rollup, whose buckets it could cut.
  context.deletes_known = core_.at(task.partition).head->applied();
  const std::shared_ptr<const DeleteSnapshot> masks = core_.deletes->Snapshot(task.partition);
  context.cancel = &stop_rewrites_;
  context.pace = pace;
  if (by_rule) {
    context.fate = [&](SeriesOrdinal ordinal) BASALT_NO_THREAD_SAFETY_ANALYSIS {
      const uint8_t rule = RuleOf(rules, task.partition, ordinal);
      SeriesFate fate{};
      for (size_t r = 0; r < kResolutionCount; ++r) {
        fate[r] = rules.Keeps(rule, static_cast<Resolution>(r), task.day, now_ms);
      }
      return fate;
    };
    context.around_commit = [&](const std::function<Status()>& commit) -> Status {
      const WriterLock alone(core_.downsampling);
      const auto now = core_.deletes->Snapshot(task.partition);
      if (now->newest() != masks->newest()) {
        return Aborted("a delete came while its samples were being turned into buckets");
      }
      return commit();
    };
  }
  // Undone if the commit fails; then nothing was taken out.
  RewriteResult counted;
  uint64_t freed = 0;
  context.before_commit = [&](const RewriteResult& result, WriteBatch& batch) {
    counted = result;
    freed = result.bytes_read - std::min(result.bytes_read, result.bytes_written);
    core_.receipts->CarriedOut(result.removed, freed, batch);
  };
  const WorkScope scope(task.reason == RewriteReason::kPurge       ? StoreWork::kPurge
                        : task.reason == RewriteReason::kRetention ? StoreWork::kRollup
                                                                   : StoreWork::kRewrite);
  const Step step(core_.options, StoreStep::kRewrite);
  const Result<RewriteResult> done =
      Rewrite(*core_.runs, task, core_.at(task.partition).index, *masks, context);
  if (!done.ok()) {
    core_.receipts->Undo(counted.removed, freed);
    return done.status();
  }
  ++core_.counters.rewrites;
  core_.counters.rewrite_bytes_read += done->bytes_read;
  core_.counters.rewrite_bytes_written += done->bytes_written;
  if (done->samples_expired > 0 || done->samples_too_late > 0) {
    core_.changes.Record(INT64_MIN);  // whoever keeps answers must ask again
    BASALT_LOG(kInfo, "retention rules took samples out of a day",
               {"partition", static_cast<uint32_t>(task.partition)}, {"day", task.day},
               {"samples", done->samples_expired}, {"too_late", done->samples_too_late},
               {"buckets", done->buckets_written});
  }
  return task.write_raw || task.shape == 0 ? OkStatus()
                                           : core_.runs->Conform(task.runs, task.shape);
}

Status StoreImpl::RewriteDue(RewriteWish wish, bool waited_for) {
  if (waited_for) ++waiting_for_rewrites_;
  const MutexLock lock(rewrite_mu_);
  if (waited_for) --waiting_for_rewrites_;
  const Timestamp now = core_.options.clock->Now();
  const int64_t now_ms = ToMs(now);
  const std::shared_ptr<const RetentionRules> rules = Rules();
  if (rules != rules_of_cache_) {
    rules_of_cache_ = rules;
    rule_cache_.assign(core_.partitions.size(), {});
  }
  // Deletes that have waited long enough, by partition.
  std::vector<DeleteSnapshot> due;
  for (const auto& partition : core_.partitions) {
    std::vector<std::shared_ptr<const DeleteMask>> masks;
    const auto all = core_.deletes->Snapshot(partition->id);
    for (const auto& mask : all->masks()) {
      if (wish != RewriteWish::kDue ||
          core_.receipts->Requested(mask->position) + core_.options.purge_delay <= now) {
        masks.push_back(mask);
      }
    }
    due.emplace_back(std::move(masks));
  }
  RewritePolicy policy;
  policy.closed_before = ClosedBefore(/*head_is_empty=*/wish == RewriteWish::kAll);
  policy.all = wish == RewriteWish::kAll;
  policy.shape = [&](uint16_t day) { return ShapeOf(*rules, day, now_ms); };
  policy.must_go = [&](const RunInfo& run) {
    return !due[static_cast<size_t>(run.partition)].Spares(run);
  };
  Pace pace({.bytes_per_second = core_.options.rewrite_bytes_per_second,
             .busy_cpu_share = core_.options.rewrite_cpu_share,
             .busy = [this] { return IsBusy(); },
             .hurry = [this] { return waiting_for_rewrites_ > 0; }},
            SystemClock(), stop_rewrites_);
  const auto plan = [&] {
    // Let go of before the first rewrite, whose inputs' files could not be removed otherwise.
    const std::shared_ptr<const RunsSnapshot> runs = core_.runs->Snapshot();
    std::vector<RewriteTask> planned = PlanRewrites(*runs, policy);
    std::erase_if(planned, [&](const RewriteTask& task) { return HasDamage(*runs, task); });
    return planned;
  };
  std::vector<RewriteTask> tasks = plan();
  const auto drops_samples = [&](const RewriteTask& task) {
    return task.reason == RewriteReason::kRetention && task.write_raw &&
           (task.make[1] || task.make[2]);
  };
  // Once a day and policy: a day that is damaged stays due.
  const std::pair<const RetentionRules*, int64_t> when{rules.get(), now_ms / kMsPerDay};
  if (sealed_for_ != when && std::any_of(tasks.begin(), tasks.end(), drops_samples)) {
    // Late samples of such a day may be in the head still, and a bucket without samples takes in no
    // more. By now newer ones are refused.
    BASALT_TRY(sealer_.SealAll());
    sealed_for_ = when;
    tasks = plan();
  }
  for (RewriteTask& task : tasks) {
    if (stop_rewrites_) return Cancelled("rewrite: the store is closing");
    const Status done = RewriteOne(task, *rules, now_ms, waited_for ? nullptr : &pace);
    // Retention may have dropped a run meanwhile, or a delete came: the next tick sees to it.
    if (done.code() == StatusCode::kAborted) continue;
    // The damaged block is quarantined and said now; from then on the task is passed over, and does
    // not keep others from being done.
    if (done.code() == StatusCode::kDataLoss) continue;
    BASALT_TRY(done);
  }
  return OkStatus();
}

Status StoreImpl::FinishPurges() {
  // Asked first: what is dropped after it has a higher number.
  const uint64_t epoch = core_.runs->DropEpoch();
  const uint64_t first_seq = core_.log->First().seq;
  std::vector<LogPosition> purged;
  for (const LogPosition id : core_.receipts->Pending()) {
    if (core_.deletes->Masks(id)) continue;
    // The log was trimmed past it, so it was sealed, and what needed its mask is rewritten.
    if (first_seq <= id.seq) continue;
    if (core_.runs->OldestWaiting() <= core_.receipts->NoteEpoch(id, epoch)) continue;
    purged.push_back(id);
  }
  const WorkScope scope(StoreWork::kPurge);
  const Step step(core_.options, StoreStep::kReceipt);
  return core_.receipts->Purged(purged, *core_.database);
}

}  // namespace basalt::storage
