#include "tests/engine/slo/fake_store.h"

#include <bit>
#include <regex>

#include "engine/base/hash.h"

namespace basalt::slo {
namespace {

using storage::MatchType;
using storage::SampleKind;

bool Matches(const Labels& labels, const storage::MatcherSet& matchers) {
  for (const storage::Matcher& matcher : matchers) {
    const std::string value(labels.Get(matcher.name));
    bool holds = false;
    switch (matcher.type) {
      case MatchType::kEqual:
        holds = value == matcher.value;
        break;
      case MatchType::kNotEqual:
        holds = value != matcher.value;
        break;
      case MatchType::kRegex:
        holds = std::regex_match(value, std::regex(matcher.value));
        break;
      case MatchType::kNotRegex:
        holds = !std::regex_match(value, std::regex(matcher.value));
        break;
    }
    if (!holds) return false;
  }
  return true;
}

class FakeCursor final : public storage::SampleCursor {
 public:
  FakeCursor(const std::vector<const FakeStore::Series*>& series, size_t begin, size_t end,
             storage::TimeRange range)
      : series_(series), next_(begin), end_(end), range_(range) {}

  Result<bool> Next(storage::SeriesColumns& columns) override {
    for (; next_ < end_; ++next_) {
      times_.clear();
      values_.clear();
      starts_.clear();
      const auto& points = series_[next_]->points;
      for (auto it = points.lower_bound(range_.min_ms);
           it != points.end() && it->first <= range_.max_ms; ++it) {
        times_.push_back(it->first);
        values_.push_back(it->second.value);
        starts_.push_back(it->second.start_ms);
      }
      if (times_.empty()) continue;
      columns = {};
      columns.series = next_++;
      columns.time_ms = times_;
      columns.values = values_;
      columns.start_ms = starts_;
      return true;
    }
    return false;
  }

 private:
  const std::vector<const FakeStore::Series*>& series_;
  size_t next_;
  const size_t end_;
  const storage::TimeRange range_;
  std::vector<int64_t> times_;
  std::vector<double> values_;
  std::vector<int64_t> starts_;
};

class FakeSelection final : public storage::Selection {
 public:
  FakeSelection(const FakeStore& store, std::vector<const FakeStore::Series*> series)
      : store_(store), series_(std::move(series)) {}
  [[nodiscard]] size_t size() const override { return series_.size(); }
  [[nodiscard]] SeriesOrdinal ordinal(size_t i) const override { return series_[i]->ordinal; }
  [[nodiscard]] GroupId group(size_t /*i*/) const override { return GroupId{0}; }
  [[nodiscard]] Labels labels(size_t i) const override { return series_[i]->labels; }
  void AppendLabels(size_t i, std::vector<LabelView>& out) const override {
    for (const Label& label : series_[i]->labels) out.push_back({label.name, label.value});
  }
  [[nodiscard]] std::string_view label(size_t i, std::string_view name) const override {
    return series_[i]->labels.Get(name);
  }
  [[nodiscard]] std::unique_ptr<storage::SampleCursor> Read(
      size_t begin, size_t end, const storage::ReadOptions& options) const override {
    store_.CountRead(end - begin);
    return std::make_unique<FakeCursor>(series_, begin, end, options.range);
  }

 private:
  const FakeStore& store_;
  const std::vector<const FakeStore::Series*> series_;
};

class FakeSnapshot final : public storage::Snapshot {
 public:
  explicit FakeSnapshot(const FakeStore& store) : store_(store) {}
  [[nodiscard]] uint32_t partition_count() const override { return store_.partitions(); }
  Result<std::shared_ptr<const storage::Selection>> Select(TenantId /*tenant*/,
                                                           PartitionId partition,
                                                           const storage::MatcherSet& matchers,
                                                           storage::TimeRange /*range*/,
                                                           size_t max_series) const override {
    std::vector<const FakeStore::Series*> found;
    for (const auto& series : store_.series()) {
      if (series->partition == partition && Matches(series->labels, matchers)) {
        found.push_back(series.get());
      }
    }
    if (found.size() > max_series) return ResourceExhausted("too many series");
    return std::shared_ptr<const storage::Selection>(
        std::make_shared<FakeSelection>(store_, std::move(found)));
  }
  Result<std::vector<std::string>> LabelNames(TenantId, const std::vector<storage::MatcherSet>&,
                                              storage::TimeRange, size_t, bool&) const override {
    return Unimplemented("fake");
  }
  Result<std::vector<std::string>> LabelValues(TenantId, std::string_view,
                                               const std::vector<storage::MatcherSet>&,
                                               storage::TimeRange, size_t, bool&) const override {
    return Unimplemented("fake");
  }
  Result<std::vector<Labels>> Series(TenantId, const std::vector<storage::MatcherSet>&,
                                     storage::TimeRange, size_t, bool&) const override {
    return Unimplemented("fake");
  }
  Result<std::vector<storage::SeriesExemplars>> Exemplars(TenantId,
                                                          const std::vector<storage::MatcherSet>&,
                                                          storage::TimeRange) const override {
    return Unimplemented("fake");
  }
  Result<std::vector<storage::MetadataEntry>> Metadata(TenantId, std::string_view) const override {
    return Unimplemented("fake");
  }
  [[nodiscard]] std::vector<std::string> Warnings() const override { return {}; }

 private:
  const FakeStore& store_;
};

}  // namespace

class FakeStore::FakeReader final : public storage::Reader {
 public:
  explicit FakeReader(const FakeStore& store) : store_(store) {}
  [[nodiscard]] uint32_t partition_count() const override { return store_.partitions(); }
  Result<std::shared_ptr<const storage::Snapshot>> TakeSnapshot(
      std::optional<LogPosition> /*at_least*/, Duration /*timeout*/) const override {
    if (store_.fail_reads()) return Unavailable("the test's disk is gone");
    return std::shared_ptr<const storage::Snapshot>(std::make_shared<FakeSnapshot>(store_));
  }

 private:
  const FakeStore& store_;
};

FakeStore::FakeStore(uint32_t partitions)
    : partitions_(partitions),
      reader_(std::make_unique<FakeReader>(*this)),
      next_ordinal_(partitions, 0) {}

FakeStore::~FakeStore() = default;

const storage::Reader& FakeStore::reader() const { return *reader_; }

void FakeStore::Introduce(Series& series) {
  if (observer_ == nullptr) return;
  series.tap = observer_->OnSeries(series.partition, series.ordinal, kDefaultTenant, series.labels);
}

FakeStore::Series& FakeStore::SeriesOf(const Labels& labels) {
  if (const auto it = by_labels_.find(labels); it != by_labels_.end()) {
    if (!it->second->in_memory) {
      it->second->in_memory = true;
      Introduce(*it->second);
    }
    return *it->second;
  }
  auto series = std::make_unique<Series>();
  const std::string placement =
      std::string(labels.Get("job")) + "/" + std::string(labels.Get("instance"));
  const auto p = static_cast<uint16_t>(HashBytes64(placement) % partitions_);
  series->partition = PartitionId{p};
  series->ordinal = SeriesOrdinal{next_ordinal_[p]++};
  series->labels = labels;
  Introduce(*series);
  Series& added = *series;
  by_labels_[labels] = &added;
  series_.push_back(std::move(series));
  return added;
}

void FakeStore::Write(const Labels& labels, int64_t time_ms, double value, int64_t start_ms) {
  Series& series = SeriesOf(labels);
  SampleKind kind = SampleKind::kInOrder;
  if (const auto it = series.points.find(time_ms); it != series.points.end()) {
    if (std::bit_cast<uint64_t>(it->second.value) == std::bit_cast<uint64_t>(value)) return;
    kind = SampleKind::kOverwrite;
  } else if (!series.points.empty() && series.points.rbegin()->first > time_ms) {
    kind = SampleKind::kLate;
  }
  series.points[time_ms] = {value, start_ms};
  ++seq_;
  if (observer_ == nullptr || series.tap == storage::kNoTap) return;
  const storage::TappedSamples samples{series.partition, {0, seq_},   {&series.tap, 1},
                                       {&time_ms, 1},    {&value, 1}, {&start_ms, 1},
                                       {&kind, 1}};
  observer_->OnSamples(samples);
}

void FakeStore::WriteStale(const Labels& labels, int64_t time_ms) {
  Write(labels, time_ms, std::bit_cast<double>(uint64_t{0x7ff0000000000002}));
}

void FakeStore::Delete(const Labels& labels, int64_t from_ms, int64_t to_ms) {
  Series& series = SeriesOf(labels);
  series.points.erase(series.points.lower_bound(from_ms), series.points.upper_bound(to_ms));
  ++seq_;
  if (observer_ == nullptr || series.tap == storage::kNoTap) return;
  observer_->OnDelete({series.partition, {0, seq_}, series.tap, from_ms, to_ms});
}

void FakeStore::Forget(const Labels& labels) {
  Series& series = SeriesOf(labels);
  series.in_memory = false;
  if (observer_ != nullptr && series.tap != storage::kNoTap) {
    observer_->OnSeriesGone(series.partition, series.tap);
  }
  series.tap = storage::kNoTap;
}

void FakeStore::Observe(storage::ApplyObserver* observer) {
  observer_ = observer;
  for (const auto& series : series_) {
    series->tap = storage::kNoTap;
    if (series->in_memory) Introduce(*series);
  }
}

}  // namespace basalt::slo
