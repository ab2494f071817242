// Bytes as a row: decoding stays inside, and what decodes is encoded and decoded again to the same
// bits. Input: sample count (2 bytes), row.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::storage;
  if (size < 2) return 0;
  const size_t samples = 1 + (data[0] | size_t{data[1]} << 8) % kMaxSamplesPerRow;
  const std::string_view row(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::vector<double> values(samples);
  const basalt::Status decoded = DecodeRow(row, values);
  std::vector<double> part((samples + 1) / 2);
  const basalt::Status ranged = DecodeRowRange(row, samples, samples - part.size(), part);
  if (!decoded.ok()) return 0;
  // A hostile row may contradict itself (entry points that do not fit its residuals): then both
  // answers are legal.
  (void)ranged;
  for (const bool entropy : {false, true}) {
    std::string again;
    BASALT_CHECK(EncodeRow(values, again, {.entropy = entropy}).ok());
    BASALT_CHECK(again.size() <= MaxRowBytes(samples));
    std::vector<double> back(samples);
    BASALT_CHECK(DecodeRow(again, back).ok());
    BASALT_CHECK(std::memcmp(back.data(), values.data(), samples * sizeof(double)) == 0);
    BASALT_CHECK(DecodeRowRange(again, samples, samples - part.size(), part).ok());
    BASALT_CHECK(std::memcmp(part.data(), &values[samples - part.size()],
                             part.size() * sizeof(double)) == 0);
  }
  return 0;
}
