// tools/demo/remote_write_client.h -- a small remote write 1.0 sender, with the retries that the
// specification asks for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/http/client.h"

namespace basalt::demo {

struct Point {
  size_t series = 0;  // index into the labels given to the client
  int64_t time_ms = 0;
  double value = 0;
};

// The bytes of a WriteRequest, not compressed. Points of one series must be neighbours.
std::string EncodeWriteRequest(const std::vector<Labels>& series, std::span<const Point> points);

// One thread.
class RemoteWriteClient {
 public:
  // `base_url` is the server's; /api/v1/write is added.
  RemoteWriteClient(http::Url base_url, std::vector<Labels> series);

  // Sends one request. Unreachable servers, 429 and 5xx are tried again, with growing pauses, until
  // `patience` is used up; other refusals are errors with the server's text.
  Status Send(std::span<const Point> points, Duration patience);

 private:
  http::Client client_;
  std::vector<Labels> series_;
};

}  // namespace basalt::demo
