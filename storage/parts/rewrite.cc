#include "storage/parts/rewrite.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "storage/parts/row_stream.h"
#include "storage/parts/run_builder.h"

namespace basalt::storage {

namespace {

// A closed day is merged again once its late arrivals are an eighth of it: each byte is then
// rewritten a bounded number of times however slowly they trickle in.
constexpr uint64_t kLateShare = 8;

std::vector<uint32_t> DueRuns(std::span<const RunInfo> day, const RewritePolicy& policy) {
  std::vector<uint32_t> all;
  uint64_t total = 0;
  uint64_t biggest = 0;
  for (const RunInfo& run : day) {
    all.push_back(run.number);
    total += run.bytes;
    biggest = std::max(biggest, run.bytes);
  }
  const bool alone = day.size() == 1;
  const bool sealed_only = alone && day[0].level == kSealLevel;
  if (policy.all) return !alone || sealed_only ? all : std::vector<uint32_t>{};
  if (day[0].day < policy.closed_before) {
    const bool due =
        sealed_only ||
        (!alone && (day.size() >= policy.min_runs || (total - biggest) * kLateShare >= total));
    return due ? all : std::vector<uint32_t>{};
  }
  // An open day: only the sealed runs behind the last rewritten one, so that nothing is rewritten
  // more than once before the day closes.
  size_t first = day.size();
  while (first > 0 && day[first - 1].level == kSealLevel) --first;
  if (day.size() - first < policy.min_runs) return {};
  return {all.begin() + static_cast<ptrdiff_t>(first), all.end()};
}

// Merges the samples of one series: by time, the highest precedence wins, masks are carried out.
class SeriesMerge {
 public:
  void Clear() {
    samples.clear();
    histograms.clear();
  }

  // `masks[p]`: the deleted ranges of the input with precedence p.
  void Resolve(const std::vector<std::vector<TimeRange>>& masks) {
    std::erase_if(samples, [&](const MergeSample& s) {
      return std::any_of(masks[s.precedence].begin(), masks[s.precedence].end(),
                         [&](const TimeRange& range) {
                           return s.time_ms >= range.min_ms && s.time_ms <= range.max_ms;
                         });
    });
    const auto before = [](const MergeSample& a, const MergeSample& b) {
      return std::tie(a.time_ms, a.precedence) < std::tie(b.time_ms, b.precedence);
    };
    // Inputs usually follow each other in time.
    if (!std::is_sorted(samples.begin(), samples.end(), before)) {
      std::sort(samples.begin(), samples.end(), before);
    }
    size_t kept = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      if (i + 1 < samples.size() && samples[i + 1].time_ms == samples[i].time_ms) continue;
      samples[kept++] = samples[i];
    }
    samples.resize(kept);
  }

  Status Write(SeriesOrdinal ordinal, const SeriesPlace& place, RunBuilder& builder) {
    times_.clear();
    values_.clear();
    starts_.clear();
    points_.clear();
    bool any_start = false;
    for (const MergeSample& s : samples) {
      if (s.histogram >= 0) {
        points_.push_back(std::move(histograms[static_cast<size_t>(s.histogram)]));
        continue;
      }
      times_.push_back(s.time_ms);
      values_.push_back(s.value);
      starts_.push_back(s.start_ms);
      any_start = any_start || s.start_ms != kNoStartMs;
    }
    if (!any_start) starts_.clear();
    BASALT_TRY(builder.AddFloats(ordinal, place, times_, values_, starts_));
    return builder.AddHistograms(ordinal, place, points_);
  }

  std::vector<MergeSample> samples;
  std::vector<HistogramPoint> histograms;

 private:
  std::vector<int64_t> times_, starts_;
  std::vector<double> values_;
  std::vector<HistogramPoint> points_;
};

// The streams that stand at the smallest series, in precedence order.
std::vector<RowStream*> SmallestSeries(std::vector<std::unique_ptr<RowStream>>& streams,
                                       const PartitionIndex& index) {
  std::vector<RowStream*> out;
  for (const std::unique_ptr<RowStream>& stream : streams) {
    const SeriesOrdinal ordinal = stream->ordinal();
    if (ordinal == kUnknownOrdinal) continue;
    if (!out.empty() && ordinal != out.front()->ordinal()) {
      if (!index.Before(ordinal, out.front()->ordinal())) continue;
      out.clear();
    }
    out.push_back(stream.get());
  }
  return out;
}

}  // namespace

std::vector<RewriteTask> PlanRewrites(const RunsSnapshot& runs, const RewritePolicy& policy) {
  std::map<std::pair<uint16_t, PartitionId>, std::vector<RunInfo>> days;
  for (const std::shared_ptr<const Run>& run : runs.runs()) {
    days[{run->info().day, run->info().partition}].push_back(run->info());
  }
  std::vector<RewriteTask> tasks;
  for (const auto& [key, day] : days) {
    std::vector<uint32_t> due = DueRuns(day, policy);
    if (!due.empty()) tasks.push_back({key.second, key.first, std::move(due)});
  }
  return tasks;
}

Result<RewriteResult> Rewrite(RunStore& store, const RewriteTask& task, const PartitionIndex& index,
                              const DeleteSnapshot& deletes, const std::atomic<bool>& cancel) {
  const std::string context = "rewrite partition " +
                              std::to_string(static_cast<uint16_t>(task.partition)) + " day " +
                              std::to_string(task.day);
  RewriteResult result;
  std::vector<std::unique_ptr<RowStream>> streams;
  std::shared_ptr<const RunsSnapshot> snapshot = store.Snapshot();
  LogPosition deletes_applied = deletes.newest();
  for (const std::shared_ptr<const Run>& run : snapshot->runs()) {
    const RunInfo& info = run->info();
    if (std::find(task.runs.begin(), task.runs.end(), info.number) == task.runs.end()) continue;
    streams.push_back(std::make_unique<RowStream>(run, static_cast<uint32_t>(streams.size())));
    BASALT_TRY(streams.back()->Start().WithContext(context));
    deletes_applied = std::max(deletes_applied, info.deletes_applied);
    result.samples_read += info.samples;
    result.bytes_read += info.bytes;
  }
  if (streams.size() != task.runs.size() || streams.empty()) {
    return Aborted(context + ": a run of the task is not there any more");
  }

  BASALT_TRY_ASSIGN(RunWriter writer, store.NewRun(task.partition, task.day, kRewriteLevel));
  RunBuilder builder(std::move(writer));
  SeriesMerge merge;
  std::vector<std::vector<TimeRange>> masks(streams.size());
  std::vector<bool> spared;
  spared.reserve(streams.size());
  for (const auto& stream : streams) spared.push_back(deletes.Spares(stream->info()));
  while (true) {
    const std::vector<RowStream*> current = SmallestSeries(streams, index);
    if (current.empty()) break;
    if (cancel) return Cancelled(context + ": interrupted");
    const SeriesOrdinal ordinal = current.front()->ordinal();
    for (size_t i = 0; i < streams.size(); ++i) {
      masks[i].clear();
      if (!spared[i]) deletes.AppendMasks(streams[i]->info(), ordinal, masks[i]);
    }
    merge.Clear();
    for (RowStream* const stream : current) {
      BASALT_TRY(stream->TakeSeries(merge.samples, merge.histograms).WithContext(context));
    }
    merge.Resolve(masks);
    BASALT_TRY(merge.Write(ordinal, index.place(ordinal), builder).WithContext(context));
  }

  RunCommit commit;
  commit.dropped = task.runs;
  if (builder.samples() != 0) {
    BASALT_TRY_ASSIGN(FinishedRun run,
                      builder.Finish(streams.front()->info().after, streams.back()->info().last,
                                     deletes_applied));
    result.samples_written = run.info().samples;
    result.bytes_written = run.info().bytes;
    commit.added.push_back(std::move(run));
  }
  // Let go of the inputs, so that the commit can remove their files.
  streams.clear();
  snapshot.reset();
  BASALT_TRY(store.Commit(std::move(commit)).WithContext(context));
  return result;
}

}  // namespace basalt::storage
