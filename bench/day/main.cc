// The simulated day, as a program: see README.md.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/base/log.h"
#include "tests/support/simulated_day.h"

namespace {

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void Print(const char* name, const basalt::testing::HourReport& h) {
  const auto& s = h.stats;
  const double samples = static_cast<double>(h.samples);
  std::printf(
      "%-8s %6.1f M samples  RSS %7.1f MiB  head %6.1f  RocksDB %5.1f  dirs %4.1f  files %4llu  "
      "disk %8.1f MiB  "
      "runs %4llu (%llu rollups)  %.3f B/sample kept  written/sample: log %.3f seal %.3f rewrite "
      "%.3f = %.3f, all files %.3f\n",
      name, samples / 1e6, MiB(h.resident_bytes), MiB(s.head_bytes), MiB(s.database_bytes),
      MiB(s.run_directory_bytes), static_cast<unsigned long long>(h.files), MiB(h.disk_bytes),
      static_cast<unsigned long long>(s.runs), static_cast<unsigned long long>(s.rollup_runs),
      s.run_samples == 0 ? 0
                         : static_cast<double>(s.run_bytes) / static_cast<double>(s.run_samples),
      static_cast<double>(s.log_bytes_written) / samples,
      static_cast<double>(s.seal_bytes_written) / samples,
      static_cast<double>(s.rewrite_bytes_written) / samples,
      static_cast<double>(s.log_bytes_written + s.seal_bytes_written + s.rewrite_bytes_written) /
          samples,
      static_cast<double>(h.written_bytes) / samples);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  basalt::log::Configure(basalt::log::Level::kWarn, basalt::log::Format::kLogfmt);
  basalt::testing::DayOptions options;
  options.store.sync = basalt::storage::SyncMode::kInterval;
  // Small, so that it is full soon: what grows after that is something else.
  options.store.block_cache_bytes = 32u << 20;
  const auto number = [](std::string_view text) { return std::strtoull(text.data(), nullptr, 10); };
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&](std::string_view name) {
      return arg.starts_with(name) ? arg.substr(name.size()) : std::string_view();
    };
    if (!arg.starts_with("--")) {
      options.directory = arg;
    } else if (const auto v = value("--series="); !v.empty()) {
      options.series = number(v);
    } else if (const auto v2 = value("--hours="); !v2.empty()) {
      options.hours = static_cast<uint32_t>(number(v2));
    } else if (const auto v3 = value("--interval="); !v3.empty()) {
      options.interval = std::chrono::seconds(number(v3));
    } else if (const auto v4 = value("--keep-days="); !v4.empty()) {
      options.store.retention_policy.keep = std::chrono::hours(24 * number(v4));
    } else if (const auto v5 = value("--cache-mib="); !v5.empty()) {
      options.store.block_cache_bytes = number(v5) << 20;
    } else if (arg == "--sync=always") {
      options.store.sync = basalt::storage::SyncMode::kAlways;
    } else if (arg == "--rollups") {
      options.store.retention_policy.rules.push_back({.tenant = std::nullopt,
                                                      .matchers = {},
                                                      .raw = std::chrono::hours(24),
                                                      .five_minutes = std::chrono::hours(24 * 30),
                                                      .hours = std::chrono::hours(24 * 400)});
    } else {
      std::fprintf(stderr, "%s: unknown\n", argv[i]);
      return 64;
    }
  }
  if (options.directory.empty()) {
    std::fprintf(stderr,
                 "simulated_day DIRECTORY [--series=1000000] [--hours=24] [--interval=60] "
                 "[--keep-days=0] [--rollups] [--cache-mib=32] [--sync=always]\n");
    return 64;
  }
  const auto report = basalt::testing::RunSimulatedDay(options, [](const auto& hour) {
    Print(("hour " + std::to_string(hour.hour)).c_str(), hour);
  });
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.status().ToString().c_str());
    return 1;
  }
  Print("settled", report->settled);
  std::printf("leaked files %llu, %.1f s\n", static_cast<unsigned long long>(report->leaked_files),
              report->seconds);
  return report->leaked_files == 0 ? 0 : 1;
}
