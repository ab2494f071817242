// Records and appends for realistic scrapes. With ../shared/data: 4,318 recorded series as targets
// of their own rows; without: a seeded mix of the same proportions, and the label says which.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <future>
#include <mutex>
#include <random>

#include "bench/log/scrapes.h"
#include "storage/log/record.h"
#include "storage/log/segment_log.h"

namespace basalt::storage {
namespace {

constexpr size_t kScrapes = 60;

void Report(benchmark::State& state, size_t samples, size_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * samples));
  state.counters["bytes_per_sample"] = static_cast<double>(bytes) / static_cast<double>(samples);
  state.counters["ns_per_sample"] =
      benchmark::Counter(static_cast<double>(state.iterations() * samples) * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetLabel(bench::ScrapesSource());
}

struct Encoded {
  std::vector<std::string> records;
  size_t samples = 0;
  size_t bytes = 0;
};
const Encoded& EncodedScrapes() {
  static const Encoded encoded = [] {
    Encoded e;
    SegmentSeries seen;
    AppendRecord record;
    for (size_t round = 0; round < 2; ++round) {  // the second without first uses
      e = {};
      for (const IngestBatch& batch : bench::Scrapes(kScrapes)) {
        BASALT_CHECK(record.Prepare({&batch, 1}).ok());
        std::string& out = e.records.emplace_back();
        record.Finish(1, seen, out);
        e.samples += batch.sample_ms.size();
        e.bytes += out.size();
      }
    }
    return e;
  }();
  return encoded;
}

void BM_EncodeRecord(benchmark::State& state) {
  const auto& scrapes = bench::Scrapes(kScrapes);
  SegmentSeries seen;
  AppendRecord record;
  std::string out;
  for (auto _ : state) {
    for (const IngestBatch& batch : scrapes) {
      out.clear();
      BASALT_CHECK(record.Prepare({&batch, 1}).ok());
      record.Finish(1, seen, out);
      benchmark::DoNotOptimize(out.data());
    }
  }
  Report(state, EncodedScrapes().samples, EncodedScrapes().bytes);
}
BENCHMARK(BM_EncodeRecord)->Unit(benchmark::kMillisecond);

// The part that runs under the log's mutex.
void BM_FinishRecord(benchmark::State& state) {
  const auto& scrapes = bench::Scrapes(kScrapes);
  SegmentSeries seen;
  std::vector<AppendRecord> records(scrapes.size());
  for (size_t i = 0; i < scrapes.size(); ++i)
    BASALT_CHECK(records[i].Prepare({&scrapes[i], 1}).ok());
  std::string out;
  for (auto _ : state) {
    for (const AppendRecord& record : records) {
      out.clear();
      record.Finish(1, seen, out);
      benchmark::DoNotOptimize(out.data());
    }
  }
  Report(state, EncodedScrapes().samples, EncodedScrapes().bytes);
}
BENCHMARK(BM_FinishRecord)->Unit(benchmark::kMillisecond);

void BM_DecodeRecord(benchmark::State& state) {
  const Encoded& encoded = EncodedScrapes();
  IngestBatch batch;
  SegmentValues values;
  values.Begin(1, 1u << 20);
  for (auto _ : state) {
    for (const std::string& record : encoded.records) {
      const auto view = ViewAppend(record);
      BASALT_CHECK(DecodeSection(view->sections[0], batch, &values).ok());
      benchmark::DoNotOptimize(batch.sample_value.data());
    }
  }
  Report(state, encoded.samples, encoded.bytes);
}
BENCHMARK(BM_DecodeRecord)->Unit(benchmark::kMillisecond);

class BatchEntry final : public LogEntry {
 public:
  BatchEntry(const AppendRecord& record, SegmentSeries& seen) : record_(record), seen_(seen) {}
  [[nodiscard]] size_t max_bytes() const override { return record_.max_bytes(); }
  void Write(LogPosition, uint64_t segment, std::string& out) override {
    record_.Finish(segment, seen_, out);
  }

 private:
  const AppendRecord& record_;
  SegmentSeries& seen_;
};

// Encoded, appended, synced, acknowledged; `range(0)` requests in flight at a time share a sync.
void BM_Append(benchmark::State& state) {
  const auto& scrapes = bench::Scrapes(kScrapes);
  const auto directory =
      std::filesystem::temp_directory_path() / ("basalt_log_bench_" + std::to_string(::getpid()));
  std::filesystem::remove_all(directory);
  SegmentLogOptions options;
  options.directory = directory.string();
  auto log = SegmentLog::Open(options).value();
  SegmentSeries seen;
  std::mutex mu;
  std::condition_variable changed;
  int64_t in_flight = 0;
  AppendRecord record;
  for (auto _ : state) {
    for (const IngestBatch& batch : scrapes) {
      BASALT_CHECK(record.Prepare({&batch, 1}).ok());
      BatchEntry entry(record, seen);
      {
        std::unique_lock lock(mu);
        changed.wait(lock, [&] { return in_flight < state.range(0); });
        ++in_flight;
      }
      const auto position = log->Append(entry, [&](const Status& status) {
        BASALT_CHECK(status.ok(), status.message());
        const std::lock_guard lock(mu);
        --in_flight;
        changed.notify_one();
      });
      BASALT_CHECK(position.ok());
    }
    BASALT_CHECK(log->Sync().ok());
    BASALT_CHECK(log->Trim(log->Head().seq).ok());
  }
  const LogStats stats = log->Stats();
  Report(state, EncodedScrapes().samples, EncodedScrapes().bytes);
  state.counters["records_per_sync"] =
      static_cast<double>(stats.records) / static_cast<double>(stats.syncs);
  state.counters["sync_us"] =
      static_cast<double>(stats.sync_ns) / static_cast<double>(stats.syncs) / 1e3;
  BASALT_CHECK(log->Close().ok());
  log.reset();
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_Append)
    ->Arg(1)
    ->Arg(16)
    ->Arg(256)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace basalt::storage
