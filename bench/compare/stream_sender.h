// bench/compare/stream_sender.h -- sends a file of columns over gRPC streams, one a connection of
// the file.
#pragma once

#include <cstdint>
#include <string>

#include "bench/compare/request_file.h"
#include "engine/base/status.h"

namespace basalt::bench {

// Requests of one connection share a message up to this: what an agent that scrapes several targets
// has at hand at one time. A stream has many such messages under way.
inline constexpr uint32_t kSamplesAMessage = 10'000;

struct StreamReport {
  double seconds = 0;
  uint64_t acked_requests = 0;  // messages
  uint64_t acked_samples = 0;
  uint64_t refused_items = 0;
  std::string first_refusal;
  bool broken = false;
};

// Blocks until everything is acknowledged or a stream broke; then `acked` counts what was said to
// be durable. kUnavailable: no connection at the start.
Result<StreamReport> SendStreams(const RequestFile& file, const std::string& address,
                                 uint32_t samples_a_message = kSamplesAMessage);

}  // namespace basalt::bench
