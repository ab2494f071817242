// storage/reader.h -- the only face of storage that query/ sees: matchers in, columns out.
//
// A Snapshot is one consistent view: everything acknowledged before it was taken is in it, and
// nothing it has shown changes while it lives. Take one a query; partitions and ranges of a
// selection can be read by many threads at once.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/histogram.h"
#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "storage/ingest_batch.h"

namespace basalt::storage {

enum class MatchType : uint8_t { kEqual, kNotEqual, kRegex, kNotRegex };

// Regular expressions are RE2, anchored at both ends, "." matches newlines, as in PromQL. An absent
// label has the value "". Building one compiles the expression: kInvalidArgument with RE2's text
// otherwise. A value type.
struct Matcher {
  MatchType type = MatchType::kEqual;
  std::string name;
  std::string value;
  friend bool operator==(const Matcher&, const Matcher&) = default;
};

// Closed at both ends: [min_ms, max_ms]. What PromQL's left-open windows need is for the caller to
// subtract.
struct TimeRange {
  int64_t min_ms = INT64_MIN;
  int64_t max_ms = INT64_MAX;
};

struct HistogramPoint {
  int64_t time_ms = 0;
  int64_t start_ms = kNoStartMs;
  NativeHistogram histogram;
};

// What the row directory keeps of a whole row (DESIGN decision 9). Stale markers are excluded from
// all of it.
struct RowSummary {
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  uint32_t count = 0;
  double first = 0;
  double last = 0;
  double min = 0;
  double max = 0;
  double sum = 0;           // in time order, as sum_over_time adds
  bool exact_sum = false;   // any order of adding gives these bits
  bool has_resets = false;  // a value is below the one before, or a start timestamp changes
  bool has_nan = false;
  bool has_stale = false;
  // The values just before the resets, in time order: what a rate adds. If has_resets and none is
  // kept there are many: decode for rates.
  static constexpr uint32_t kMaxResets = 4;
  uint32_t resets = 0;
  std::array<double, kMaxResets> before_reset{};
};

// A row left undecoded: it stands before sample number `before` of the column.
struct SummarizedRow {
  uint32_t before = 0;
  RowSummary summary;
};

// What the caller can make do with instead of a row's samples. A row whose summary does not tell
// that for certain is decoded, and so is every row of a series where rows, head or deletes overlap.
// Sums are not among them: that rows' sums are exact does not make their sum so.
enum class SummaryUse : uint8_t {
  kNone,
  kEnds,      // count, first and last, min and max, of a row without NaN
  kIncrease,  // first, last and the values before counter resets, of a row without NaN that has
              // few resets; no row of a series with start timestamps
  kLatest,    // the last sample of a series in the range, which is all that is then shown of it;
              // its row need not lie inside the range
};

// One series' samples inside the range asked for, in strictly rising time. Borrowed until the
// cursor moves.
struct SeriesColumns {
  size_t series = 0;  // index in the Selection
  // Equal numbers from one cursor: equal `time_ms`; 0: unknown. What is computed from times alone
  // need not be computed again for the series of one target.
  uint64_t times = 0;
  std::span<const int64_t> time_ms;
  std::span<const double> values;     // stale markers included; empty with ReadOptions::times_only
  std::span<const int64_t> start_ms;  // empty: none has one
  std::span<const HistogramPoint> histograms;  // times disjoint from time_ms
  std::span<const SummarizedRow> rows;         // only if asked for
};

struct ReadOptions {
  TimeRange range;
  // Whole rows inside `range` that nothing overlaps may come as summaries instead of samples.
  SummaryUse summaries = SummaryUse::kNone;
  // Rows with samples both at or after one of these times and before it are not summarized either.
  // Must live as long as the cursor.
  std::span<const int64_t> cuts{};
  // The caller looks at times only: `values` may be left out where no float is a stale marker.
  bool times_only = false;
};

// Moves over the series of a selection that have samples in range. One thread.
class SampleCursor {
 public:
  virtual ~SampleCursor() = default;
  // False at the end. kDataLoss names the damaged block; the cursor may go on after it (the block
  // is left out).
  virtual Result<bool> Next(SeriesColumns& columns) = 0;
  // Superblocks looked into so far, for statistics.
  [[nodiscard]] virtual uint64_t blocks_opened() const { return 0; }
};

// When an expression is evaluated: at first_ms, first_ms + step_ms, ...; `count` times in all.
struct EvaluationTimes {
  int64_t first_ms = 0;
  int64_t step_ms = 0;  // above 0, unless count is 1
  uint32_t count = 1;
};
// Words of 64 steps that ReadPresence fills for each series.
constexpr size_t PresenceWords(uint32_t steps) { return (size_t{steps} + 63) / 64; }

// How finely samples are kept: each of them, or a bucket every 5 minutes or every hour.
enum class Resolution : uint8_t { kRaw = 0, kFiveMinutes = 1, kHour = 2 };
inline constexpr size_t kResolutionCount = 3;
// The width of a bucket; 0 for kRaw.
constexpr int64_t WidthMs(Resolution resolution) {
  return resolution == Resolution::kFiveMinutes ? 300'000
         : resolution == Resolution::kHour      ? 3'600'000
                                                : 0;
}

// "The values of this bucket are no common multiples": its sum holds for its own order only.
inline constexpr int32_t kNoSumUnit = INT32_MIN;

// The float samples of a series in (end_ms - width, end_ms], where `end_ms` is a multiple of the
// width: open on the left as PromQL's windows are, so that a window whose end and length are
// multiples of the width is a row of whole buckets. What may be computed from buckets, bit for bit
// as from the samples, and how they are put together: storage/parts/docs/0003-rollups.md.
//
// Stale markers are excluded from all fields but `ends_stale`; native histograms are not in buckets
// (they stay as they are, until retention).
struct RollupBucket {
  int64_t end_ms = 0;
  uint32_t count = 0;  // 0: stale markers only, and the fields below but `ends_stale` are 0
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  double first = 0;
  double last = 0;
  double min = 0;  // NaN only if every value is NaN; of 0 and -0 the earlier one
  double max = 0;
  double sum = 0;  // as sum_over_time adds: in time order, compensated
  // All values are multiples of 2^sum_unit, and count * max(|min|, |max|) < 2^53 * 2^sum_unit:
  // every order of adding gives these bits. Over several buckets it still does while the same holds
  // for the smallest unit and the total. kNoSumUnit: some value is NaN, infinite, -0 or too far
  // from the others.
  int32_t sum_unit = kNoSumUnit;
  // Inside the bucket, a value below the one before it. What happens between two buckets shows in
  // `last` and `first` of the neighbours.
  uint32_t resets = 0;
  double reset_sum = 0;  // the values before those resets, added in time order
  uint32_t changes =
      0;  // inside the bucket, values that differ from the one before (NaN equals NaN)
  bool ends_stale = false;  // the newest sample is a stale marker
  // Some sample carries a start timestamp: rates that heed those need the samples.
  bool any_starts = false;
  bool has_nan = false;
};

// One series' buckets whose samples lie wholly inside the range asked for, in rising time; empty
// ones are left out. Borrowed until the cursor moves.
struct RollupColumns {
  size_t series = 0;  // index in the Selection
  std::span<const RollupBucket> buckets;
  // The series may have native histograms on the days of these buckets, which are in none of them,
  // and all its samples are kept: Read shows both.
  bool samples_say_more = false;
};

// Moves over the series of a selection that have buckets in range. One thread.
class RollupCursor {
 public:
  virtual ~RollupCursor() = default;
  // As SampleCursor::Next.
  virtual Result<bool> Next(RollupColumns& columns) = 0;
};

// The series of one partition that matched, in *series order*: fixed between two series for as long
// as both exist, and decided by the log alone, so that folding floats in it gives the same bits
// everywhere (DESIGN decision 10). Thread-safe. Holds its snapshot.
class Selection {
 public:
  virtual ~Selection() = default;
  [[nodiscard]] virtual size_t size() const = 0;
  [[nodiscard]] virtual SeriesOrdinal ordinal(size_t i) const = 0;
  [[nodiscard]] virtual GroupId group(size_t i) const = 0;
  [[nodiscard]] virtual Labels labels(size_t i) const = 0;
  // The same without owning them, appended; sorted by name. Valid while the selection lives.
  virtual void AppendLabels(size_t i, std::vector<LabelView>& out) const = 0;
  // One label without building the set; empty if absent. Valid while the selection lives.
  [[nodiscard]] virtual std::string_view label(size_t i, std::string_view name) const = 0;
  // Which of the series [begin, end) an instant selector sees at which evaluation time: those whose
  // newest sample in (t - lookback_ms, t] is no stale marker. Enough for count, group, absent and
  // the like, which need no value. Step s of series i is bit s % 64 of
  //   present[(i - begin) * PresenceWords(times.count) + s / 64];
  // `present` has exactly the words for all of it and need not be cleared. Errors: kDataLoss names
  // a damaged block; `present` is then right for everything but what that block held. What is here
  // reads the samples; for one time the store answers from row flags and the head's last values.
  virtual Status ReadPresence(size_t begin, size_t end, const EvaluationTimes& times,
                              int64_t lookback_ms, std::span<uint64_t> present) const;
  // Reads series [begin, end).
  [[nodiscard]] virtual std::unique_ptr<SampleCursor> Read(size_t begin, size_t end,
                                                           const ReadOptions& options) const = 0;

  // The same series as buckets. Each bucket is what the snapshot's samples come to: it is taken
  // from a rollup where that is current, and otherwise computed from the samples here and now. So
  // the answer is the same bits whether raw samples are still kept or not, with one exception,
  // which RawGone tells: a series that no rollup rule covers has no bucket where its samples are
  // gone. `range` is closed as everywhere; a bucket that sticks out of it is left out. Resolution
  // kRaw: kInvalidArgument.
  [[nodiscard]] virtual Result<std::unique_ptr<RollupCursor>> ReadRollup(
      size_t /*begin*/, size_t /*end*/, Resolution /*resolution*/, TimeRange /*range*/) const {
    return Unimplemented("this selection has no rollups");
  }
  // The parts of `range`, by whole days, for which the partition has rollups that are current or
  // all that is left: there ReadRollup need not read the samples of series that a rule covers.
  // Disjoint, rising.
  [[nodiscard]] virtual std::vector<TimeRange> RolledUp(Resolution /*resolution*/,
                                                        TimeRange /*range*/) const {
    return {};
  }
  // The parts of `range`, by whole days, in which samples of some series of the partition were
  // dropped by a downsampling rule and only buckets are left: there Read may show less than
  // ReadRollup. Disjoint, rising; nearly always empty.
  [[nodiscard]] virtual std::vector<TimeRange> RawGone(TimeRange /*range*/) const { return {}; }
};

struct ExemplarPoint {
  int64_t time_ms = 0;
  double value = 0;
  Labels labels;
};
struct SeriesExemplars {
  Labels series;
  std::vector<ExemplarPoint> exemplars;  // in time order
};

// "How many" of something with a name.
struct LabelCount {
  std::string name;
  uint64_t count = 0;
  friend bool operator==(const LabelCount&, const LabelCount&) = default;
};
// Where cardinality comes from. Lists are sorted by count, largest first, then by name.
struct Cardinality {
  uint64_t series = 0;
  uint64_t label_pairs = 0;                  // distinct
  std::vector<LabelCount> series_by_metric;  // series with that __name__
  std::vector<LabelCount> values_by_label;   // distinct values of that label name
  std::vector<LabelCount> bytes_by_label;    // of the values, once a series
  std::vector<LabelCount> series_by_pair;    // "name=value"
};
// The series of one UTC day.
struct DaySeries {
  uint16_t day = 0;      // since 1970-01-01
  uint64_t active = 0;   // with a sample on it
  uint64_t created = 0;  // of these, with none on any earlier day that is kept
};

// Matchers of one selector: all must hold. Several sets: a series matches if any set does.
using MatcherSet = std::vector<Matcher>;

// Thread-safe.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  [[nodiscard]] virtual uint32_t partition_count() const = 0;
  // Series that match and may have samples in the range (a superset by whole days; Read drops the
  // rest). kInvalidArgument for a regular expression that does not compile. `max_series`:
  // kResourceExhausted beyond it.
  virtual Result<std::shared_ptr<const Selection>> Select(TenantId tenant, PartitionId partition,
                                                          const MatcherSet& matchers,
                                                          TimeRange range,
                                                          size_t max_series) const = 0;
  // Sorted, unique. No matcher sets: everything. `limit` 0: no limit; `truncated` tells whether it
  // cut.
  virtual Result<std::vector<std::string>> LabelNames(TenantId tenant,
                                                      const std::vector<MatcherSet>& any_of,
                                                      TimeRange range, size_t limit,
                                                      bool& truncated) const = 0;
  virtual Result<std::vector<std::string>> LabelValues(TenantId tenant, std::string_view name,
                                                       const std::vector<MatcherSet>& any_of,
                                                       TimeRange range, size_t limit,
                                                       bool& truncated) const = 0;
  // The label sets that match, sorted.
  virtual Result<std::vector<Labels>> Series(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                             TimeRange range, size_t limit,
                                             bool& truncated) const = 0;
  // What the series that match have of labels; `limit`: entries of each list. Asks the index how
  // many, not each series which.
  virtual Result<Cardinality> CountLabels(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                          TimeRange range, size_t limit) const;
  // The newest `days` days that have samples, newest first, of all tenants together.
  [[nodiscard]] virtual std::vector<DaySeries> SeriesByDay(size_t /*days*/) const { return {}; }
  virtual Result<std::vector<SeriesExemplars>> Exemplars(TenantId tenant,
                                                         const std::vector<MatcherSet>& any_of,
                                                         TimeRange range) const = 0;
  // Sorted by metric. An empty `metric`: all.
  virtual Result<std::vector<MetadataEntry>> Metadata(TenantId tenant,
                                                      std::string_view metric) const = 0;
  // For answers that are kept. The moment that this snapshot was taken at; none from a reader that
  // does not tell what changes.
  [[nodiscard]] virtual std::optional<uint64_t> Stamp() const { return std::nullopt; }
  // No sample before the returned time was written or deleted between the moment `stamp` and this
  // call; INT64_MAX: none at all.
  [[nodiscard]] virtual int64_t UnchangedBefore(uint64_t /*stamp*/) const { return INT64_MIN; }
  // Damaged blocks that reading from this snapshot has met and left out so far, each once, at most
  // 100: goes into the query's warnings after it has been evaluated.
  [[nodiscard]] virtual std::vector<std::string> Warnings() const = 0;
};

// Thread-safe; lives as long as the store.
class Reader {
 public:
  virtual ~Reader() = default;
  [[nodiscard]] virtual uint32_t partition_count() const = 0;
  // Everything acknowledged so far. With `at_least`: waits, at most `timeout`, until that position
  // is applied (read your writes); kDeadlineExceeded otherwise.
  virtual Result<std::shared_ptr<const Snapshot>> TakeSnapshot(
      std::optional<LogPosition> at_least = std::nullopt, Duration timeout = {}) const = 0;
};

}  // namespace basalt::storage
