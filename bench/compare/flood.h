// bench/compare/flood.h -- more requests than a server can take, from a client that costs next to
// nothing: remote write 1.0 of made-up series, packed beforehand, their times written in as they go
// out. What was acknowledged can be counted afterwards: no sample is sent twice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace basalt::bench {

struct FloodOptions {
  std::string address;  // host:port, IPv4
  double seconds = 1;
  // Requests a second that are offered, whatever became of those before; 0: each connection sends
  // when it is answered.
  double requests_per_second = 0;
  uint32_t connections = 64;
  // Different requests, each of so many series load{job="...",s="..."} with a sample each.
  uint32_t targets = 50;
  uint32_t series = 2000;
  // The n-th request is of target n % targets, its time start_ms + n / targets * step_ms.
  int64_t start_ms = 0;
  int64_t step_ms = 10;
  uint64_t first_request = 0;
};

struct FloodReport {
  double seconds = 0;
  uint64_t offered = 0;              // requests sent
  uint64_t acked = 0;                // 2xx
  uint64_t refused = 0;              // 429 and 503; not sent again
  uint64_t without_retry_after = 0;  // of these
  uint64_t failed = 0;               // any other answer
  uint64_t unknown = 0;              // the connection went before the answer came
  std::string first_refusal;         // status and body
  double last_trouble_s = 0;  // after the start: when a request was last refused, or took a second
  std::vector<uint32_t> latency_us;  // of acknowledged requests
};

// kInvalidArgument: start_ms is no time of this century; more connections than the hard limit of
// file descriptors allows. kUnavailable: cannot connect.
Result<FloodReport> Flood(const FloodOptions& options);

}  // namespace basalt::bench
