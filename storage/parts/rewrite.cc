#include "storage/parts/rewrite.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "storage/parts/rollup.h"
#include "storage/parts/row_stream.h"
#include "storage/parts/run_builder.h"

namespace basalt::storage {

namespace {

// Between two looks at the clock: a few milliseconds of work.
constexpr uint64_t kPaceBytes = 128u << 10;

using Masks = std::vector<DeletedRange>;

// The delete that took a sample out, if any did; of several the first one.
const DeletedRange* MaskOf(const Masks& masks, int64_t time_ms) {
  for (const DeletedRange& mask : masks) {
    if (time_ms >= mask.range.min_ms && time_ms <= mask.range.max_ms) return &mask;
  }
  return nullptr;
}

// Merges the samples of one series: by time, the highest precedence wins, masks are carried out.
class SeriesMerge {
 public:
  void Clear() {
    samples.clear();
    histograms.clear();
    times.clear();
    values.clear();
    starts.clear();
    points.clear();
    ends_.clear();
  }

  // Takes the current series of a stream: into `times` and `values` for as long as all streams'
  // samples rise, as samples from the first one on that does not.
  Status Take(RowStream& stream) {
    if (samples.empty()) {
      BASALT_TRY_ASSIGN(const bool whole, stream.TakeColumns(times, values));
      ends_.emplace_back(times.size(), stream.precedence());
      if (whole) return OkStatus();
    }
    return stream.TakeSeries(samples, histograms);
  }

  // What was taken as columns becomes samples, in front of those that are.
  void Mix() {
    std::vector<MergeSample> mixed;
    mixed.reserve(times.size() + samples.size());
    for (size_t i = 0, part = 0; i < times.size(); ++i) {
      while (i == ends_[part].first) ++part;
      mixed.push_back({.time_ms = times[i], .value = values[i], .precedence = ends_[part].second});
    }
    mixed.insert(mixed.end(), samples.begin(), samples.end());
    samples.swap(mixed);
  }

  // `masks[p]`: the deleted ranges of the input with precedence p.
  void Resolve(const std::vector<Masks>& masks, std::map<LogPosition, uint64_t>& removed) {
    const bool masked = std::ranges::any_of(masks, [](const Masks& m) { return !m.empty(); });
    if (samples.empty() && !masked) return;  // the columns are the answer
    Mix();
    gone_.clear();
    std::erase_if(samples, [&](const MergeSample& s) {
      const DeletedRange* const mask = MaskOf(masks[s.precedence], s.time_ms);
      if (mask != nullptr) gone_.emplace_back(s.time_ms, mask->position);
      return mask != nullptr;
    });
    // A time that two runs hold is one sample.
    std::sort(gone_.begin(), gone_.end());
    for (size_t i = 0; i < gone_.size(); ++i) {
      if (i == 0 || gone_[i].first != gone_[i - 1].first) ++removed[gone_[i].second];
    }
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
    Split();
  }

  Status Write(SeriesOrdinal ordinal, const SeriesPlace& place, bool floats, RunBuilder& builder) {
    if (floats) BASALT_TRY(builder.AddFloats(ordinal, place, times, values, starts));
    return builder.AddHistograms(ordinal, place, points);
  }

  std::vector<MergeSample> samples;
  std::vector<HistogramPoint> histograms;
  // After Resolve: floats as columns, and histograms.
  std::vector<int64_t> times, starts;
  std::vector<double> values;
  std::vector<HistogramPoint> points;

 private:
  void Split() {
    times.clear();
    values.clear();
    starts.clear();
    points.clear();
    bool any_start = false;
    for (const MergeSample& s : samples) {
      if (s.histogram >= 0) {
        points.push_back(std::move(histograms[static_cast<size_t>(s.histogram)]));
        continue;
      }
      times.push_back(s.time_ms);
      values.push_back(s.value);
      starts.push_back(s.start_ms);
      any_start = any_start || s.start_ms != kNoStartMs;
    }
    if (!any_start) starts.clear();
  }

  std::vector<std::pair<size_t, uint32_t>> ends_;      // in `times`, of the streams; whose
  std::vector<std::pair<int64_t, LogPosition>> gone_;  // scratch
};

// One resolution's old rollup and new one.
class RollupMaker {
 public:
  RollupMaker(Resolution resolution, const RewriteTask& task)
      : fold_(resolution), task_(task), resolution_(resolution) {}

  // The buckets of the old rollup whose samples are gone, deletes carried out. True if there were
  // any: then the series' samples, should some have come late, do not count.
  // `removed` may be null: then somebody else counts the same samples.
  Result<bool> TakeKept(const std::vector<MergeSample>& columns, const Masks& masks,
                        std::map<LogPosition, uint64_t>* removed) {
    const size_t n = columns.size() / kRollupColumns;
    times_.clear();
    values_.clear();
    for (const MergeSample& s : columns) values_.push_back(s.value);
    for (size_t i = 0; i < n; ++i) times_.push_back(columns[i].time_ms);
    BASALT_TRY(DecodeBuckets(times_, values_, resolution_, old_));
    std::erase_if(old_, [&](const StoredBucket& stored) { return !stored.raw_gone; });
    if (old_.empty()) return false;
    std::erase_if(old_, [&](const StoredBucket& stored) {
      // Deletes here cover whole buckets (Store::Delete sees to it), so one instant tells.
      const DeletedRange* const mask =
          MaskOf(masks, FirstInstantMs(stored.bucket.end_ms, resolution_, task_.day));
      if (mask != nullptr && removed != nullptr) (*removed)[mask->position] += stored.bucket.count;
      return mask != nullptr;
    });
    fold_.Clear();
    for (const StoredBucket& stored : old_) fold_.AddBucket(stored);
    return true;
  }
  void Compute(const SeriesMerge& merge) {
    fold_.Clear();
    fold_.AddSamples(merge.times, merge.values, merge.starts);
  }
  // `histograms`: the series has some on that day.
  Status Write(SeriesOrdinal ordinal, const SeriesPlace& place, bool raw_gone, bool histograms,
               RunStore& store) {
    if (fold_.stored().empty()) return OkStatus();
    if (!builder_.has_value()) {
      BASALT_TRY_ASSIGN(RunWriter writer,
                        store.NewRun(task_.partition, task_.day, LevelOf(resolution_)));
      builder_.emplace(std::move(writer));
    }
    old_.assign(fold_.stored().begin(), fold_.stored().end());
    for (StoredBucket& stored : old_) {
      stored.raw_gone |= raw_gone;
      stored.beside_histograms = histograms;
    }
    any_raw_gone_ |= raw_gone;
    buckets_ += old_.size();
    EncodeBuckets(old_, resolution_, task_.day, times_, values_);
    const size_t n = times_.size();
    for (size_t c = 0; c < kRollupColumns; ++c) {
      BASALT_TRY(
          builder_->AddBuckets(ordinal, place, times_, std::span(values_).subspan(c * n, n)));
    }
    return OkStatus();
  }
  std::optional<RunBuilder>& builder() { return builder_; }
  [[nodiscard]] bool any_raw_gone() const { return any_raw_gone_; }
  [[nodiscard]] uint64_t buckets() const { return buckets_; }

 private:
  RollupFold fold_;
  const RewriteTask& task_;
  const Resolution resolution_;
  std::optional<RunBuilder> builder_;
  bool any_raw_gone_ = false;
  uint64_t buckets_ = 0;
  std::vector<StoredBucket> old_;
  std::vector<int64_t> times_;
  std::vector<double> values_;
};

class Rewriter {
 public:
  Rewriter(RunStore& store, const RewriteTask& task, const PartitionIndex& index,
           const DeleteSnapshot& deletes, const RewriteContext& context)
      : store_(store), task_(task), index_(index), deletes_(deletes), context_(context) {
    for (const Resolution r : {Resolution::kFiveMinutes, Resolution::kHour}) {
      if (task.make[static_cast<size_t>(r)]) makers_.emplace_back(r, RollupMaker(r, task));
    }
  }

  Result<RewriteResult> Run();

 private:
  Status OpenInputs();
  // The streams that stand at the smallest series, samples in precedence order, then rollups.
  [[nodiscard]] std::span<RowStream* const> SmallestSeries();
  Status DoSeries(std::span<RowStream* const> current);
  Status Commit();
  void Spend();

  RunStore& store_;
  const RewriteTask& task_;
  const PartitionIndex& index_;
  const DeleteSnapshot& deletes_;
  const RewriteContext& context_;
  RewriteResult result_;

  std::vector<std::unique_ptr<RowStream>> streams_;
  size_t raw_streams_ = 0;  // the first ones; rollups follow
  std::vector<bool> spared_;
  Resolution finest_ =
      Resolution::kHour;  // of the rollups read: where samples taken out are counted
  LogPosition after_, last_, deletes_applied_;
  std::optional<RunBuilder> raw_;
  std::vector<std::pair<Resolution, RollupMaker>> makers_;
  uint64_t spent_ = 0;  // bytes that the pace has been told of

  SeriesMerge merge_;
  std::vector<RowStream*> current_;
  std::vector<Masks> masks_;
  std::vector<MergeSample> columns_;
  std::vector<HistogramPoint> no_histograms_;
};

Status Rewriter::OpenInputs() {
  const std::shared_ptr<const RunsSnapshot> snapshot = store_.Snapshot();
  deletes_applied_ = std::max(deletes_.newest(), context_.deletes_known);
  for (const auto* const numbers : {&task_.runs, &task_.rollups}) {
    for (const std::shared_ptr<const storage::Run>& run : snapshot->runs()) {
      const RunInfo& info = run->info();
      if (std::find(numbers->begin(), numbers->end(), info.number) == numbers->end()) continue;
      streams_.push_back(std::make_unique<RowStream>(run, static_cast<uint32_t>(streams_.size())));
      BASALT_TRY(streams_.back()->Start());
      if (streams_.size() == 1) after_ = info.after;
      last_ = std::max(last_, info.last);
      deletes_applied_ = std::max(deletes_applied_, info.deletes_applied);
      spared_.push_back(deletes_.Spares(info));
      result_.bytes_read += info.bytes;
      if (!info.is_rollup()) {
        result_.samples_read += info.samples;
      } else {
        finest_ = std::min(finest_, info.resolution());
      }
    }
    if (numbers == &task_.runs) raw_streams_ = streams_.size();
  }
  if (streams_.size() != task_.runs.size() + task_.rollups.size() || streams_.empty()) {
    return Aborted("a run of the task is not there any more");
  }
  masks_.resize(streams_.size());
  return OkStatus();
}

std::span<RowStream* const> Rewriter::SmallestSeries() {
  std::vector<RowStream*>& out = current_;
  out.clear();
  for (const std::unique_ptr<RowStream>& stream : streams_) {
    const SeriesOrdinal ordinal = stream->ordinal();
    if (ordinal == kUnknownOrdinal) continue;
    if (!out.empty() && ordinal != out.front()->ordinal()) {
      if (!index_.Before(ordinal, out.front()->ordinal())) continue;
      out.clear();
    }
    out.push_back(stream.get());
  }
  return out;
}

Status Rewriter::DoSeries(std::span<RowStream* const> current) {
  const SeriesOrdinal ordinal = current.front()->ordinal();
  const SeriesPlace place = index_.place(ordinal);
  const SeriesFate fate = context_.fate ? context_.fate(ordinal) : SeriesFate{true, false, false};
  for (size_t i = 0; i < streams_.size(); ++i) {
    masks_[i].clear();
    if (!spared_[i]) deletes_.AppendDeleted(streams_[i]->info(), ordinal, masks_[i]);
  }

  merge_.Clear();
  SeriesFate kept{};  // buckets without samples that were there before
  for (RowStream* const stream : current) {
    if (!stream->info().is_rollup()) {
      BASALT_TRY(merge_.Take(*stream));
      continue;
    }
    columns_.clear();
    BASALT_TRY(stream->TakeSeries(columns_, no_histograms_));
    for (auto& [resolution, maker] : makers_) {
      if (stream->info().resolution() != resolution) continue;
      const Masks& masks = masks_[columns_.empty() ? 0 : columns_.front().precedence];
      BASALT_TRY_ASSIGN(
          kept[static_cast<size_t>(resolution)],
          maker.TakeKept(columns_, masks, resolution == finest_ ? &result_.removed : nullptr));
    }
  }
  merge_.Resolve(masks_, result_.removed);

  const bool any_kept = kept[1] || kept[2];
  if (any_kept) result_.samples_too_late += merge_.times.size();
  const bool any_rollup = fate[1] || fate[2];
  const bool floats = fate[0] && !any_kept;
  for (auto& [resolution, maker] : makers_) {
    const auto r = static_cast<size_t>(resolution);
    if (!fate[r]) continue;
    if (any_kept && !kept[r]) continue;  // a rollup that was asked for when the samples were gone
    if (!any_kept) maker.Compute(merge_);
    BASALT_TRY(maker.Write(ordinal, place, !floats, !merge_.points.empty(), store_));
  }
  if (!task_.write_raw) return OkStatus();
  if (!floats && !any_kept) result_.samples_expired += merge_.times.size();
  // Histograms are in no bucket: they stay for as long as buckets of their series do.
  const bool histograms = fate[0] || any_rollup;
  if (!histograms) merge_.points.clear();
  if ((!floats || merge_.times.empty()) && merge_.points.empty()) return OkStatus();
  if (!raw_.has_value()) {
    BASALT_TRY_ASSIGN(RunWriter writer, store_.NewRun(task_.partition, task_.day, kRewriteLevel));
    raw_.emplace(std::move(writer));
  }
  return merge_.Write(ordinal, place, floats, *raw_);
}

// Inputs are counted by what of the outputs is written: both grow alike.
void Rewriter::Spend() {
  uint64_t written = raw_.has_value() ? raw_->bytes() : 0;
  for (auto& [resolution, maker] : makers_) {
    if (maker.builder().has_value()) written += maker.builder()->bytes();
  }
  if (written < spent_ + kPaceBytes && spent_ != 0) return;
  context_.pace->Spend((written - spent_) * 2);
  spent_ = written;
}

Status Rewriter::Commit() {
  RunCommit commit;
  if (task_.write_raw) commit.dropped = task_.runs;
  commit.dropped.insert(commit.dropped.end(), task_.rollups.begin(), task_.rollups.end());
  const auto finish = [&](RunBuilder& builder, bool raw_gone) -> Status {
    builder.SetShape(task_.shape, raw_gone);
    BASALT_TRY_ASSIGN(FinishedRun run, builder.Finish(after_, last_, deletes_applied_));
    result_.bytes_written += run.info().bytes;
    if (!run.info().is_rollup()) result_.samples_written = run.info().samples;
    commit.added.push_back(std::move(run));
    return OkStatus();
  };
  if (raw_.has_value()) BASALT_TRY(finish(*raw_, false));
  for (auto& [resolution, maker] : makers_) {
    result_.buckets_written += maker.buckets();
    if (maker.builder().has_value()) BASALT_TRY(finish(*maker.builder(), maker.any_raw_gone()));
  }
  // Let go of the inputs, so that the commit can remove their files.
  streams_.clear();
  if (context_.before_commit) context_.before_commit(result_, commit.extra);
  const auto publish = [&] { return store_.Commit(std::move(commit)); };
  return context_.around_commit ? context_.around_commit(publish) : publish();
}

Result<RewriteResult> Rewriter::Run() {
  BASALT_TRY(OpenInputs());
  while (true) {
    const std::span<RowStream* const> current = SmallestSeries();
    if (current.empty()) break;
    if (context_.cancel != nullptr && *context_.cancel) return Cancelled("interrupted");
    BASALT_TRY(DoSeries(current));
    if (context_.pace != nullptr) Spend();
  }
  BASALT_TRY(Commit());
  return result_;
}

}  // namespace

Result<RewriteResult> Rewrite(RunStore& store, const RewriteTask& task, const PartitionIndex& index,
                              const DeleteSnapshot& deletes, const RewriteContext& context) {
  Rewriter rewriter(store, task, index, deletes, context);
  Result<RewriteResult> result = rewriter.Run();
  if (result.ok()) return result;
  return result.status().WithContext("rewrite partition " +
                                     std::to_string(static_cast<uint16_t>(task.partition)) +
                                     " day " + std::to_string(task.day));
}

}  // namespace basalt::storage
