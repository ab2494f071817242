// What the store costs under a fleet of scrape targets: memory by component, CPU by phase, bytes
// written, restart. Run from the root of the repository:
//
//   store_load all DIR             load in a child that closes, reopen in another; the same again
//                                  with a child that kills itself. DIR is emptied.
//   store_load fill|open DIR       one step of it in this process
//
//   --targets=1000 --series=1000   of a target
//   --scrapes=20 --waves=2         scrapes of each wave; a wave is that many new targets
//   --shards=0 --request=2000      see load.h
//   --end=close|kill --seed=1 --sync=always|interval
//   --settle                       settle at the end of the load, and say what storage cost in all
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/store/load.h"
#include "bench/store/process_stats.h"
#include "bench/store/recording.h"
#include "storage/store.h"

namespace basalt::bench {
namespace {

constexpr const char* kMainThread = "load";  // its CPU is told by phase

struct Options {
  std::string mode;
  std::string directory;
  LoadOptions load;
  size_t scrapes = 20;
  size_t waves = 2;
  uint64_t seed = 1;
  bool kill = false;
  bool sync_always = true;
  bool settle = false;
  std::vector<std::string> passed_on;  // all but mode and directory
};

bool Number(std::string_view argument, std::string_view name, size_t& out) {
  if (!argument.starts_with(name)) return false;
  out = std::strtoull(std::string(argument.substr(name.size())).c_str(), nullptr, 10);
  return true;
}

bool Parse(int argc, char** argv, Options& o) {
  if (argc < 3) return false;
  o.mode = argv[1];
  o.directory = argv[2];
  for (int i = 3; i < argc; ++i) {
    const std::string_view a = argv[i];
    o.passed_on.emplace_back(a);
    size_t seed = 0;
    if (Number(a, "--targets=", o.load.targets) || Number(a, "--series=", o.load.series) ||
        Number(a, "--scrapes=", o.scrapes) || Number(a, "--waves=", o.waves) ||
        Number(a, "--shards=", o.load.shards) || Number(a, "--request=", o.load.request_samples)) {
      continue;
    }
    if (Number(a, "--seed=", seed)) {
      o.seed = seed;
    } else if (a == "--end=kill" || a == "--end=close") {
      o.kill = a == "--end=kill";
    } else if (a == "--sync=always" || a == "--sync=interval") {
      o.sync_always = a == "--sync=always";
    } else if (a == "--settle") {
      o.settle = true;
    } else {
      std::fprintf(stderr, "unknown: %s\n", argv[i]);
      return false;
    }
  }
  return o.mode == "all" || o.mode == "fill" || o.mode == "open";
}

double Mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }
double Ratio(uint64_t a, uint64_t b) {
  return static_cast<double>(a) / static_cast<double>(std::max<uint64_t>(b, 1));
}

// `base`: what the process held before the store was opened.
void PrintMemory(storage::Store& store, const MemoryUse& base) {
  const storage::StoreStats stats = store.Stats();
  const MemoryUse now = ReadMemoryUse();
  const uint64_t resolver = store.resolver().memory_bytes();
  const uint64_t known = stats.head_bytes + stats.index_bytes + resolver + stats.database_bytes;
  const uint64_t grown = now.resident_bytes - std::min(base.resident_bytes, now.resident_bytes);
  std::printf(
      "  series %lu in all, %lu with a place in the head; samples in the head %lu\n"
      "  RSS %.1f MiB (peak %.1f), beyond the base of %.1f: %.1f = %.0f bytes a series in the "
      "head, %.0f a series in all\n"
      "    head %.1f  index %.1f  resolver %.1f  RocksDB %.1f  the rest %.1f MiB; malloc: out "
      "%.1f, kept %.1f\n",
      stats.total_series, stats.active_series, stats.head_samples, Mib(now.resident_bytes),
      Mib(now.peak_bytes), Mib(base.resident_bytes), Mib(grown), Ratio(grown, stats.active_series),
      Ratio(grown, stats.total_series), Mib(stats.head_bytes), Mib(stats.index_bytes),
      Mib(resolver), Mib(stats.database_bytes), Mib(grown) - Mib(known), Mib(now.allocated_bytes),
      Mib(now.free_bytes));
}

// What has been spent since the last call.
class Costs {
 public:
  void Print(storage::Store& store, const Load& load) {
    const std::map<std::string, uint64_t> cpu = ReadThreadCpu();
    const storage::StoreStats stats = store.Stats();
    const Written written = ReadWritten();
    const uint64_t n = load.samples() - samples_;
    std::printf("  CPU ns a sample: resolve %.1f, check and log encode %.1f",
                Ratio(load.resolve_ns() - resolve_ns_, n), Ratio(load.append_ns() - append_ns_, n));
    for (const auto& [name, ns] : cpu) {
      if (name != kMainThread) std::printf(", %s %.1f", name.c_str(), Ratio(ns - cpu_[name], n));
    }
    std::printf(
        "\n  bytes a sample: log %.3f; write() %.3f, to disk %.3f; runs %.3f (%lu samples in %lu "
        "runs, %lu seals); syncs %lu\n",
        Ratio(stats.log_bytes_written - log_, n),
        Ratio(written.call_bytes - written_.call_bytes, n),
        Ratio(written.disk_bytes - written_.disk_bytes, n),
        Ratio(stats.run_bytes, stats.run_samples), stats.run_samples, stats.runs, stats.seals,
        stats.log_syncs);
    cpu_ = cpu;
    samples_ = load.samples();
    resolve_ns_ = load.resolve_ns();
    append_ns_ = load.append_ns();
    log_ = stats.log_bytes_written;
    written_ = written;
  }

 private:
  std::map<std::string, uint64_t> cpu_;
  uint64_t samples_ = 0;
  uint64_t resolve_ns_ = 0;
  uint64_t append_ns_ = 0;
  uint64_t log_ = 0;
  Written written_;
};

using Clock = std::chrono::steady_clock;
double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

// CPU time of seals and rewrites. While samples come, each is one thread's; once `alone`, all that
// the process does is theirs.
class Steps {
 public:
  void Watch(storage::StoreOptions& options) {
    options.on_step = [this](const storage::StepEvent& event) {
      const auto [step, begins, work] = event;
      // A step ends by the clock that it began by.
      static thread_local bool by_process = false;
      if (begins && step_depth++ == 0) by_process = alone;
      if (!begins) --step_depth;
      const uint64_t now = by_process ? ThisProcessCpuNs() : ThisThreadCpuNs();
      std::atomic<uint64_t>& of = step == storage::StoreStep::kSeal      ? seal_ns
                                  : step == storage::StoreStep::kRewrite ? rewrite_ns
                                                                         : other_ns;
      if (begins) {
        of -= now;
      } else {
        of += now;
      }
    };
  }

  static inline thread_local int step_depth = 0;
  std::atomic<bool> alone{false};
  std::atomic<uint64_t> seal_ns{0};
  std::atomic<uint64_t> rewrite_ns{0};
  std::atomic<uint64_t> other_ns{0};
};

// Settles, and prints what the whole way of a sample came to.
void SettleAndSum(storage::Store& store, const Load& load, Steps& steps, uint64_t apply_ns) {
  const uint64_t n = load.samples();
  const uint64_t log_ns = ReadThreadCpu()["basalt-log"];
  steps.alone = true;
  const auto begin = Clock::now();
  const Status settled = store.Settle();
  BASALT_CHECK(settled.ok(), settled.message());
  const storage::StoreStats stats = store.Stats();
  const double seal = Ratio(steps.seal_ns, n);
  const double rewrite = Ratio(steps.rewrite_ns, n);
  const double append = Ratio(load.append_ns() + log_ns, n);
  const double apply = Ratio(apply_ns, n);
  std::printf(
      "settled in %.1f s\n  CPU ns a sample: log %.1f (encode %.1f), apply %.1f, seal %.1f, "
      "rewrite "
      "%.1f: storage in all %.1f\n  bytes a sample: log %.3f, seal %.3f, rewrite %.3f; in all to "
      "disk %.3f; left in files %.3f, of them runs %.3f\n  peak RSS %.1f MiB\n",
      Seconds(begin), append, Ratio(load.append_ns(), n), apply, seal, rewrite,
      append + apply + seal + rewrite, Ratio(stats.log_bytes_written, n),
      Ratio(stats.seal_bytes_written, n), Ratio(stats.rewrite_bytes_written, n),
      Ratio(ReadWritten().disk_bytes, n), Ratio(stats.file_bytes, n), Ratio(stats.run_bytes, n),
      Mib(ReadMemoryUse().peak_bytes));
}

// The recording's day is today, as it is for a server whose samples are new: else each seal would
// be of a day that has closed.
class RecordedClock final : public basalt::Clock {
 public:
  RecordedClock(const Recording& recording, size_t scrapes)
      : now_(FromMs(recording.TimeMs(0, scrapes))) {}
  [[nodiscard]] Timestamp Now() const override { return now_; }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return SystemClock().Monotonic();
  }

 private:
  const Timestamp now_;
};

storage::StoreOptions StoreOptionsOf(const Options& o) {
  storage::StoreOptions options;
  options.directory = o.directory;
  options.sync = o.sync_always ? storage::SyncMode::kAlways : storage::SyncMode::kInterval;
  return options;
}

int Fill(const Options& o) {
  const Recording recording(o.load.series, o.seed);
  if (!recording.found()) {
    std::fprintf(stderr, "../shared/data is not there: run from the root of the repository\n");
    return 1;
  }
  const MemoryUse base = ReadMemoryUse();
  Steps steps;
  const RecordedClock clock(recording, o.scrapes * o.waves);
  storage::StoreOptions store_options = StoreOptionsOf(o);
  store_options.clock = &clock;
  steps.Watch(store_options);
  auto store = storage::Store::Open(store_options);
  BASALT_CHECK(store.ok(), store.status().message());
  Load load(o.load, recording, **store);
  Costs costs;
  for (size_t wave = 0; wave < o.waves; ++wave) {
    const auto begin = Clock::now();
    load.Run(wave * o.load.targets, wave * o.scrapes, 1);
    std::printf("wave %zu, first scrape (%.1f s): new series\n", wave + 1, Seconds(begin));
    costs.Print(**store, load);
    const auto second = Clock::now();
    load.Run(wave * o.load.targets, wave * o.scrapes + 1, o.scrapes - 1);
    std::printf("wave %zu, %zu more (%.1f s)\n", wave + 1, o.scrapes - 1, Seconds(second));
    costs.Print(**store, load);
    PrintMemory(**store, base);
    std::fflush(stdout);
  }
  if (o.settle) SettleAndSum(**store, load, steps, ReadThreadCpu()["basalt-apply"]);
  if (o.kill) ::kill(::getpid(), SIGKILL);
  const auto begin = Clock::now();
  const Status closed = (*store)->Close();
  BASALT_CHECK(closed.ok(), closed.message());
  std::printf("closed in %.2f s, peak RSS %.1f MiB\n", Seconds(begin),
              Mib(ReadMemoryUse().peak_bytes));
  return 0;
}

int Open(const Options& o) {
  const MemoryUse base = ReadMemoryUse();
  const auto begin = Clock::now();
  auto store = storage::Store::Open(StoreOptionsOf(o));
  BASALT_CHECK(store.ok(), store.status().message());
  const storage::StoreStats stats = (*store)->Stats();
  std::printf("open in %.2f s, of which replay %.2f s; %lu records, %lu samples\n", Seconds(begin),
              static_cast<double>(stats.replay_ms) / 1e3, stats.replayed_records,
              stats.samples_appended);
  PrintMemory(**store, base);
  std::fflush(stdout);
  return (*store)->Close().ok() ? 0 : 1;
}

// Runs a step in a process of its own; what it prints goes where ours goes.
int Child(const Options& o, const std::string& mode, const char* end) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::vector<std::string> words{"store_load", mode, o.directory};
    words.insert(words.end(), o.passed_on.begin(), o.passed_on.end());
    words.emplace_back(end);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

int All(const Options& o) {
  for (const char* end : {"--end=close", "--end=kill"}) {
    std::filesystem::remove_all(o.directory);
    std::printf("---- %s\n", end + 6);
    (void)Child(o, "fill", end);
    for (int i = 0; i < 2; ++i) (void)Child(o, "open", end);
  }
  std::filesystem::remove_all(o.directory);
  return 0;
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  (void)::pthread_setname_np(::pthread_self(), basalt::bench::kMainThread);
  basalt::bench::Options options;
  if (!basalt::bench::Parse(argc, argv, options)) {
    std::fprintf(stderr, "see the head of bench/store/store_load.cc\n");
    return 2;
  }
  if (options.mode == "all") return basalt::bench::All(options);
  return options.mode == "fill" ? basalt::bench::Fill(options) : basalt::bench::Open(options);
}
