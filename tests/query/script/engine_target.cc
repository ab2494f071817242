#include <map>
#include <utility>

#include "tests/query/script/classic_to_native.h"
#include "tests/query/script/script_runner.h"
#include "tests/support/memory_reader.h"

namespace basalt::query::script {
namespace {

NativeHistogram ToNative(const FloatHistogram& h) {
  NativeHistogram native;
  native.is_float = true;
  native.reset_hint = h.reset_hint;
  native.schema = h.schema;
  native.zero_threshold = h.zero_threshold;
  native.sum = h.sum;
  native.count_float = h.count;
  native.zero_count_float = h.zero_count;
  native.positive_spans = h.positive_spans;
  native.negative_spans = h.negative_spans;
  native.positive_counts = h.positive_buckets;
  native.negative_counts = h.negative_buckets;
  native.custom_values = h.custom_values;
  return native;
}

class EngineTarget final : public Target {
 public:
  EngineTarget(const Engine& engine, uint32_t partitions)
      : engine_(engine), partitions_(partitions) {}

  void Clear() override {
    series_.clear();
    snapshot_.reset();
  }

  Status Add(const Load& load) override {
    for (const LoadedSeries& series : load.series) AddSeries(series, load.interval);
    if (load.with_nhcb) {
      BASALT_TRY_ASSIGN(const std::vector<LoadedSeries> native, ClassicToNative(load));
      for (const LoadedSeries& series : native) AddSeries(series, load.interval);
    }
    snapshot_.reset();
    return OkStatus();
  }

  Result<Evaluation> Instant(std::string_view query, Timestamp time) override {
    BASALT_TRY(TakeSnapshot());
    return Answer(engine_.Instant(*snapshot_, kDefaultTenant, query, time));
  }
  Result<Evaluation> Range(std::string_view query, Timestamp start, Timestamp end,
                           Duration step) override {
    BASALT_TRY(TakeSnapshot());
    return Answer(engine_.Range(*snapshot_, kDefaultTenant, query, start, end, step));
  }

 private:
  struct Stored {
    SequenceValue value;
    std::optional<int64_t> start_ms;
  };

  void AddSeries(const LoadedSeries& series, Duration interval) {
    for (size_t i = 0; i < series.values.size(); ++i) {
      if (series.values[i].omitted) continue;
      const int64_t time_ms = static_cast<int64_t>(i) * interval.count();
      Stored stored{series.values[i], std::nullopt};
      if (!series.start_offsets_ms.empty() && series.start_offsets_ms[i])
        stored.start_ms = time_ms + *series.start_offsets_ms[i];
      // A start at 0 means that there is none.
      if (stored.start_ms == 0) stored.start_ms.reset();
      series_[series.labels].insert_or_assign(time_ms, std::move(stored));
    }
  }

  // Loads may come in any order of time; the reader wants rising times, so it is filled when it is
  // needed.
  Status TakeSnapshot() {
    if (snapshot_) return OkStatus();
    testing::MemoryReader reader(partitions_);
    for (const auto& [labels, samples] : series_) {
      testing::MemorySeriesBuilder builder = reader.Series(labels);
      for (const auto& [time_ms, stored] : samples) {
        if (stored.value.histogram) {
          builder.HistogramAt(time_ms, ToNative(*stored.value.histogram),
                              stored.start_ms.value_or(storage::kNoStartMs));
        } else {
          builder.At(time_ms, stored.value.value, stored.start_ms);
        }
      }
    }
    BASALT_TRY_ASSIGN(snapshot_, reader.TakeSnapshot());
    return OkStatus();
  }

  static Result<Evaluation> Answer(Result<QueryResult> result) {
    if (!result.ok()) return result.status();
    return Evaluation{std::move(result->value), std::move(result->warnings),
                      std::move(result->infos)};
  }

  const Engine& engine_;
  const uint32_t partitions_;
  std::map<Labels, std::map<int64_t, Stored>> series_;
  std::shared_ptr<const storage::Snapshot> snapshot_;
};

}  // namespace

std::unique_ptr<Target> MakeEngineTarget(const Engine& engine, uint32_t partitions) {
  return std::make_unique<EngineTarget>(engine, partitions);
}

}  // namespace basalt::query::script
