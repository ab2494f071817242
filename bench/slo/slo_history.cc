// What SLOs cost that look back: a new SLO over a month of stored samples until it is ready, and
// simulating that month.
//
//   cmake --preset bench && cmake --build --preset bench -t slo_history
//   build/bench/bin/slo_history /var/tmp/slo_history --series=1000 --days=30
//
// Fills the directory first, if it is empty: `targets` targets, each scraped every 15 s at an
// offset of its own, whose series are one counter by code, one in ten of them errors. Times are
// thread CPU time of the one thread that does the work, and wall time beside it.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/simulation.h"
#include "engine/slo/slo_files.h"
#include "storage/resolver.h"
#include "storage/store.h"

namespace basalt::slo {
namespace {

constexpr int64_t kEndMs = 1'700'006'400'000;  // a midnight
constexpr int64_t kScrapeMs = 15'000;
constexpr size_t kCodes = 10;  // of which the last is an error

struct Options {
  std::string directory;
  int64_t series = 1000;
  int64_t days = 30;
  std::string by;  // group_by, "" or "instance"
  bool settle = true;
  bool simulate = true;
};

double CpuSeconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(kEndMs); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return SystemClock().Monotonic();
  }
};

class NoSink final : public notify::AlertSink {
 public:
  Status Publish(std::span<const notify::Alert> alerts) override {
    published += alerts.size();
    return OkStatus();
  }
  [[nodiscard]] std::vector<notify::Alert> Firing() const override { return {}; }
  [[nodiscard]] std::optional<Timestamp> DeliveredAt(const Hash128&) const override {
    return std::nullopt;
  }
  size_t published = 0;
};

// Requests come at some 100 a second and code, more by day; errors are 1 in 5000, and 1 in 20 for
// ten minutes of every third day.
double RateOf(size_t code, int64_t t_ms) {
  const int64_t hour = t_ms / 3'600'000 % 24;
  const double base = 50 + 10 * static_cast<double>(std::min(hour, 24 - hour));
  if (code + 1 != kCodes) return base;
  const int64_t minute = t_ms / 60'000 % (3 * 24 * 60);
  return minute < 10 ? base : base / 500;
}

Status Fill(storage::Store& store, const Options& options) {
  const auto targets = static_cast<size_t>(options.series) / kCodes;
  struct One {
    Hash128 fingerprint;
    Labels labels;
    double value = 0;
  };
  std::vector<One> all;
  for (size_t target = 0; target < targets; ++target) {
    for (size_t code = 0; code < kCodes; ++code) {
      One one;
      one.labels = Labels{{"__name__", "http_requests_total"},
                          {"code", code + 1 == kCodes ? "500" : "2" + std::to_string(10 + code)},
                          {"instance", "i" + std::to_string(target)},
                          {"job", "shop"}};
      one.fingerprint = {target * 1000 + code + 1, ~(target * 1000 + code)};
      all.push_back(std::move(one));
    }
  }
  storage::BatchBuilder builder(store.resolver(), kDefaultTenant);
  std::vector<LabelView> views;
  const int64_t first_ms = kEndMs - options.days * kMsPerDay;
  for (int64_t at = first_ms; at < kEndMs; at += kScrapeMs) {
    for (size_t i = 0; i < all.size(); ++i) {
      One& one = all[i];
      const size_t target = i / kCodes;
      const int64_t t = at + static_cast<int64_t>(target * 7919 % kScrapeMs);
      one.value += static_cast<double>(static_cast<int64_t>(RateOf(i % kCodes, t) * 15));
      if (!builder.SelectKnown(one.fingerprint)) {
        views.clear();
        for (const Label& label : one.labels) views.push_back({label.name, label.value});
        builder.SelectLabels(one.fingerprint, views);
      }
      builder.AddSample(t, one.value);
    }
    BASALT_TRY(store.Append(builder.Finish()).status());
  }
  return options.settle ? store.Settle() : OkStatus();
}

std::vector<Definition> TheSlo(const std::string& by) {
  const std::string sum = by.empty() ? "sum" : "sum by (" + by + ") ";
  CheckedSlos checked = CheckSloText(R"(
version: basalt/v1
service: shop
owner: team-checkout
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: )" + sum + R"((rate(http_requests_total{job="shop",code="500"}[{{.window}}]))
        total_query: )" + sum + R"((rate(http_requests_total{job="shop"}[{{.window}}]))
    alerting: {name: ShopErrors}
)",
                                     "bench.yml");
  BASALT_CHECK(checked.ok(), "the SLO of the benchmark");
  return std::move(checked.definitions);
}

// Runs `work` and prints what it took.
template <typename Work>
void Measure(const char* what, Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  const double thread = CpuSeconds(CLOCK_THREAD_CPUTIME_ID);
  const double process = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
  const std::string result = work();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%-10s %7.2f s of this thread's CPU, %7.2f of the process's, %7.2f wall: %s\n", what,
              CpuSeconds(CLOCK_THREAD_CPUTIME_ID) - thread,
              CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - process, took.count(), result.c_str());
  std::fflush(stdout);
}

Status Run(const Options& options) {
  storage::StoreOptions store_options;
  store_options.directory = options.directory;
  store_options.sync = storage::SyncMode::kInterval;
  const bool fill = !std::filesystem::exists(options.directory);
  BASALT_TRY_ASSIGN(const auto store, storage::Store::Open(store_options));
  if (fill) {
    Status filled;
    Measure("fill", [&] {
      filled = Fill(*store, options);
      return std::to_string(store->Stats().samples_appended) + " samples";
    });
    BASALT_TRY(filled);
  }
  StoreSamples samples(*store);
  const FixedClock clock;
  NoSink sink;
  EvaluatorOptions evaluator_options;
  evaluator_options.clock = &clock;
  Status status;
  {
    Evaluator evaluator(samples, sink, evaluator_options);
    Measure("load", [&] {
      status = evaluator.SetDefinitions(TheSlo(options.by));
      const auto view = evaluator.Slo(kDefaultTenant, "shop-requests", 1);
      return std::to_string(evaluator.Stats().groups) + " groups, " +
             std::to_string(evaluator.Stats().sweep.rounds) + " rounds, " +
             (view && !view->groups.empty() ? std::to_string(view->groups[0].windows.back().total)
                                            : std::string("no")) +
             " events in the period";
    });
  }
  BASALT_TRY(status);
  if (options.simulate) {
    Measure("simulate", [&] {
      const auto report = Simulate(TheSlo(options.by), samples,
                                   {kEndMs - options.days * kMsPerDay, kEndMs + kScrapeMs, {}});
      status = report.status();
      return report.ok() ? std::to_string(report->rounds) + " rounds, " +
                               std::to_string(report->alerts.size()) + " alerts"
                         : report.status().ToString();
    });
  }
  BASALT_TRY(status);
  return store->Close();
}

}  // namespace
}  // namespace basalt::slo

int main(int argc, char** argv) {
  basalt::log::Configure(basalt::log::Level::kWarn, basalt::log::Format::kLogfmt);
  basalt::slo::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&](std::string_view name) {
      return arg.starts_with(name) ? std::string(arg.substr(name.size())) : std::string();
    };
    if (!arg.starts_with("--")) options.directory = arg;
    if (const auto v = value("--series="); !v.empty()) options.series = std::atoll(v.c_str());
    if (const auto v = value("--days="); !v.empty()) options.days = std::atoll(v.c_str());
    if (const auto v = value("--by="); !v.empty()) options.by = v;
    if (arg == "--no-simulate") options.simulate = false;
  }
  if (options.directory.empty()) {
    std::fprintf(stderr,
                 "slo_history DIRECTORY [--series=1000] [--days=30] [--by=instance] "
                 "[--no-simulate]\n");
    return 64;
  }
  if (const basalt::Status status = basalt::slo::Run(options); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
