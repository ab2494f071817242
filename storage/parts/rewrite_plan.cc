#include "storage/parts/rewrite_plan.h"

#include <algorithm>
#include <map>
#include <utility>

namespace basalt::storage {
namespace {

// A partition's day; runs lowest precedence first, with the shapes of now.
struct Day {
  std::vector<RunInfo> raw;
  std::vector<RunInfo> rollups;
};

uint64_t BytesFrom(const std::vector<RunInfo>& runs, size_t first) {
  uint64_t bytes = 0;
  for (size_t i = first; i < runs.size(); ++i) bytes += runs[i].bytes;
  return bytes;
}

// [first, last) of the runs that are due, as indexes; empty if first == last.
std::pair<size_t, size_t> DueRaw(const std::vector<RunInfo>& raw, bool closed,
                                 const RewritePolicy& policy) {
  const size_t n = raw.size();
  if (n == 0) return {0, 0};
  const auto must_go = [&](const RunInfo& run) { return policy.must_go && policy.must_go(run); };
  // A seal makes rows as a rewrite does: of a single run nothing would become smaller.
  if (n == 1) return {0, must_go(raw[0]) ? 1 : 0};
  if (policy.all) return {0, n};
  // Only neighbours are merged, so what lies between two runs that must be rewritten comes along.
  size_t first = n;
  size_t last = 0;
  for (size_t i = 0; i < n; ++i) {
    if (!must_go(raw[i])) continue;
    first = std::min(first, i);
    last = i + 1;
  }
  if (first < last) return {first, last};

  first = n;
  while (first > 0 && raw[first - 1].level == kSealLevel) --first;
  const size_t sealed = n - first;
  uint64_t bytes = BytesFrom(raw, first);
  const bool due = closed ? sealed > 0 && (first == 0 || sealed >= kLateRuns ||
                                           bytes * kLateShare >= BytesFrom(raw, 0))
                          : sealed >= kOpenDayRuns;
  if (!due) return {0, 0};
  // Short rows before it are taken in once as much has come as they are: each byte is then
  // rewritten a logarithmic number of times, and runs stay few.
  while (first > 0 && raw[first - 1].bytes <= bytes &&
         raw[first - 1].samples < kLongRowSamples * raw[first - 1].rows) {
    bytes += raw[--first].bytes;
  }
  return {first, n};
}

// Whether the day as a whole has to take the shape that retention wants.
bool ShapeDue(const Day& day, uint64_t shape, bool all) {
  if (shape == 0) return false;
  uint64_t total = 0;
  uint64_t late_bytes = 0;
  size_t late = 0;
  for (const RunInfo& run : day.raw) {
    total += run.bytes;
    if (run.shape == shape) continue;
    if (run.shape != 0) return true;
    late_bytes += run.bytes;
    ++late;
  }
  if (late == day.raw.size() && late > 0) return true;
  if (late > 0 && (all || late >= kLateRuns || late_bytes * kLateShare >= total)) return true;
  return std::any_of(day.rollups.begin(), day.rollups.end(),
                     [&](const RunInfo& run) { return run.shape != shape; });
}

void Plan(PartitionId partition, uint16_t number, const Day& day, const RewritePolicy& policy,
          std::vector<RewriteTask>& tasks) {
  const bool closed = number < policy.closed_before;
  const DayShape wanted = policy.shape ? policy.shape(number) : DayShape{};
  RewriteTask task{.partition = partition, .day = number};
  auto [first, last] = DueRaw(day.raw, closed, policy);
  const bool rollup_must_go =
      policy.must_go && std::any_of(day.rollups.begin(), day.rollups.end(), policy.must_go);
  const bool raw_must_go =
      policy.must_go && std::any_of(day.raw.begin(), day.raw.end(), policy.must_go);
  const bool shape_due = closed && ShapeDue(day, wanted.shape, policy.all);
  if (raw_must_go || rollup_must_go) {
    task.reason = RewriteReason::kPurge;
  } else if (shape_due) {
    task.reason = RewriteReason::kRetention;
  }
  if (shape_due || ((raw_must_go || rollup_must_go) && !day.rollups.empty())) {
    // Rollups stand for all samples of their day: it is done as a whole.
    for (const RunInfo& run : day.raw) task.runs.push_back(run.number);
    for (const RunInfo& run : day.rollups) task.rollups.push_back(run.number);
    task.make = wanted.rollups;
    task.shape = wanted.shape;
    const bool merge_all = first == 0 && last == day.raw.size() && last > 0;
    task.only_filter = !raw_must_go && !merge_all;
    task.write_raw = wanted.raw_filtered || !task.only_filter;
  } else {
    if (first == last) return;
    for (size_t i = first; i < last; ++i) {
      // What is not in the rollups yet waits until it is worth making them again.
      if (!day.rollups.empty() && day.raw[i].shape != wanted.shape) return;
      task.runs.push_back(day.raw[i].number);
    }
    // What was filtered once stays as it is; what is merged with it is not filtered yet.
    task.shape = day.raw[first].shape;
    for (size_t i = first; i < last; ++i) {
      if (day.raw[i].shape != task.shape) task.shape = 0;
    }
  }
  tasks.push_back(std::move(task));
}

}  // namespace

std::vector<RewriteTask> PlanRewrites(const RunsSnapshot& runs, const RewritePolicy& policy) {
  std::map<std::pair<uint16_t, PartitionId>, Day> days;
  for (const std::shared_ptr<const Run>& run : runs.runs()) {
    RunInfo info = run->info();
    info.shape = run->shape();
    Day& day = days[{info.day, info.partition}];
    (info.is_rollup() ? day.rollups : day.raw).push_back(info);
  }
  std::vector<RewriteTask> tasks;
  for (const auto& [key, day] : days) Plan(key.second, key.first, day, policy, tasks);
  return tasks;
}

}  // namespace basalt::storage
