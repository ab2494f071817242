// compare_replay: sends a file of requests to a server and prints one line of JSON about it.
#include <cstdio>

#include "bench/compare/flags.h"
#include "bench/compare/http_sender.h"
#include "bench/compare/program.h"

namespace basalt::bench {
namespace {

Status Run(int argc, char** argv) {
  BASALT_TRY_ASSIGN(const Flags flags, Flags::Parse(argc, argv,
                                                    {{"file", ""},
                                                     {"to", "127.0.0.1:7480"},
                                                     {"path", "/api/v1/write"},
                                                     {"rate", "0"},
                                                     {"lead", "0"}}));
  BASALT_TRY_ASSIGN(const auto file, RequestFile::Open(flags.Text("file")));
  if (file->header().protocol == Protocol::kColumns)
    return InvalidArgument(flags.Text("file") + ": columns go over the stream: compare_push");
  SendOptions options;
  options.address = flags.Text("to");
  options.path = flags.Text("path");
  BASALT_TRY_ASSIGN(options.samples_per_second, flags.Number<double>("rate", 0));
  BASALT_TRY_ASSIGN(options.lead, flags.Number<uint64_t>("lead", 0));
  BASALT_TRY_ASSIGN(SendReport report, SendRequests(*file, options));
  std::printf(
      "{\"seconds\": %.3f, \"reconnects\": %llu, \"acked_requests\": %llu, \"acked_samples\": "
      "%llu, "
      "\"refused_requests\": %llu, \"retries\": %llu, \"broken\": %s, \"first_refusal\": %s, "
      "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"client_cpu_s\": %.3f}\n",
      report.seconds, static_cast<unsigned long long>(report.reconnects),
      static_cast<unsigned long long>(report.acked_requests),
      static_cast<unsigned long long>(report.acked_samples),
      static_cast<unsigned long long>(report.refused_requests),
      static_cast<unsigned long long>(report.retries), report.broken ? "true" : "false",
      JsonText(report.first_refusal).c_str(), QuantileMs(report.latency_us, 0.5),
      QuantileMs(report.latency_us, 0.99), QuantileMs(report.latency_us, 1), OwnCpuSeconds());
  return OkStatus();
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  return basalt::bench::Exit("compare_replay", basalt::bench::Run(argc, argv));
}
