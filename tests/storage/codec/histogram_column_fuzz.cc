// Bytes as a histogram row: decoding stays inside its bounds, and what decodes comes back.
// Input: sample count (2 bytes), row.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/histogram_column.h"
#include "storage/codec/row.h"
#include "tests/storage/codec/histogram_shapes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::storage;
  if (size < 2) return 0;
  std::vector<HistogramPoint> points(1 + (data[0] | size_t{data[1]} << 8) % kMaxSamplesPerRow);
  const std::string_view row(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (!DecodeHistograms(row, points).ok()) return 0;
  std::string again;
  BASALT_CHECK(EncodeHistograms(points, again).ok());
  std::vector<HistogramPoint> back(points.size());
  BASALT_CHECK(DecodeHistograms(again, back).ok());
  for (size_t i = 0; i < points.size(); ++i) {
    BASALT_CHECK(basalt::testing::SameHistogram(points[i].histogram, back[i].histogram));
  }
  return 0;
}
