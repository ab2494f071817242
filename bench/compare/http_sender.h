// bench/compare/http_sender.h -- sends a file of requests over a few kept-alive connections.
//
// Bodies go from the page cache to the socket by sendfile, so that the client's share of the
// machine stays small beside any server's: ~1 us a request of its own code. Closed loop: a
// connection sends its next request when the last one is answered. Paced: not before its time
// either, and latency then counts from that time, so that a stall is not hidden.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/compare/request_file.h"
#include "engine/base/status.h"

namespace basalt::bench {

inline constexpr uint64_t kLeadPerConnection = 8;

struct SendOptions {
  std::string address;  // host:port, IPv4
  std::string path = "/api/v1/write";
  double samples_per_second = 0;  // 0: as fast as it is answered
  // Requests that a connection may be ahead of the first unanswered one, in the file's order, which
  // is that of time: a fleet's targets are scraped at the same time, and no server is made for
  // targets hours apart. 0: kLeadPerConnection for each connection.
  uint64_t lead = 0;
};

struct SendReport {
  double seconds = 0;
  uint64_t acked_requests = 0;
  uint64_t acked_samples = 0;
  uint64_t refused_requests = 0;  // 4xx but 429; not sent again
  uint64_t retries = 0;           // 429 and 5xx; sent again
  std::string first_refusal;      // status and body
  uint64_t reconnects =
      0;                // a connection that the server closed is opened again, its request resent
  bool broken = false;  // the server went away; acked is what it had said
  std::vector<uint32_t> latency_us;  // of acked requests, in no order
};

// Blocks until all is answered or the server is gone. Says how far it is on stderr once a second.
// kUnavailable: cannot connect.
Result<SendReport> SendRequests(const RequestFile& file, const SendOptions& options);

}  // namespace basalt::bench
