// Bytes as a time column: decoding stays inside, times that decode rise, and come back.
// Input: count (2 bytes), column.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/row.h"
#include "storage/codec/time_column.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::storage;
  if (size < 2) return 0;
  std::vector<int64_t> times(1 + (data[0] | size_t{data[1]} << 8) % kMaxSamplesPerRow);
  const std::string_view column(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::vector<int64_t> back(times.size());
  std::string again;
  if (DecodeTimes(column, times).ok()) {
    BASALT_CHECK(EncodeTimes(times, again).ok());
    BASALT_CHECK(DecodeTimes(again, back).ok());
    BASALT_CHECK(back == times);
  }
  again.clear();
  if (DecodeStarts(column, times).ok()) {
    BASALT_CHECK(EncodeStarts(times, again).ok());
    BASALT_CHECK(DecodeStarts(again, back).ok());
    BASALT_CHECK(back == times);
  }
  return 0;
}
