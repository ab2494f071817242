// bench/compare/columns.h -- the body of a kColumns request: blocks for PushClient, without text.
//
// A body is blocks to its end. Of definitions: u32 0, u32 first series, u32 series, then for each
// u32 bytes and its canonical labels. Of samples at one time: u32 1, u32 first series, u32 series,
// i64 time in ms, that many doubles. Of samples at times of their own: u32 2, u32 0, u32 samples,
// then columns of u32 series, i64 times, doubles.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/compare/encode.h"
#include "engine/base/status.h"

namespace basalt::bench {

enum class ColumnBlock : uint32_t { kDefinitions = 0, kScrape = 1, kSamples = 2 };

std::unique_ptr<RequestEncoder> MakeColumnEncoder(const Fleet& fleet);

// What ReadColumns found, in order. Borrows are for the call.
class ColumnSink {
 public:
  virtual ~ColumnSink() = default;
  virtual void Define(uint32_t series, const Labels& labels) = 0;
  virtual void Scrape(uint32_t first, int64_t time_ms, std::span<const double> values) = 0;
  virtual void Samples(std::span<const uint32_t> series, std::span<const int64_t> time_ms,
                       std::span<const double> values) = 0;
};
// kDataLoss if the body does not parse.
Status ReadColumns(std::string_view body, ColumnSink& sink);

}  // namespace basalt::bench
