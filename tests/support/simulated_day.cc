#include "tests/support/simulated_day.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "storage/resolver.h"

namespace basalt::testing {
namespace {

constexpr int64_t kBeginMs = 1'700'006'400'000;  // a midnight, UTC
constexpr ptrdiff_t kRequestsInFlight = 64;
// Between two looks at what is due.
constexpr Duration kMaintainEvery = std::chrono::minutes(5);

class SimulatedClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override { return Duration(now_ms_); }
  void Set(int64_t now_ms) { now_ms_ = now_ms; }

 private:
  std::atomic<int64_t> now_ms_{kBeginMs};
};

uint64_t ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t WrittenBytes() {
  std::ifstream in("/proc/self/io");
  std::string name;
  uint64_t bytes = 0;
  while (in >> name >> bytes) {
    if (name == "write_bytes:") return bytes;
  }
  return 0;
}

struct Tree {
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t ssts = 0;
  uint64_t segments = 0;
  uint64_t unfinished = 0;  // in incoming/
};
Tree Walk(const std::string& directory) {
  namespace fs = std::filesystem;
  Tree tree;
  std::error_code gone;  // files come and go while we look
  for (auto it = fs::recursive_directory_iterator(directory, gone);
       it != fs::recursive_directory_iterator(); it.increment(gone)) {
    if (gone || !it->is_regular_file(gone)) continue;
    ++tree.files;
    const auto size = it->file_size(gone);
    if (!gone) tree.bytes += size;
    tree.ssts += it->path().extension() == ".sst" ? 1 : 0;
    tree.unfinished += it->path().parent_path().filename() == "incoming" ? 1 : 0;
    tree.segments += it->path().extension() == ".seg" ? 1 : 0;
  }
  return tree;
}

// One series: a counter or a gauge that stands still most of the time.
struct Generator {
  double value = 0;
  uint64_t state = 0;
  double Next() {
    state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    const auto dice = static_cast<uint32_t>(state >> 33);
    if (dice % 4 == 0) {
      value += kind() == 0 ? dice % 17 : (static_cast<double>(dice % 2001) - 1000) / 100;
    }
    return value;
  }
  [[nodiscard]] uint64_t kind() const { return state & 1; }
};

class Fleet {
 public:
  Fleet(const DayOptions& options, storage::Store& store)
      : options_(options), store_(store), series_(options.series), free_(kRequestsInFlight) {
    for (size_t i = 0; i < series_.size(); ++i) {
      series_[i].state = HashBytes64(std::to_string(options.seed) + "/" + std::to_string(i));
    }
  }
  // Nothing is in flight when it goes.
  ~Fleet() { Wait(); }
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  Status Scrape(int64_t time_ms) {
    for (uint64_t first = 0; first < series_.size(); first += options_.series_per_target) {
      storage::BatchBuilder builder(store_.resolver(), kDefaultTenant);
      const uint64_t end = std::min<uint64_t>(first + options_.series_per_target, series_.size());
      for (uint64_t i = first; i < end; ++i) {
        // What the wire's bytes would hash to.
        const Hash128 fingerprint = HashBytes128({reinterpret_cast<const char*>(&i), sizeof(i)});
        if (!builder.SelectKnown(fingerprint)) Introduce(builder, fingerprint, i);
        builder.AddSample(time_ms, series_[i].Next());
      }
      free_.acquire();
      store_.Append(builder.Finish(), [this](const Result<storage::AppendResult>& done) {
        if (!done.ok()) {
          const std::lock_guard lock(mu_);
          if (failed_.ok()) failed_ = done.status();
        }
        free_.release();
      });
    }
    const std::lock_guard lock(mu_);
    return failed_;
  }
  void Wait() {
    for (ptrdiff_t i = 0; i < kRequestsInFlight; ++i) free_.acquire();
    free_.release(kRequestsInFlight);
  }

 private:
  void Introduce(storage::BatchBuilder& builder, const Hash128& fingerprint, uint64_t i) const {
    const std::string name =
        "metric_" + std::to_string(i % options_.series_per_target / 4) + "_total";
    const std::string cpu = std::to_string(i % 4);
    const std::string instance = "host-" + std::to_string(i / options_.series_per_target) + ":9100";
    const LabelView labels[] = {
        {"__name__", name}, {"cpu", cpu}, {"instance", instance}, {"job", "node"}};
    builder.SelectLabels(fingerprint, labels);
  }

  const DayOptions& options_;
  storage::Store& store_;
  std::vector<Generator> series_;
  std::counting_semaphore<kRequestsInFlight> free_;
  std::mutex mu_;
  Status failed_;
};

// `written`: WrittenBytes when the day began.
HourReport Look(uint32_t hour, const std::string& directory, const storage::Store& store,
                uint64_t written) {
  const Tree tree = Walk(directory);
  HourReport report;
  report.hour = hour;
  report.stats = store.Stats();
  report.samples = report.stats.samples_appended;
  report.resident_bytes = ResidentBytes();
  report.files = tree.files;
  report.disk_bytes = tree.bytes;
  report.written_bytes = WrittenBytes() - written;
  return report;
}

}  // namespace

Result<DayReport> RunSimulatedDay(const DayOptions& options,
                                  const std::function<void(const HourReport&)>& on_hour) {
  if (options.series == 0 || options.series_per_target == 0 || options.interval <= Duration(0)) {
    return InvalidArgument("simulated day: series, series_per_target and interval must be above 0");
  }
  const auto begun = std::chrono::steady_clock::now();
  const uint64_t written = WrittenBytes();
  SimulatedClock clock;
  storage::StoreOptions store_options = options.store;
  store_options.directory = options.directory;
  store_options.clock = &clock;
  BASALT_TRY_ASSIGN(const std::unique_ptr<storage::Store> store,
                    storage::Store::Open(store_options));
  DayReport report;
  {
    Fleet fleet(options, *store);
    int64_t now_ms = kBeginMs;
    int64_t maintained_ms = now_ms;
    for (uint32_t hour = 1; hour <= options.hours; ++hour) {
      const int64_t end_ms = kBeginMs + int64_t{hour} * 3'600'000;
      for (; now_ms < end_ms; now_ms += options.interval.count()) {
        clock.Set(now_ms);
        BASALT_TRY(fleet.Scrape(now_ms));
        if (now_ms - maintained_ms < kMaintainEvery.count()) continue;
        fleet.Wait();
        BASALT_TRY(store->Maintain());
        maintained_ms = now_ms;
      }
      fleet.Wait();
      report.hours.push_back(Look(hour, options.directory, *store, written));
      if (on_hour) on_hour(report.hours.back());
    }
  }
  BASALT_TRY(store->Settle());
  report.settled = Look(options.hours, options.directory, *store, written);
  const Tree tree = Walk(options.directory);
  // Every live SST holds a run, but for those of the small families.
  const uint64_t accounted = report.settled.stats.sst_files + report.settled.stats.log_segments;
  report.leaked_files =
      tree.unfinished +
      (tree.ssts + tree.segments > accounted ? tree.ssts + tree.segments - accounted : 0);
  BASALT_TRY(store->Close());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return report;
}

}  // namespace basalt::testing
