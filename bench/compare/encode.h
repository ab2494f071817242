// bench/compare/encode.h -- samples of a fleet into request bodies.
//
// Cells are samples in the order in which they are to be sent. A run of cells of one series becomes
// one TimeSeries message with several samples.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "bench/compare/fleet.h"
#include "bench/compare/request_file.h"

namespace basalt::bench {

struct Cell {
  uint32_t series = 0;
  int64_t time_ms = 0;
  double value = 0;
};

// One thread. Holds what does not change from request to request (a series' labels as bytes), so
// that making a day's data takes minutes and not hours.
class RequestEncoder {
 public:
  virtual ~RequestEncoder() = default;
  // Replaces `body`.
  virtual Status Encode(std::span<const Cell> cells, std::string& body) = 0;
};

std::unique_ptr<RequestEncoder> MakeEncoder(Protocol protocol, const Fleet& fleet);

}  // namespace basalt::bench
