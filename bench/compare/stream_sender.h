// bench/compare/stream_sender.h -- sends a file of columns over gRPC streams, one a connection of
// the file.
#pragma once

#include <cstdint>
#include <string>

#include "bench/compare/request_file.h"
#include "engine/base/status.h"

namespace basalt::bench {

struct StreamReport {
  double seconds = 0;
  uint64_t acked_requests = 0;
  uint64_t acked_samples = 0;
  uint64_t refused_items = 0;
  std::string first_refusal;
  bool broken = false;
};

// Blocks until everything is acknowledged or a stream broke; then `acked` counts what was said to
// be durable. kUnavailable: no connection at the start.
Result<StreamReport> SendStreams(const RequestFile& file, const std::string& address);

}  // namespace basalt::bench
