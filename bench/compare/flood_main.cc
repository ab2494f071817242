// compare_flood: offers a server more than it can take and prints one line of JSON about it.
#include <cstdio>

#include "bench/compare/flags.h"
#include "bench/compare/flood.h"
#include "bench/compare/program.h"

namespace basalt::bench {
namespace {

Status Run(int argc, char** argv) {
  BASALT_TRY_ASSIGN(const Flags flags, Flags::Parse(argc, argv,
                                                    {{"to", "127.0.0.1:7480"},
                                                     {"seconds", "10"},
                                                     {"rate", "0"},
                                                     {"connections", "64"},
                                                     {"targets", "50"},
                                                     {"series", "2000"},
                                                     {"start-ms", "0"},
                                                     {"step-ms", "10"},
                                                     {"first-request", "0"}}));
  FloodOptions options;
  options.address = flags.Text("to");
  BASALT_TRY_ASSIGN(options.seconds, flags.Number<double>("seconds", 0));
  BASALT_TRY_ASSIGN(options.requests_per_second, flags.Number<double>("rate", 0));
  BASALT_TRY_ASSIGN(options.connections, flags.Number<uint32_t>("connections", 1));
  BASALT_TRY_ASSIGN(options.targets, flags.Number<uint32_t>("targets", 1));
  BASALT_TRY_ASSIGN(options.series, flags.Number<uint32_t>("series", 1));
  BASALT_TRY_ASSIGN(options.start_ms, flags.Number<int64_t>("start-ms", 0));
  BASALT_TRY_ASSIGN(options.step_ms, flags.Number<int64_t>("step-ms", 1));
  BASALT_TRY_ASSIGN(options.first_request, flags.Number<uint64_t>("first-request", 0));
  BASALT_TRY_ASSIGN(FloodReport report, Flood(options));
  std::printf(
      "{\"seconds\": %.3f, \"offered\": %llu, \"acked\": %llu, \"refused\": %llu, "
      "\"without_retry_after\": %llu, \"failed\": %llu, \"unknown\": %llu, \"first_refusal\": %s, "
      "\"last_trouble_s\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"client_cpu_s\": %.3f}\n",
      report.seconds, static_cast<unsigned long long>(report.offered),
      static_cast<unsigned long long>(report.acked),
      static_cast<unsigned long long>(report.refused),
      static_cast<unsigned long long>(report.without_retry_after),
      static_cast<unsigned long long>(report.failed),
      static_cast<unsigned long long>(report.unknown), JsonText(report.first_refusal).c_str(),
      report.last_trouble_s, QuantileMs(report.latency_us, 0.5),
      QuantileMs(report.latency_us, 0.99), OwnCpuSeconds());
  return OkStatus();
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  return basalt::bench::Exit("compare_flood", basalt::bench::Run(argc, argv));
}
