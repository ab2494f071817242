// What goes by age, by rule and for want of room; and what is refused because it has gone.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/time.h"
#include "storage/codec/keys.h"
#include "storage/parts/rollup.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

// A day is closed once rows that were open at midnight have been sealed by age.
constexpr Duration kCloseAfterSeal = std::chrono::minutes(10);

// Seconds as the HTTP API takes them.
std::string Seconds(int64_t ms) {
  std::string fraction = std::to_string(1000 + (ms % 1000 + 1000) % 1000).substr(1);
  const int64_t whole = (ms - (ms % 1000 + 1000) % 1000) / 1000;
  return std::to_string(whole) + "." + fraction;
}

}  // namespace

std::shared_ptr<const RetentionRules> StoreImpl::Rules() const {
  const MutexLock lock(retention_mu_);
  return rules_;
}

Status StoreImpl::SetRetention(const RetentionPolicy& policy) {
  BASALT_TRY_ASSIGN(RetentionRules rules, RetentionRules::Compile(policy));
  const MutexLock lock(retention_mu_);
  rules_ = std::make_shared<const RetentionRules>(std::move(rules));
  RefreshKeptFrom(ToMs(core_.options.clock->Now()));
  return OkStatus();
}

void StoreImpl::RefreshKeptFrom(int64_t now_ms) {
  kept_from_ms_ = std::max(rules_->AllKeptFromMs(now_ms),
                           dropped_before_ == 0 ? INT64_MIN : DayStartMs(dropped_before_));
  kept_as_of_day_ = now_ms / kMsPerDay;
}

uint16_t StoreImpl::ClosedBefore(bool head_is_empty) const {
  Timestamp now = core_.options.clock->Now();
  if (!head_is_empty) now -= core_.options.seal_age + kCloseAfterSeal;
  return static_cast<uint16_t>(std::clamp<int64_t>(ToMs(now) / kMsPerDay, 0, kMaxDay));
}

// ---- dropping ----

Status StoreImpl::ApplyRetention() {
  const MutexLock one_at_a_time(dropping_mu_);
  const std::shared_ptr<const RetentionRules> rules = Rules();
  const int64_t now_ms = ToMs(core_.options.clock->Now());
  const WorkScope scope(StoreWork::kRetention);
  uint16_t dropped_before = 0;
  {
    const MutexLock lock(retention_mu_);
    dropped_before = dropped_before_;
    RefreshKeptFrom(now_ms);
  }
  std::vector<uint32_t> go;
  uint64_t bytes = 0;
  uint16_t first_day = UINT16_MAX;
  uint16_t last_day = 0;
  {
    const auto snapshot = core_.runs->Snapshot();
    for (const auto& run : snapshot->runs()) {
      const RunInfo& info = run->info();
      const auto keeps = [&](Resolution r) { return rules->KeepsAny(r, info.day, now_ms); };
      // Samples of a series that has buckets may be histograms, which are in no bucket.
      const bool stays =
          info.day >= dropped_before &&
          (keeps(info.resolution()) ||
           (!info.is_rollup() && (keeps(Resolution::kFiveMinutes) || keeps(Resolution::kHour))));
      if (stays) continue;
      go.push_back(info.number);
      bytes += info.bytes;
      first_day = std::min(first_day, info.day);
      last_day = std::max(last_day, info.day);
    }
  }
  if (!go.empty()) {
    const Step step(core_.options, StoreStep::kRetention);
    BASALT_TRY_ASSIGN(const size_t dropped, core_.runs->Drop(std::move(go)));
    core_.changes.Record(INT64_MIN);  // whoever keeps answers must ask again
    core_.counters.retention_runs_dropped += dropped;
    core_.counters.retention_bytes_dropped += bytes;
    BASALT_LOG(kInfo, "retention dropped runs", {"runs", dropped}, {"bytes", bytes},
               {"first_day", first_day}, {"last_day", last_day});
  }
  BASALT_TRY(DropForSize(*rules, now_ms));
  // The index forgets who was active on days of which nothing may be left.
  uint16_t first_kept = dropped_before;
  if (rules->policy().keep != Duration(0)) {
    const int64_t today = std::clamp<int64_t>(now_ms / kMsPerDay, 0, kMaxDay);
    uint16_t day = static_cast<uint16_t>(today);
    const auto any = [&](uint16_t d) {
      return rules->KeepsAny(Resolution::kRaw, d, now_ms) ||
             rules->KeepsAny(Resolution::kFiveMinutes, d, now_ms) ||
             rules->KeepsAny(Resolution::kHour, d, now_ms);
    };
    // Keeping is monotone in the day: the first one that is kept, by halving.
    uint16_t low = 0;
    while (low < day) {
      const auto middle = static_cast<uint16_t>(low + (day - low) / 2);
      if (any(middle)) {
        day = middle;
      } else {
        low = static_cast<uint16_t>(middle + 1);
      }
    }
    first_kept = std::max(first_kept, day);
  }
  if (first_kept <= index_kept_from_) return OkStatus();
  index_kept_from_ = first_kept;
  for (const auto& partition : core_.partitions) {
    (void)partition->strand.Post(
        [p = partition.get(), first_kept] { p->index.DropDaysBefore(first_kept); });
  }
  return OkStatus();
}

Status StoreImpl::DropForSize(const RetentionRules& rules, int64_t now_ms) {
  const uint64_t budget = rules.policy().bytes;
  if (budget == 0) return OkStatus();
  // What was dropped already and waits for a reader does not count: its room is coming.
  const RunStats runs = core_.runs->Stats();
  uint64_t total = runs.file_bytes - std::min(runs.file_bytes, runs.waiting_bytes) +
                   core_.log->Stats().segment_bytes;
  if (total <= budget) {
    const MutexLock lock(retention_mu_);
    over_budget_ = false;
    return OkStatus();
  }
  // Whole days, all partitions and resolutions of it, oldest first.
  struct Day {
    std::vector<uint32_t> runs;
    uint64_t bytes = 0;
  };
  std::map<uint16_t, Day> days;
  {
    const auto snapshot = core_.runs->Snapshot();
    for (const auto& run : snapshot->runs()) {
      Day& day = days[run->info().day];
      day.runs.push_back(run->info().number);
      day.bytes += run->info().bytes;
    }
  }
  const uint16_t open_from = ClosedBefore(/*head_is_empty=*/false);
  for (auto& [number, day] : days) {
    if (total <= budget || number >= open_from) break;
    const Step step(core_.options, StoreStep::kRetention);
    const uint64_t bytes = day.bytes;
    BASALT_TRY_ASSIGN(const size_t dropped, core_.runs->Drop(std::move(day.runs)));
    core_.changes.Record(INT64_MIN);
    total -= std::min(total, bytes);
    ++core_.counters.retention_size_days_dropped;
    core_.counters.retention_runs_dropped += dropped;
    core_.counters.retention_bytes_dropped += bytes;
    BASALT_LOG(kWarn, "a day was dropped for want of room", {"day", number}, {"bytes", bytes},
               {"budget", budget}, {"left", total});
    const MutexLock lock(retention_mu_);
    dropped_before_ = std::max<uint16_t>(dropped_before_, static_cast<uint16_t>(number + 1));
    RefreshKeptFrom(now_ms);
  }
  const MutexLock lock(retention_mu_);
  if (total > budget && !over_budget_) {
    BASALT_LOG(kWarn, "the data is above its budget, and only open days are left", {"bytes", total},
               {"budget", budget});
  }
  over_budget_ = total > budget;
  return OkStatus();
}

// ---- refusing ----

uint64_t StoreImpl::LeaveOutTooOld(std::vector<IngestBatch>& batches) {
  const int64_t now_ms = ToMs(core_.options.clock->Now());
  if (kept_as_of_day_.load(std::memory_order_relaxed) != now_ms / kMsPerDay) {
    const MutexLock lock(retention_mu_);
    RefreshKeptFrom(now_ms);
  }
  const int64_t kept_from_ms = kept_from_ms_.load(std::memory_order_relaxed);
  if (kept_from_ms == INT64_MIN) return 0;
  std::shared_ptr<const RetentionRules> rules;
  uint16_t dropped_before = 0;
  uint64_t left_out = 0;
  for (IngestBatch& batch : batches) {
    // What is not well formed is refused with its reason a little later.
    if (static_cast<size_t>(batch.partition) >= core_.partitions.size() ||
        batch.sample_series.size() != batch.sample_ms.size() ||
        batch.sample_value.size() != batch.sample_ms.size() ||
        (!batch.sample_start_ms.empty() &&
         batch.sample_start_ms.size() != batch.sample_ms.size())) {
      continue;
    }
    const bool any =
        std::any_of(batch.sample_ms.begin(), batch.sample_ms.end(),
                    [&](int64_t ms) { return ms < kept_from_ms; }) ||
        std::any_of(batch.histograms.begin(), batch.histograms.end(),
                    [&](const HistogramSample& h) { return h.time_ms < kept_from_ms; });
    if (!any) continue;
    if (rules == nullptr) {
      const MutexLock lock(retention_mu_);
      rules = rules_;
      dropped_before = dropped_before_;
    }
    std::vector<std::optional<uint8_t>> rule_of(batch.series.size());
    const auto too_old = [&](uint32_t series, int64_t time_ms, bool histogram) {
      if (time_ms >= kept_from_ms || time_ms < 0 || series >= batch.series.size()) return false;
      const auto day = static_cast<uint16_t>(time_ms / kMsPerDay);
      if (day < dropped_before) return true;
      std::optional<uint8_t>& rule = rule_of[series];
      if (!rule.has_value()) {
        const BatchSeries& s = batch.series[series];
        const PartitionIndex& index = core_.at(batch.partition).index;
        Labels labels;
        if (s.ordinal == kUnknownOrdinal) {
          auto parsed = LabelsFromCanonical(
              std::string_view(batch.labels).substr(s.labels_offset, s.labels_bytes));
          if (parsed.ok()) labels = std::move(*parsed);
        } else if (static_cast<uint32_t>(s.ordinal) < index.series_count()) {
          labels = index.labels(s.ordinal);
        }
        rule = rules->RuleOf(batch.tenant, labels);
      }
      if (rules->Keeps(*rule, Resolution::kRaw, day, now_ms)) return false;
      return !histogram || !(rules->Keeps(*rule, Resolution::kFiveMinutes, day, now_ms) ||
                             rules->Keeps(*rule, Resolution::kHour, day, now_ms));
    };
    size_t kept = 0;
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      if (too_old(batch.sample_series[i], batch.sample_ms[i], false)) continue;
      batch.sample_series[kept] = batch.sample_series[i];
      batch.sample_ms[kept] = batch.sample_ms[i];
      batch.sample_value[kept] = batch.sample_value[i];
      if (!batch.sample_start_ms.empty()) batch.sample_start_ms[kept] = batch.sample_start_ms[i];
      ++kept;
    }
    left_out += batch.sample_ms.size() - kept;
    batch.sample_series.resize(kept);
    batch.sample_ms.resize(kept);
    batch.sample_value.resize(kept);
    if (!batch.sample_start_ms.empty()) batch.sample_start_ms.resize(kept);
    left_out += std::erase_if(batch.histograms, [&](const HistogramSample& h) {
      return too_old(h.series, h.time_ms, true);
    });
  }
  core_.counters.too_old += left_out;
  return left_out;
}

Status StoreImpl::CheckWholeBuckets(const DeleteRequest& request) const {
  const auto snapshot = core_.runs->Snapshot();
  // The coarsest buckets that are all that is left of a day with one of the range's ends in it.
  std::optional<TimeRange> would_work;
  for (const auto& run : snapshot->runs()) {
    const RunInfo& info = run->info();
    if (!info.is_rollup() || !info.raw_gone) continue;
    const int64_t width = WidthMs(info.resolution());
    const TimeRange day{DayStartMs(info.day), DayStartMs(info.day) + kMsPerDay - 1};
    TimeRange whole = request.range;
    if (whole.min_ms > day.min_ms && whole.min_ms <= day.max_ms) {
      whole.min_ms = FirstInstantMs(BucketEndMs(whole.min_ms, width), info.resolution(), info.day);
    }
    if (whole.max_ms >= day.min_ms && whole.max_ms < day.max_ms) {
      whole.max_ms = std::min(BucketEndMs(whole.max_ms, width), day.max_ms);
    }
    if (whole.min_ms == request.range.min_ms && whole.max_ms == request.range.max_ms) continue;
    BASALT_TRY_ASSIGN(const auto matched,
                      core_.partitions[static_cast<size_t>(info.partition)]->index.Series(
                          request.tenant, request.any_of, day, SIZE_MAX));
    if (matched->size() == 0) continue;
    if (!would_work.has_value()) would_work = request.range;
    would_work->min_ms = std::min(would_work->min_ms, whole.min_ms);
    would_work->max_ms = std::max(would_work->max_ms, whole.max_ms);
  }
  if (!would_work.has_value()) return OkStatus();
  return FailedPrecondition(
      "delete: samples of that time are kept as buckets only, and the range would cut one; it "
      "would work from start=" +
      Seconds(would_work->min_ms) + " to end=" + Seconds(would_work->max_ms));
}

}  // namespace basalt::storage
