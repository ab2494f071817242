#include "storage/rollup_reader.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "storage/codec/keys.h"
#include "storage/parts/rollup.h"
#include "storage/run_rows.h"

namespace basalt::storage {
namespace {

constexpr TimeRange DayRangeMs(uint16_t day) {
  return {DayStartMs(day), DayStartMs(day) + kMsPerDay - 1};
}

// What lies in `range` of these days, neighbours as one.
std::vector<TimeRange> DaysInRange(const std::set<uint16_t>& days, TimeRange range) {
  std::vector<TimeRange> out;
  for (const uint16_t day : days) {
    const TimeRange whole = DayRangeMs(day);
    if (!out.empty() && out.back().max_ms + 1 == whole.min_ms) {
      out.back().max_ms = whole.max_ms;
    } else {
      out.push_back(whole);
    }
  }
  for (TimeRange& part : out) {
    part.min_ms = std::max(part.min_ms, range.min_ms);
    part.max_ms = std::min(part.max_ms, range.max_ms);
  }
  std::erase_if(out, [](const TimeRange& part) { return part.max_ms < part.min_ms; });
  return out;
}

// Series by series inside a batch, day by day inside a series. One thread.
class StoreRollupCursor final : public RollupCursor {
 public:
  StoreRollupCursor(RollupSource source, size_t begin, size_t end, Resolution resolution,
                    TimeRange buckets)
      : source_(std::move(source)),
        next_(begin),
        end_(end),
        resolution_(resolution),
        ends_(buckets),
        times_{buckets.min_ms - WidthMs(resolution) + 1, buckets.max_ms} {
    for (const auto& run : source_.runs->Overlapping(source_.partition, times_)) {
      days_.insert(run->info().day);
    }
    for (auto& run : source_.runs->RollupsOf(source_.partition, resolution, times_)) {
      days_.insert(run->info().day);
      const bool current = IsCurrent(run->info(), *source_.runs, *source_.deletes);
      const uint16_t day = run->info().day;
      rollups_.emplace(day, Rollup{std::move(run), current});
    }
  }

  Result<bool> Next(RollupColumns& columns) override {
    while (true) {
      if (!errors_.empty()) {
        Status error = std::move(errors_.back());
        errors_.pop_back();
        if (error.code() == StatusCode::kDataLoss && source_.on_damage) source_.on_damage(error);
        return error;
      }
      for (; at_ < folds_.size(); ++at_) {
        const RollupFold& fold = folds_[at_];
        shown_.clear();
        for (size_t b = 0; b < fold.stored().size(); ++b) {
          const int64_t end_ms = fold.stored()[b].bucket.end_ms;
          if (end_ms < ends_.min_ms || end_ms > ends_.max_ms) continue;
          shown_.push_back(fold.Finished(b));
        }
        if (shown_.empty()) continue;
        if (histograms_[at_] && gone_[at_]) TellOfHistograms();
        columns = {.series = batch_begin_ + at_,
                   .buckets = shown_,
                   .samples_say_more = histograms_[at_] && !gone_[at_]};
        ++at_;
        return true;
      }
      if (next_ >= end_) return false;
      LoadBatch();
    }
  }

 private:
  // A batch's buckets stand in memory, and whoever reads can stop only between two batches: so many
  // series that they come to about kBatchSamples, were each to have a sample every 15 s.
  static constexpr size_t kMaxBatchSeries = 256;
  static constexpr int64_t kBatchSamples = 1 << 20;
  static constexpr int64_t kGuessedIntervalMs = 15'000;

  struct Rollup {
    std::shared_ptr<const Run> run;
    bool current = false;
  };

  void LoadBatch() {
    batch_begin_ = next_;
    const int64_t each = (times_.max_ms - times_.min_ms) / kGuessedIntervalMs + 1;
    const auto fit = static_cast<size_t>(std::max<int64_t>(kBatchSamples / each, 1));
    const size_t n = std::min({fit, kMaxBatchSeries, end_ - next_});
    next_ += n;
    at_ = 0;
    folds_.assign(n, RollupFold(resolution_));
    histograms_.assign(n, false);
    gone_.assign(n, false);
    // What is in the head is newer than any rollup: such a day is computed from samples.
    const auto ordinals = source_.series->ordinals().subspan(batch_begin_, n);
    source_.head->Read(source_.head_view, ordinals, times_, *source_.deletes, head_);
    std::set<uint16_t> in_head;
    for (const SampleColumns& samples : head_) {
      for (const int64_t t : samples.time_ms) in_head.insert(static_cast<uint16_t>(t / kMsPerDay));
    }
    std::set<uint16_t> days = days_;
    days.insert(in_head.begin(), in_head.end());
    for (const uint16_t day : days) LoadDay(day, n, in_head.contains(day));
  }

  void LoadDay(uint16_t day, size_t n, bool in_head) {
    // Series whose buckets are all there is, or all that is needed.
    std::vector<bool> done(n, false);
    const auto rollup = rollups_.find(day);
    const bool current = rollup != rollups_.end() && rollup->second.current && !in_head;
    if (rollup != rollups_.end()) TakeRollup(rollup->second.run, day, current, done);
    if (!in_head && source_.runs->Overlapping(source_.partition, DayRangeMs(day)).empty()) return;
    // A series that is not in the rollup has no rule for it, or no samples.
    for (size_t first = 0; first < n;) {
      if (done[first]) {
        ++first;
        continue;
      }
      size_t last = first + 1;
      while (last < n && !done[last]) ++last;
      ReadSamples(day, first, last);
      first = last;
    }
  }

  // Folds the samples of series [first, last) of the batch.
  void ReadSamples(uint16_t day, size_t first, size_t last) {
    const TimeRange range{std::max(times_.min_ms, DayRangeMs(day).min_ms),
                          std::min(times_.max_ms, DayRangeMs(day).max_ms)};
    const auto cursor = source_.read_raw(batch_begin_ + first, batch_begin_ + last, range);
    SeriesColumns columns;
    while (true) {
      const Result<bool> more = cursor->Next(columns);
      if (!more.ok()) {
        errors_.push_back(more.status());
        continue;
      }
      if (!*more) return;
      if (!columns.histograms.empty()) histograms_[columns.series - batch_begin_] = true;
      folds_[columns.series - batch_begin_].AddSamples(columns.time_ms, columns.values,
                                                       columns.start_ms);
    }
  }

  // The columns of each series of the batch, one behind the other, and the times that they share.
  // False: a superblock turned out to be damaged, and is left out if it is asked again.
  bool ReadColumns(RunRows& rows, size_t n) {
    times_of_.assign(n, {});
    columns_of_.assign(n, {});
    static const DeleteSnapshot none{{}};  // buckets are masked, not the values of a column
    rows.Find(*source_.series, batch_begin_, n, none, pieces_, errors_);
    for (const RowPiece& piece : pieces_) {
      if (Status status =
              rows.Decode(piece, source_.series->ordinal(batch_begin_ + piece.series), none, row_);
          !status.ok()) {
        rows.Damaged(piece, status, errors_);
        return false;
      }
      std::vector<double>& columns = columns_of_[piece.series];
      if (columns.empty()) times_of_[piece.series] = row_.time_ms;
      columns.insert(columns.end(), row_.values.begin(), row_.values.end());
    }
    return true;
  }

  // Adds what a rollup says; `done[i]` where samples are not to be asked.
  void TakeRollup(const std::shared_ptr<const Run>& run, uint16_t day, bool current,
                  std::vector<bool>& done) {
    if (!current && !run->info().raw_gone) return;
    RunRows rows({run}, TimeRange{});
    while (!ReadColumns(rows, done.size())) continue;
    for (size_t i = 0; i < done.size(); ++i) {
      if (times_of_[i].empty()) continue;
      // Some of its columns stood in a block that is left out, which has been said.
      if (columns_of_[i].size() != kRollupColumns * times_of_[i].size() &&
          !run->Quarantined().empty()) {
        continue;
      }
      if (Status status = DecodeBuckets(times_of_[i], columns_of_[i], resolution_, stored_);
          !status.ok()) {
        errors_.push_back(status.WithContext(run->Describe(0)));
        continue;
      }
      masks_.clear();
      if (!current) {
        source_.deletes->AppendMasks(run->info(), source_.series->ordinal(batch_begin_ + i),
                                     masks_);
      }
      for (const StoredBucket& stored : stored_) {
        if (!current && !stored.raw_gone) continue;
        done[i] = true;
        histograms_[i] = histograms_[i] || stored.beside_histograms;
        gone_[i] = gone_[i] || stored.raw_gone;
        const int64_t from = FirstInstantMs(stored.bucket.end_ms, resolution_, day);
        const bool deleted = std::any_of(masks_.begin(), masks_.end(), [&](const TimeRange& mask) {
          return mask.min_ms <= from && from <= mask.max_ms;
        });
        if (!deleted) folds_[i].AddBucket(stored);
      }
    }
  }

  // Such a series' histograms are in no bucket, and its floats in nothing else: whoever reads
  // misses one or the other.
  void TellOfHistograms() {
    if (std::exchange(told_, true) || !source_.on_damage) return;
    source_.on_damage(FailedPrecondition(
        "rollup: some series have native histograms beside floats that are kept as rollups only; "
        "the histograms are not shown"));
  }

  const RollupSource source_;
  size_t next_;
  const size_t end_;
  const Resolution resolution_;
  const TimeRange ends_;   // of buckets shown: their ends
  const TimeRange times_;  // of their samples
  std::set<uint16_t> days_;
  std::map<uint16_t, Rollup> rollups_;

  size_t batch_begin_ = 0;
  size_t at_ = 0;
  std::vector<RollupFold> folds_;
  std::vector<bool> histograms_;  // by series of the batch: has native histograms in the range
  std::vector<bool> gone_;        // likewise: some of its floats are in buckets only
  bool told_ = false;
  std::vector<RollupBucket> shown_;
  std::vector<Status> errors_;
  std::vector<SampleColumns> head_;              // scratch
  std::vector<RowPiece> pieces_;                 // scratch
  SampleColumns row_;                            // scratch
  std::vector<std::vector<int64_t>> times_of_;   // scratch, by series of the batch
  std::vector<std::vector<double>> columns_of_;  // scratch, likewise
  std::vector<StoredBucket> stored_;             // scratch
  std::vector<TimeRange> masks_;                 // scratch
};

}  // namespace

bool IsCurrent(const RunInfo& rollup, const RunsSnapshot& runs, const DeleteSnapshot& deletes) {
  if (!deletes.Spares(rollup)) return false;
  for (const auto& run : runs.Overlapping(rollup.partition, DayRangeMs(rollup.day))) {
    const RunInfo& info = run->info();
    if (rollup.last < info.last) return false;
    // A seal of what another one has left ends where that one does. It is in the rollup if it was
    // rewritten with it, which makes its interval a longer one, or was given its shape.
    const bool is_rest = info.last == rollup.last && info.after == info.last;
    if (is_rest && run->shape() != rollup.shape) return false;
  }
  return true;
}

std::vector<TimeRange> RolledUpIn(const RunsSnapshot& runs, const DeleteSnapshot& deletes,
                                  PartitionId partition, Resolution resolution, TimeRange range) {
  std::set<uint16_t> days;
  for (const auto& run : runs.RollupsOf(partition, resolution, range)) {
    if (run->info().raw_gone || IsCurrent(run->info(), runs, deletes)) days.insert(run->info().day);
  }
  return DaysInRange(days, range);
}

std::vector<TimeRange> RawGoneIn(const RunsSnapshot& runs, PartitionId partition, TimeRange range) {
  std::set<uint16_t> days;
  for (const Resolution r : {Resolution::kFiveMinutes, Resolution::kHour}) {
    for (const auto& run : runs.RollupsOf(partition, r, range)) {
      if (run->info().raw_gone) days.insert(run->info().day);
    }
  }
  return DaysInRange(days, range);
}

Result<std::unique_ptr<RollupCursor>> MakeRollupCursor(RollupSource source, size_t begin,
                                                       size_t end, Resolution resolution,
                                                       TimeRange range) {
  if (resolution == Resolution::kRaw) {
    return InvalidArgument("rollup: resolution raw has no buckets; read the samples");
  }
  // No bucket lies before 1970 or behind the last day; inside, arithmetic cannot overflow.
  const int64_t width = WidthMs(resolution);
  const int64_t from = std::max<int64_t>(range.min_ms, 1 - width);
  const int64_t to = std::min(range.max_ms, DayStartMs(static_cast<uint16_t>(kMaxDay)) + kMsPerDay);
  const int64_t first_end = from <= 1 - width ? 0 : BucketEndMs(from + width - 1, width);
  const int64_t last_end = to < 0 ? -1 : to / width * width;
  return std::unique_ptr<RollupCursor>(std::make_unique<StoreRollupCursor>(
      std::move(source), begin, last_end < first_end ? begin : end, resolution,
      TimeRange{first_end, last_end}));
}

}  // namespace basalt::storage
