#include "engine/slo/history.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "engine/base/stale.h"

namespace basalt::slo {
namespace {

using storage::MatchType;
using storage::SeriesColumns;
using storage::TimeRange;

// Samples this long before a stretch mostly give the state at its beginning; if they are fewer than
// kWarmSamples, the whole of kMaxGapMs is read.
constexpr int64_t kWarmMs = 15 * 60'000;
constexpr size_t kWarmSamples = 4;

template <typename F>
Status ReadOne(const storage::Selection& selection, size_t i, TimeRange range, F&& use) {
  storage::ReadOptions options;
  options.range = range;
  const auto cursor = selection.Read(i, i + 1, options);
  SeriesColumns columns;
  while (true) {
    BASALT_TRY_ASSIGN(const bool more, cursor->Next(columns));
    if (!more) return OkStatus();
    use(columns);
  }
}

// Markers and what counts nothing tell no interval.
size_t CountUpTo(const SeriesColumns& columns, int64_t time_ms) {
  const auto end = std::upper_bound(columns.time_ms.begin(), columns.time_ms.end(), time_ms);
  const auto floats = std::count_if(columns.values.begin(),
                                    columns.values.begin() + (end - columns.time_ms.begin()),
                                    [](double value) { return IsCountable(value); });
  const auto histograms =
      std::count_if(columns.histograms.begin(), columns.histograms.end(),
                    [&](const auto& point) { return point.time_ms <= time_ms; });
  return static_cast<size_t>(floats) + static_cast<size_t>(histograms);
}

}  // namespace

std::vector<std::string> GroupValues(const Definition& definition, const Labels& labels) {
  std::vector<std::string> values;
  values.reserve(definition.sli.group_by.size());
  for (const std::string& name : definition.sli.group_by) values.emplace_back(labels.Get(name));
  return values;
}

Status History::ForEachSelection(
    const Definition& definition, SloIndex slo, const std::vector<std::string>* group,
    TimeRange range,
    const std::function<Status(PartitionId, const std::shared_ptr<const storage::Selection>&)>&
        visit) {
  const std::vector<storage::MatcherSet> selectors = index_.StorageSelectors(slo);
  for (uint32_t p = 0; p < snapshot_->partition_count(); ++p) {
    const PartitionId partition{static_cast<uint16_t>(p)};
    for (storage::MatcherSet matchers : selectors) {
      if (group != nullptr) {
        for (size_t i = 0; i < group->size(); ++i) {
          matchers.push_back({MatchType::kEqual, definition.sli.group_by[i], (*group)[i]});
        }
      }
      BASALT_TRY_ASSIGN(const auto selection, snapshot_->Select(definition.tenant, partition,
                                                                matchers, range, kMaxLeavesPerSlo));
      BASALT_TRY(visit(partition, selection));
    }
  }
  return OkStatus();
}

Status History::ForEachLeaf(
    const Definition& definition, SloIndex slo, const std::vector<std::string>* group,
    TimeRange range,
    const std::function<Status(const StoredLeaf&, const storage::Selection&, size_t)>& visit) {
  PartitionId current{};
  std::unordered_set<uint32_t> seen;  // terms overlap: errors are part of the total
  return ForEachSelection(definition, slo, group, range,
                          [&](PartitionId partition, const auto& selection) -> Status {
                            if (partition != std::exchange(current, partition)) seen.clear();
                            for (size_t i = 0; i < selection->size(); ++i) {
                              if (!seen.insert(static_cast<uint32_t>(selection->ordinal(i))).second)
                                continue;
                              const StoredLeaf leaf{partition, selection->ordinal(i),
                                                    definition.tenant, selection->labels(i)};
                              BASALT_TRY(visit(leaf, *selection, i));
                            }
                            return OkStatus();
                          });
}

Status History::Continue(const StoredLeaf& leaf, const SeriesColumns& columns, int64_t from_ms,
                         int64_t zeros_from_ms, LeafHistory& out) {
  const Measure& measure = index_.measures()[leaf.measure];
  const bool cumulative = IsCumulative(measure.kind);
  const bool is_counter = leaf.measure == 0;
  const size_t floats = columns.time_ms.size();
  const size_t histograms = columns.histograms.size();
  for (size_t i = 0, k = 0; i < floats || k < histograms;) {
    const bool is_float =
        k == histograms || (i < floats && columns.time_ms[i] < columns.histograms[k].time_ms);
    LeafSample sample;
    const NativeHistogram* histogram = nullptr;
    if (is_float) {
      const int64_t start = columns.start_ms.empty() ? storage::kNoStartMs : columns.start_ms[i];
      sample = {columns.time_ms[i], columns.values[i], start};
      ++i;
    } else {
      const storage::HistogramPoint& point = columns.histograms[k++];
      sample = {point.time_ms, point.histogram.sum, point.start_ms};
      histogram = &point.histogram;
    }
    const bool marker = IsStaleMarker(sample.value);
    if (!marker && (!is_counter || histogram != nullptr)) {
      const std::optional<LeafSample> measured = MeasureSample(measure, sample, histogram);
      if (!measured.has_value()) continue;
      sample = *measured;
    }
    if (!marker && cumulative && !IsCountable(sample.value)) continue;
    bool born = false;
    const bool is_first = cumulative && IsFirst(out.state, sample.time_ms);
    if (!marker && is_first && sample.time_ms > from_ms) {
      BASALT_TRY_ASSIGN(born, HasEvidence(leaf, sample.time_ms));
      if (!born) out.unevidenced_ms = sample.time_ms;
    }
    const Booking booking =
        cumulative ? Advance(out.state, sample, born) : AdvanceGauge(out.state, sample);
    if (marker) continue;
    out.last_amount_ms = sample.time_ms;
    out.last_amount = booking.amount;
    const bool counts = booking.amount != 0 || sample.time_ms > zeros_from_ms;
    if (sample.time_ms > from_ms && counts) out.bookings.push_back(booking);
  }
  return OkStatus();
}

Result<LeafHistory> History::Count(const StoredLeaf& leaf, const storage::Selection& selection,
                                   size_t in_selection, int64_t from_ms, int64_t to_ms,
                                   int64_t zeros_from_ms) {
  LeafHistory out;
  size_t before = 0;
  const auto read = [&](int64_t begin_ms) {
    out = {};
    before = 0;
    Status status;
    BASALT_TRY(
        ReadOne(selection, in_selection, {begin_ms, to_ms}, [&](const SeriesColumns& columns) {
          before += CountUpTo(columns, from_ms);
          if (status.ok()) status = Continue(leaf, columns, from_ms, zeros_from_ms, out);
        }));
    return status;
  };
  BASALT_TRY(read(from_ms - kWarmMs));
  if (before < kWarmSamples) BASALT_TRY(read(from_ms - kMaxGapMs - kWarmMs));
  return out;
}

Result<LeafHistory> History::Count(const StoredLeaf& leaf, int64_t from_ms, int64_t to_ms) {
  storage::MatcherSet matchers;
  for (const Label& label : leaf.labels) {
    matchers.push_back({MatchType::kEqual, label.name, label.value});
  }
  const TimeRange range{from_ms - kMaxGapMs - kWarmMs, to_ms};
  BASALT_TRY_ASSIGN(const auto selection, snapshot_->Select(leaf.tenant, leaf.partition, matchers,
                                                            range, kMaxLeavesPerSlo));
  for (size_t i = 0; i < selection->size(); ++i) {
    if (selection->ordinal(i) == leaf.ordinal) return Count(leaf, *selection, i, from_ms, to_ms);
  }
  return LeafHistory();
}

Result<TimeRange> History::Reach(const StoredLeaf& leaf, int64_t time_ms) {
  constexpr size_t kAfter = 3;
  TimeRange reach{time_ms, time_ms};
  storage::MatcherSet matchers;
  for (const Label& label : leaf.labels) {
    matchers.push_back({MatchType::kEqual, label.name, label.value});
  }
  const TimeRange around{time_ms - kMaxGapMs, time_ms + kMaxGapMs};
  BASALT_TRY_ASSIGN(const auto selection, snapshot_->Select(leaf.tenant, leaf.partition, matchers,
                                                            around, kMaxLeavesPerSlo));
  for (size_t i = 0; i < selection->size(); ++i) {
    if (selection->ordinal(i) != leaf.ordinal) continue;
    size_t after = 0;
    BASALT_TRY(ReadOne(*selection, i, around, [&](const SeriesColumns& columns) {
      const auto look = [&](int64_t t) {
        if (t < time_ms) reach.min_ms = t;
        if (t > time_ms && after++ < kAfter) reach.max_ms = std::max(reach.max_ms, t);
      };
      // Markers and numbers that count nothing bound no gap: it reaches over them.
      for (size_t k = 0; k < columns.time_ms.size(); ++k) {
        if (IsCountable(columns.values[k])) look(columns.time_ms[k]);
      }
      for (const storage::HistogramPoint& point : columns.histograms) look(point.time_ms);
    }));
  }
  return reach;
}

Result<bool> History::HasEvidence(const StoredLeaf& leaf, int64_t time_ms) {
  const std::string_view job = leaf.labels.Get("job");
  const std::string_view instance = leaf.labels.Get("instance");
  if (job.empty() || instance.empty()) return false;
  if (last_evidence_.has_value() && last_evidence_->time_ms == time_ms &&
      last_evidence_->tenant == leaf.tenant && last_evidence_->partition == leaf.partition &&
      last_evidence_->job == job && last_evidence_->instance == instance) {
    return last_evidence_->found;
  }
  Evidence target{leaf.tenant, leaf.partition, std::string(job), std::string(instance), time_ms};
  BASALT_TRY_ASSIGN(target.found, ReadEvidence(target));
  last_evidence_ = std::move(target);
  return last_evidence_->found;
}

Result<bool> History::ReadEvidence(const Evidence& target) {
  const TimeRange range{target.time_ms - kMinGapMs, target.time_ms - 1};
  for (const std::string& name : index_.metric_names()) {
    const storage::MatcherSet matchers = {{MatchType::kEqual, std::string(kMetricName), name},
                                          {MatchType::kEqual, "job", target.job},
                                          {MatchType::kEqual, "instance", target.instance}};
    BASALT_TRY_ASSIGN(const auto selection, snapshot_->Select(target.tenant, target.partition,
                                                              matchers, range, kMaxLeavesPerSlo));
    bool found = false;
    for (size_t i = 0; i < selection->size() && !found; ++i) {
      // Only what an SLO counts is evidence, as in the taps; `up` always is.
      const Labels labels = selection->labels(i);
      if (!TapIndex::IsPresence(labels) && index_.Match(target.tenant, labels).empty()) continue;
      BASALT_TRY(ReadOne(*selection, i, range, [&](const SeriesColumns& columns) {
        found |= std::any_of(columns.values.begin(), columns.values.end(),
                             [](double value) { return !IsStaleMarker(value); }) ||
                 !columns.histograms.empty();
      }));
    }
    if (found) return true;
  }
  return false;
}

}  // namespace basalt::slo
