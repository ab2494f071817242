// compare_push: sends a file of columns over gRPC and prints one line of JSON about it.
#include <cstdio>
#include <string>

#include "bench/compare/flags.h"
#include "bench/compare/program.h"
#include "bench/compare/stream_sender.h"

namespace basalt::bench {
namespace {

Status Run(int argc, char** argv) {
  BASALT_TRY_ASSIGN(const Flags flags,
                    Flags::Parse(argc, argv,
                                 {{"file", ""},
                                  {"to", "127.0.0.1:7481"},
                                  {"samples-a-message", std::to_string(kSamplesAMessage)}}));
  BASALT_TRY_ASSIGN(const auto file, RequestFile::Open(flags.Text("file")));
  if (file->header().protocol != Protocol::kColumns)
    return InvalidArgument(flags.Text("file") + ": goes over HTTP: compare_replay");
  BASALT_TRY_ASSIGN(const uint32_t samples, flags.Number<uint32_t>("samples-a-message", 1));
  BASALT_TRY_ASSIGN(const StreamReport report, SendStreams(*file, flags.Text("to"), samples));
  std::fprintf(stderr, "\r");
  std::printf(
      "{\"seconds\": %.3f, \"acked_requests\": %llu, \"acked_samples\": %llu, "
      "\"refused_requests\": %llu, \"retries\": 0, \"broken\": %s, \"first_refusal\": %s, "
      "\"client_cpu_s\": %.3f}\n",
      report.seconds, static_cast<unsigned long long>(report.acked_requests),
      static_cast<unsigned long long>(report.acked_samples),
      static_cast<unsigned long long>(report.refused_items), report.broken ? "true" : "false",
      JsonText(report.first_refusal).c_str(), OwnCpuSeconds());
  return OkStatus();
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  return basalt::bench::Exit("compare_push", basalt::bench::Run(argc, argv));
}
