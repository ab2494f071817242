#include "storage/store_reader.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/base/hash.h"
#include "engine/base/label_order.h"
#include "storage/cardinality.h"
#include "storage/rollup_reader.h"
#include "storage/store_cursor.h"
#include "storage/store_presence.h"

namespace basalt::storage {
namespace {

// Of one snapshot: a lost file may be thousands of blocks, and the first hundred say it.
constexpr size_t kMaxDamageWarnings = 100;

// What a snapshot holds of one partition.
struct PartitionView {
  std::shared_ptr<const DeleteSnapshot> deletes;
  uint64_t head_view = 0;
};

class StoreSnapshot final : public Snapshot, public std::enable_shared_from_this<StoreSnapshot> {
 public:
  explicit StoreSnapshot(StoreCore& core) : core_(core) {
    core.snapshots.Add();
    stamp_ = core.changes.Stamp();
    // Deletes first: a mask may only be forgotten once no run needs it, so older masks over newer
    // runs are right.
    const ReaderLock lock(core.handover);
    for (const auto& partition : core.partitions) {
      views_.push_back({.deletes = core.deletes->Snapshot(partition->id), .head_view = 0});
    }
    runs_ = core.runs->Snapshot();
    for (size_t i = 0; i < views_.size(); ++i)
      views_[i].head_view = core.partitions[i]->head->OpenView();
  }
  ~StoreSnapshot() override {
    for (size_t i = 0; i < views_.size(); ++i)
      core_.partitions[i]->head->CloseView(views_[i].head_view);
    runs_.reset();
    core_.snapshots.Remove();
  }
  StoreSnapshot(const StoreSnapshot&) = delete;
  StoreSnapshot& operator=(const StoreSnapshot&) = delete;

  [[nodiscard]] uint32_t partition_count() const override {
    return static_cast<uint32_t>(views_.size());
  }
  Result<std::shared_ptr<const Selection>> Select(TenantId tenant, PartitionId partition,
                                                  const MatcherSet& matchers, TimeRange range,
                                                  size_t max_series) const override;
  Result<std::vector<std::string>> LabelNames(TenantId tenant,
                                              const std::vector<MatcherSet>& any_of,
                                              TimeRange range, size_t limit,
                                              bool& truncated) const override;
  Result<std::vector<std::string>> LabelValues(TenantId tenant, std::string_view name,
                                               const std::vector<MatcherSet>& any_of,
                                               TimeRange range, size_t limit,
                                               bool& truncated) const override;
  Result<std::vector<Labels>> Series(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                     TimeRange range, size_t limit, bool& truncated) const override;
  Result<Cardinality> CountLabels(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                  TimeRange range, size_t limit) const override;
  [[nodiscard]] std::vector<DaySeries> SeriesByDay(size_t days) const override;
  Result<std::vector<SeriesExemplars>> Exemplars(TenantId tenant,
                                                 const std::vector<MatcherSet>& any_of,
                                                 TimeRange range) const override;
  Result<std::vector<MetadataEntry>> Metadata(TenantId tenant,
                                              std::string_view metric) const override {
    return core_.metadata->Read(tenant, metric);
  }
  [[nodiscard]] std::vector<std::string> Warnings() const override {
    const MutexLock lock(damage_mu_);
    return {damage_.begin(), damage_.end()};
  }
  // A reader of this snapshot has left a block out.
  void NoteDamage(const Status& damage) const {
    const MutexLock lock(damage_mu_);
    if (damage_.size() < kMaxDamageWarnings) damage_.emplace(damage.message());
  }
  [[nodiscard]] std::optional<uint64_t> Stamp() const override { return stamp_; }
  [[nodiscard]] int64_t UnchangedBefore(uint64_t stamp) const override {
    return core_.changes.UnchangedBefore(stamp);
  }

  [[nodiscard]] const PartitionView& view(PartitionId p) const {
    return views_[static_cast<size_t>(p)];
  }
  [[nodiscard]] PartitionHead& head(PartitionId p) const { return *core_.at(p).head; }
  [[nodiscard]] const RunsSnapshot& runs() const { return *runs_; }
  [[nodiscard]] size_t series_count(PartitionId p) const {
    return core_.at(p).index.series_count();
  }

 private:
  StoreCore& core_;
  uint64_t stamp_ = 0;
  std::vector<PartitionView> views_;
  std::shared_ptr<const RunsSnapshot> runs_;
  mutable Mutex damage_mu_;
  mutable std::set<std::string> damage_ BASALT_GUARDED_BY(damage_mu_);
};

// What a cursor over series of one partition reads.
CursorSource SourceOf(const std::shared_ptr<const StoreSnapshot>& snapshot,
                      const std::shared_ptr<const SeriesSet>& series, PartitionId partition,
                      TimeRange range) {
  const PartitionView& view = snapshot->view(partition);
  return {.snapshot = snapshot,
          .series = series,
          .runs = snapshot->runs().Overlapping(partition, range),
          .head = &snapshot->head(partition),
          .head_view = view.head_view,
          .deletes = view.deletes.get(),
          .on_damage = [snapshot = snapshot.get()](const Status& damage) {
            snapshot->NoteDamage(damage);
          }};
}

class StoreSelection final : public Selection {
 public:
  StoreSelection(std::shared_ptr<const StoreSnapshot> snapshot,
                 std::shared_ptr<const SeriesSet> series, PartitionId partition)
      : snapshot_(std::move(snapshot)), series_(std::move(series)), partition_(partition) {}

  [[nodiscard]] size_t size() const override { return series_->size(); }
  [[nodiscard]] SeriesOrdinal ordinal(size_t i) const override { return series_->ordinal(i); }
  [[nodiscard]] GroupId group(size_t i) const override { return series_->group(i); }
  [[nodiscard]] Labels labels(size_t i) const override { return series_->labels(i); }
  void AppendLabels(size_t i, std::vector<LabelView>& out) const override {
    series_->AppendLabels(i, out);
  }
  [[nodiscard]] std::string_view label(size_t i, std::string_view name) const override {
    return series_->label(i, name);
  }
  [[nodiscard]] std::unique_ptr<SampleCursor> Read(size_t begin, size_t end,
                                                   const ReadOptions& options) const override {
    BASALT_CHECK(begin <= end && end <= size(), "Selection::Read outside the selection");
    return std::make_unique<StoreCursor>(SourceOf(snapshot_, series_, partition_, options.range),
                                         begin, end, options);
  }
  [[nodiscard]] Result<std::unique_ptr<RollupCursor>> ReadRollup(size_t begin, size_t end,
                                                                 Resolution resolution,
                                                                 TimeRange range) const override {
    BASALT_CHECK(begin <= end && end <= size(), "Selection::ReadRollup outside the selection");
    const PartitionView& view = snapshot_->view(partition_);
    return MakeRollupCursor(
        {.owner = snapshot_,
         .runs = &snapshot_->runs(),
         .deletes = view.deletes,
         .head = &snapshot_->head(partition_),
         .head_view = view.head_view,
         .partition = partition_,
         .series = series_,
         .on_damage = [snapshot =
                           snapshot_.get()](const Status& damage) { snapshot->NoteDamage(damage); },
         .read_raw = [snapshot = snapshot_, series = series_, partition = partition_](
                         size_t first, size_t last,
                         TimeRange times) -> std::unique_ptr<SampleCursor> {
           return std::make_unique<StoreCursor>(SourceOf(snapshot, series, partition, times), first,
                                                last, ReadOptions{.range = times});
         }},
        begin, end, resolution, range);
  }
  [[nodiscard]] std::vector<TimeRange> RolledUp(Resolution resolution,
                                                TimeRange range) const override {
    return RolledUpIn(snapshot_->runs(), *snapshot_->view(partition_).deletes, partition_,
                      resolution, range);
  }
  [[nodiscard]] std::vector<TimeRange> RawGone(TimeRange range) const override {
    return RawGoneIn(snapshot_->runs(), partition_, range);
  }
  Status ReadPresence(size_t begin, size_t end, const EvaluationTimes& times, int64_t lookback_ms,
                      std::span<uint64_t> present) const override {
    if (times.count != 1 || lookback_ms <= 0 || !WorthScanning(begin, end) ||
        times.first_ms < INT64_MIN + lookback_ms) {
      return Selection::ReadPresence(begin, end, times, lookback_ms, present);
    }
    BASALT_CHECK(end <= size() && present.size() == end - begin,
                 "ReadPresence: the result has not the size of what is asked");
    const TimeRange range{times.first_ms - lookback_ms + 1, times.first_ms};
    return ReadPresenceAt(SourceOf(snapshot_, series_, partition_, range), begin, end, range,
                          present, [&](size_t from, size_t to, std::span<uint64_t> some) {
                            return Selection::ReadPresence(from, to, times, lookback_ms, some);
                          });
  }

 private:
  // Whether the series are a good part of those of the superblocks that they lie in: neighbours of
  // one metric, or many of the partition. Finding a series by itself costs as much as looking at
  // kRowsASeries rows.
  [[nodiscard]] bool WorthScanning(size_t begin, size_t end) const {
    constexpr size_t kAtLeast = 64;
    constexpr size_t kRowsASeries = 16;
    if (begin > end || end > size() || end - begin < kAtLeast) return false;
    return (end - begin) * kRowsASeries >= snapshot_->series_count(partition_) ||
           series_->place(begin).metric == series_->place(end - 1).metric;
  }

  const std::shared_ptr<const StoreSnapshot> snapshot_;
  const std::shared_ptr<const SeriesSet> series_;
  const PartitionId partition_;
};

Result<std::shared_ptr<const Selection>> StoreSnapshot::Select(TenantId tenant,
                                                               PartitionId partition,
                                                               const MatcherSet& matchers,
                                                               TimeRange range,
                                                               size_t max_series) const {
  BASALT_CHECK(static_cast<size_t>(partition) < views_.size(), "Select: no such partition");
  BASALT_TRY_ASSIGN(auto series,
                    core_.at(partition).index.Select(tenant, matchers, range, max_series));
  return std::shared_ptr<const Selection>(
      std::make_shared<StoreSelection>(shared_from_this(), std::move(series), partition));
}

// Sorted, unique, cut. Partitions have most strings in common, so these are found by hash first:
// comparing is what takes the time.
std::vector<std::string> Finish(const std::vector<std::string_view>& found, size_t limit,
                                bool& truncated) {
  absl::flat_hash_set<std::string_view, StringHash, StringEq> seen(found.size() / 2);
  std::vector<std::string_view> sorted;
  for (const std::string_view text : found) {
    if (seen.insert(text).second) sorted.push_back(text);
  }
  std::sort(sorted.begin(), sorted.end());
  truncated = limit != 0 && sorted.size() > limit;
  if (truncated) sorted.resize(limit);
  return {sorted.begin(), sorted.end()};
}

Result<std::vector<std::string>> StoreSnapshot::LabelNames(TenantId tenant,
                                                           const std::vector<MatcherSet>& any_of,
                                                           TimeRange range, size_t limit,
                                                           bool& truncated) const {
  std::vector<std::string_view> names;
  for (const auto& partition : core_.partitions) {
    BASALT_TRY(partition->index.LabelNames(tenant, any_of, range, limit, names));
  }
  return Finish(names, limit, truncated);
}

Result<std::vector<std::string>> StoreSnapshot::LabelValues(TenantId tenant, std::string_view name,
                                                            const std::vector<MatcherSet>& any_of,
                                                            TimeRange range, size_t limit,
                                                            bool& truncated) const {
  std::vector<std::string_view> values;
  for (const auto& partition : core_.partitions) {
    BASALT_TRY(partition->index.LabelValues(tenant, name, any_of, range, limit, values));
  }
  return Finish(values, limit, truncated);
}

Result<std::vector<Labels>> StoreSnapshot::Series(TenantId tenant,
                                                  const std::vector<MatcherSet>& any_of,
                                                  TimeRange range, size_t limit,
                                                  bool& truncated) const {
  std::vector<Labels> all;
  for (const auto& partition : core_.partitions) {
    BASALT_TRY_ASSIGN(const auto found, partition->index.Series(tenant, any_of, range, SIZE_MAX));
    for (size_t i = 0; i < found->size(); ++i) all.push_back(found->labels(i));
  }
  std::vector<uint32_t> order =
      SortedOrder(all.size(), [&all](size_t i) -> const Labels& { return all[i]; });
  truncated = limit != 0 && all.size() > limit;
  if (truncated) order.resize(limit);
  std::vector<Labels> sorted;
  sorted.reserve(order.size());
  for (const uint32_t i : order) sorted.push_back(std::move(all[i]));
  return sorted;
}

Result<Cardinality> StoreSnapshot::CountLabels(TenantId tenant,
                                               const std::vector<MatcherSet>& any_of,
                                               TimeRange range, size_t limit) const {
  CardinalityCounter counter;
  for (const auto& partition : core_.partitions) {
    BASALT_TRY_ASSIGN(const uint64_t series,
                      partition->index.CountLabels(tenant, any_of, range,
                                                   [&](const LabelView& label, uint64_t count) {
                                                     counter.Add(label.name, label.value, count);
                                                   }));
    counter.AddSeries(series);
  }
  return counter.Finish(limit);
}

std::vector<DaySeries> StoreSnapshot::SeriesByDay(size_t days) const {
  std::map<uint16_t, DaySeries, std::greater<>> by_day;
  for (const auto& partition : core_.partitions) {
    for (const DaySeries& day : partition->index.SeriesByDay(days)) {
      DaySeries& sum = by_day[day.day];
      sum.day = day.day;
      sum.active += day.active;
      sum.created += day.created;
    }
  }
  std::vector<DaySeries> out;
  for (const auto& [day, sum] : by_day) {
    if (out.size() == days) break;
    out.push_back(sum);
  }
  return out;
}

Result<std::vector<SeriesExemplars>> StoreSnapshot::Exemplars(TenantId tenant,
                                                              const std::vector<MatcherSet>& any_of,
                                                              TimeRange range) const {
  std::vector<SeriesExemplars> all;
  std::vector<StoredExemplar> stored;
  for (const auto& partition : core_.partitions) {
    BASALT_TRY_ASSIGN(const auto found, partition->index.Series(tenant, any_of, range, SIZE_MAX));
    for (size_t i = 0; i < found->size(); ++i) {
      stored.clear();
      BASALT_TRY(core_.exemplars->Read(partition->id, found->ordinal(i), range, stored));
      if (stored.empty()) continue;
      SeriesExemplars& series =
          all.emplace_back(SeriesExemplars{.series = found->labels(i), .exemplars = {}});
      for (const StoredExemplar& exemplar : stored) {
        BASALT_TRY_ASSIGN(Labels labels, LabelsFromCanonical(exemplar.labels));
        series.exemplars.push_back(
            {.time_ms = exemplar.time_ms, .value = exemplar.value, .labels = std::move(labels)});
      }
    }
  }
  std::sort(all.begin(), all.end(),
            [](const SeriesExemplars& a, const SeriesExemplars& b) { return a.series < b.series; });
  return all;
}

}  // namespace

uint32_t StoreReader::partition_count() const {
  return static_cast<uint32_t>(core_.partitions.size());
}

Result<std::shared_ptr<const Snapshot>> StoreReader::TakeSnapshot(
    std::optional<LogPosition> at_least, Duration timeout) const {
  if (at_least.has_value() && !core_.applied.WaitFor(at_least->seq, timeout)) {
    return DeadlineExceeded("snapshot: log position " + std::to_string(at_least->seq) +
                            " is not applied after " + std::to_string(timeout.count()) + " ms; " +
                            std::to_string(core_.applied.watermark()) + " is");
  }
  return std::shared_ptr<const Snapshot>(std::make_shared<StoreSnapshot>(core_));
}

}  // namespace basalt::storage
