// Bytes as doubles: whatever they are, they come back bit for bit.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::storage;
  std::vector<double> values(std::min(size / sizeof(double), kMaxSamplesPerRow));
  if (values.empty()) return 0;
  std::memcpy(values.data(), data, values.size() * sizeof(double));
  std::string row;
  BASALT_CHECK(EncodeRow(values, row, {.entropy = (data[0] & 1) != 0}).ok());
  BASALT_CHECK(row.size() <= MaxRowBytes(values.size()));
  std::vector<double> back(values.size());
  BASALT_CHECK(DecodeRow(row, back).ok());
  BASALT_CHECK(std::memcmp(back.data(), values.data(), values.size() * sizeof(double)) == 0);
  return 0;
}
