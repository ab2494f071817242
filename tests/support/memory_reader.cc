#include "tests/support/memory_reader.h"

#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "engine/base/hash.h"

namespace basalt::testing {
namespace {

using storage::Matcher;
using storage::MatcherSet;
using storage::MatchType;
using storage::TimeRange;

class CompiledMatcher {
 public:
  static Result<CompiledMatcher> Compile(const Matcher& matcher) {
    CompiledMatcher out;
    out.matcher_ = matcher;
    if (matcher.type == MatchType::kRegex || matcher.type == MatchType::kNotRegex) {
      RE2::Options options;
      options.set_dot_nl(true);
      options.set_log_errors(false);
      out.regex_ = std::make_shared<RE2>(matcher.value, options);
      if (!out.regex_->ok()) return InvalidArgument(out.regex_->error());
    }
    return out;
  }

  [[nodiscard]] bool Matches(const Labels& labels) const {
    const std::string_view value = labels.Get(matcher_.name);
    switch (matcher_.type) {
      case MatchType::kEqual:
        return value == matcher_.value;
      case MatchType::kNotEqual:
        return value != matcher_.value;
      case MatchType::kRegex:
        return FullMatch(value);
      case MatchType::kNotRegex:
        return !FullMatch(value);
    }
    return false;
  }

 private:
  [[nodiscard]] bool FullMatch(std::string_view value) const {
    return RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex_);
  }
  Matcher matcher_;
  std::shared_ptr<const RE2> regex_;
};

using CompiledSet = std::vector<CompiledMatcher>;

Result<CompiledSet> CompileSet(const MatcherSet& matchers) {
  CompiledSet out;
  for (const Matcher& matcher : matchers) {
    BASALT_TRY_ASSIGN(CompiledMatcher compiled, CompiledMatcher::Compile(matcher));
    out.push_back(std::move(compiled));
  }
  return out;
}

bool MatchesAll(const CompiledSet& set, const Labels& labels) {
  return std::all_of(set.begin(), set.end(),
                     [&](const CompiledMatcher& m) { return m.Matches(labels); });
}

bool HasSamples(const MemorySeries& series, TimeRange range) {
  const auto from = std::lower_bound(series.time_ms.begin(), series.time_ms.end(), range.min_ms);
  if (from != series.time_ms.end() && *from <= range.max_ms) return true;
  return std::any_of(series.histograms.begin(), series.histograms.end(), [&](const auto& point) {
    return point.time_ms >= range.min_ms && point.time_ms <= range.max_ms;
  });
}

// Cuts a sorted, unique list at `limit`.
template <typename T>
void Truncate(std::vector<T>& list, size_t limit, bool& truncated) {
  truncated = limit != 0 && list.size() > limit;
  if (truncated) list.resize(limit);
}

}  // namespace

struct MemoryReader::State {
  std::vector<std::deque<MemorySeries>> partitions;
  std::map<std::pair<TenantId, Labels>, MemorySeries*> by_labels;
  std::vector<storage::MetadataEntry> metadata;
  std::vector<std::string> warnings;
};

class MemoryReader::MemoryCursor final : public storage::SampleCursor {
 public:
  MemoryCursor(std::span<const MemorySeries* const> series, size_t begin, size_t end,
               TimeRange range)
      : series_(series), next_(begin), end_(end), range_(range) {}

  Result<bool> Next(storage::SeriesColumns& columns) override {
    while (next_ < end_) {
      const size_t i = next_++;
      const MemorySeries& series = *series_[i];
      const auto& times = series.time_ms;
      const auto from = std::lower_bound(times.begin(), times.end(), range_.min_ms) - times.begin();
      const auto to =
          std::upper_bound(times.begin() + from, times.end(), range_.max_ms) - times.begin();
      const auto offset = static_cast<size_t>(from);
      const auto count = static_cast<size_t>(to - from);
      const auto& points = series.histograms;
      const auto first = std::lower_bound(points.begin(), points.end(), range_.min_ms,
                                          [](const auto& p, int64_t t) { return p.time_ms < t; });
      const auto last = std::upper_bound(first, points.end(), range_.max_ms,
                                         [](int64_t t, const auto& p) { return t < p.time_ms; });
      if (count == 0 && first == last) continue;
      columns = {};
      columns.series = i;
      columns.time_ms = std::span(times).subspan(offset, count);
      columns.values = std::span(series.values).subspan(offset, count);
      if (!series.start_ms.empty())
        columns.start_ms = std::span(series.start_ms).subspan(offset, count);
      columns.histograms = std::span(first, last);
      return true;
    }
    return false;
  }

 private:
  std::span<const MemorySeries* const> series_;
  size_t next_;
  size_t end_;
  TimeRange range_;
};

class MemoryReader::MemorySelection final : public storage::Selection {
 public:
  MemorySelection(std::shared_ptr<const State> state, std::vector<const MemorySeries*> series,
                  std::vector<SeriesOrdinal> ordinals)
      : state_(std::move(state)), series_(std::move(series)), ordinals_(std::move(ordinals)) {}

  [[nodiscard]] size_t size() const override { return series_.size(); }
  [[nodiscard]] SeriesOrdinal ordinal(size_t i) const override { return ordinals_[i]; }
  [[nodiscard]] GroupId group(size_t) const override { return GroupId{0}; }
  [[nodiscard]] Labels labels(size_t i) const override { return series_[i]->labels; }
  void AppendLabels(size_t i, std::vector<LabelView>& out) const override {
    for (const Label& label : series_[i]->labels) out.push_back({label.name, label.value});
  }
  [[nodiscard]] std::string_view label(size_t i, std::string_view name) const override {
    return series_[i]->labels.Get(name);
  }
  [[nodiscard]] std::unique_ptr<storage::SampleCursor> Read(
      size_t begin, size_t end, const storage::ReadOptions& options) const override {
    return std::make_unique<MemoryCursor>(series_, begin, end, options.range);
  }

 private:
  std::shared_ptr<const State> state_;
  std::vector<const MemorySeries*> series_;
  std::vector<SeriesOrdinal> ordinals_;
};

class MemoryReader::MemorySnapshot final : public storage::Snapshot {
 public:
  explicit MemorySnapshot(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  [[nodiscard]] uint32_t partition_count() const override {
    return static_cast<uint32_t>(state_->partitions.size());
  }

  Result<std::shared_ptr<const storage::Selection>> Select(TenantId tenant, PartitionId partition,
                                                           const MatcherSet& matchers,
                                                           TimeRange range,
                                                           size_t max_series) const override {
    BASALT_TRY_ASSIGN(const CompiledSet compiled, CompileSet(matchers));
    std::vector<const MemorySeries*> found;
    std::vector<SeriesOrdinal> ordinals;
    const auto& all = state_->partitions[static_cast<size_t>(partition)];
    for (size_t i = 0; i < all.size(); ++i) {
      const MemorySeries& series = all[i];
      if (series.tenant != tenant || !HasSamples(series, range) ||
          !MatchesAll(compiled, series.labels))
        continue;
      if (found.size() == max_series) {
        return ResourceExhausted("selector matches more than " + std::to_string(max_series) +
                                 " series");
      }
      found.push_back(&series);
      ordinals.push_back(SeriesOrdinal{static_cast<uint32_t>(i)});
    }
    return std::shared_ptr<const storage::Selection>(
        std::make_shared<MemorySelection>(state_, std::move(found), std::move(ordinals)));
  }

  Result<std::vector<std::string>> LabelNames(TenantId tenant,
                                              const std::vector<MatcherSet>& any_of,
                                              TimeRange range, size_t limit,
                                              bool& truncated) const override {
    BASALT_TRY_ASSIGN(const auto matching, Matching(tenant, any_of, range));
    std::set<std::string> names;
    for (const MemorySeries* series : matching) {
      for (const Label& label : series->labels) names.insert(label.name);
    }
    std::vector<std::string> out(names.begin(), names.end());
    Truncate(out, limit, truncated);
    return out;
  }

  Result<std::vector<std::string>> LabelValues(TenantId tenant, std::string_view name,
                                               const std::vector<MatcherSet>& any_of,
                                               TimeRange range, size_t limit,
                                               bool& truncated) const override {
    BASALT_TRY_ASSIGN(const auto matching, Matching(tenant, any_of, range));
    std::set<std::string> values;
    for (const MemorySeries* series : matching) {
      if (series->labels.Has(name)) values.emplace(series->labels.Get(name));
    }
    std::vector<std::string> out(values.begin(), values.end());
    Truncate(out, limit, truncated);
    return out;
  }

  Result<std::vector<Labels>> Series(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                     TimeRange range, size_t limit,
                                     bool& truncated) const override {
    BASALT_TRY_ASSIGN(const auto matching, Matching(tenant, any_of, range));
    std::vector<Labels> out;
    for (const MemorySeries* series : matching) out.push_back(series->labels);
    std::sort(out.begin(), out.end());
    Truncate(out, limit, truncated);
    return out;
  }

  Result<std::vector<storage::SeriesExemplars>> Exemplars(TenantId tenant,
                                                          const std::vector<MatcherSet>& any_of,
                                                          TimeRange range) const override {
    BASALT_TRY_ASSIGN(const auto matching, Matching(tenant, any_of, {}));
    std::vector<storage::SeriesExemplars> out;
    for (const MemorySeries* series : matching) {
      storage::SeriesExemplars found{series->labels, {}};
      for (const storage::ExemplarPoint& point : series->exemplars) {
        if (point.time_ms >= range.min_ms && point.time_ms <= range.max_ms)
          found.exemplars.push_back(point);
      }
      if (!found.exemplars.empty()) out.push_back(std::move(found));
    }
    std::sort(out.begin(), out.end(),
              [](const auto& a, const auto& b) { return a.series < b.series; });
    return out;
  }

  Result<std::vector<storage::MetadataEntry>> Metadata(TenantId,
                                                       std::string_view metric) const override {
    std::vector<storage::MetadataEntry> out;
    for (const storage::MetadataEntry& entry : state_->metadata) {
      if (metric.empty() || entry.metric == metric) out.push_back(entry);
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const auto& a, const auto& b) { return a.metric < b.metric; });
    return out;
  }

  [[nodiscard]] std::vector<std::string> Warnings() const override { return state_->warnings; }

 private:
  [[nodiscard]] Result<std::vector<const MemorySeries*>> Matching(
      TenantId tenant, const std::vector<MatcherSet>& any_of, TimeRange range) const {
    std::vector<CompiledSet> sets;
    for (const MatcherSet& set : any_of) {
      BASALT_TRY_ASSIGN(CompiledSet compiled, CompileSet(set));
      sets.push_back(std::move(compiled));
    }
    std::vector<const MemorySeries*> out;
    for (const auto& partition : state_->partitions) {
      for (const MemorySeries& series : partition) {
        const bool matches =
            sets.empty() || std::any_of(sets.begin(), sets.end(), [&](const CompiledSet& set) {
              return MatchesAll(set, series.labels);
            });
        const bool unbounded = range.min_ms == INT64_MIN && range.max_ms == INT64_MAX;
        if (series.tenant == tenant && matches && (unbounded || HasSamples(series, range)))
          out.push_back(&series);
      }
    }
    return out;
  }

  std::shared_ptr<const State> state_;
};

MemorySeriesBuilder& MemorySeriesBuilder::At(int64_t time_ms, double value,
                                             std::optional<int64_t> start_ms) {
  BASALT_CHECK(series_.time_ms.empty() || series_.time_ms.back() < time_ms, "times must rise");
  if (start_ms.has_value() && series_.start_ms.empty()) {
    series_.start_ms.assign(series_.time_ms.size(), storage::kNoStartMs);
  }
  if (start_ms.has_value() || !series_.start_ms.empty()) {
    series_.start_ms.push_back(start_ms.value_or(storage::kNoStartMs));
  }
  series_.time_ms.push_back(time_ms);
  series_.values.push_back(value);
  return *this;
}

MemorySeriesBuilder& MemorySeriesBuilder::Every(Duration step, const std::vector<double>& values,
                                                int64_t from_ms) {
  for (size_t i = 0; i < values.size(); ++i) {
    At(from_ms + static_cast<int64_t>(i) * step.count(), values[i]);
  }
  return *this;
}

MemorySeriesBuilder& MemorySeriesBuilder::HistogramAt(int64_t time_ms, NativeHistogram histogram,
                                                      int64_t start_ms) {
  BASALT_CHECK(series_.histograms.empty() || series_.histograms.back().time_ms < time_ms,
               "times must rise");
  series_.histograms.push_back({time_ms, start_ms, std::move(histogram)});
  return *this;
}

MemorySeriesBuilder& MemorySeriesBuilder::ExemplarAt(int64_t time_ms, double value, Labels labels) {
  series_.exemplars.push_back({time_ms, value, std::move(labels)});
  return *this;
}

MemoryReader::MemoryReader(uint32_t partitions)
    : partitions_(partitions), state_(std::make_unique<State>()) {
  BASALT_CHECK(partitions > 0);
  state_->partitions.resize(partitions);
}

MemoryReader::~MemoryReader() = default;

MemorySeriesBuilder MemoryReader::Series(const Labels& labels, TenantId tenant) {
  if (const auto it = state_->by_labels.find({tenant, labels}); it != state_->by_labels.end()) {
    return MemorySeriesBuilder(*it->second);
  }
  Labels placement = labels;
  placement.Remove(kMetricName);
  placement.Remove("le");
  placement.Remove("quantile");
  std::string canonical;
  AppendCanonical(placement, canonical);
  return SeriesIn(PartitionId{static_cast<uint16_t>(HashBytes64(canonical) % partitions_)}, labels,
                  tenant);
}

MemorySeriesBuilder MemoryReader::SeriesIn(PartitionId partition, const Labels& labels,
                                           TenantId tenant) {
  auto& list = state_->partitions[static_cast<size_t>(partition)];
  list.push_back({.tenant = tenant,
                  .labels = labels,
                  .time_ms = {},
                  .values = {},
                  .start_ms = {},
                  .histograms = {},
                  .exemplars = {}});
  const bool added = state_->by_labels.emplace(std::pair{tenant, labels}, &list.back()).second;
  BASALT_CHECK(added, "the series exists in another partition");
  return MemorySeriesBuilder(list.back());
}

void MemoryReader::AddMetadata(storage::MetadataEntry entry) {
  state_->metadata.push_back(std::move(entry));
}
void MemoryReader::AddWarning(std::string warning) {
  state_->warnings.push_back(std::move(warning));
}

void MemoryReader::Clear() {
  state_ = std::make_unique<State>();
  state_->partitions.resize(partitions_);
}

Result<std::shared_ptr<const storage::Snapshot>> MemoryReader::TakeSnapshot(
    std::optional<LogPosition>, Duration) const {
  auto copy = std::make_shared<State>();
  copy->partitions = state_->partitions;
  copy->metadata = state_->metadata;
  copy->warnings = state_->warnings;
  return std::shared_ptr<const storage::Snapshot>(
      std::make_shared<MemorySnapshot>(std::move(copy)));
}

double MemoryReader::Stale() { return std::bit_cast<double>(uint64_t{0x7ff0000000000002}); }

}  // namespace basalt::testing
