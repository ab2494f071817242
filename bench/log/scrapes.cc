#include "bench/log/scrapes.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace basalt::bench {
namespace {

constexpr size_t kRows = 900;  // of the recording, one a second
constexpr size_t kRowsApart = 15;
constexpr size_t kSeries = 1000;  // of a batch, as a target's scrape has

// values[series][row]; empty if the file is not there.
std::vector<double> Recorded() {
  std::ifstream in("../shared/data/values.f64.zst", std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<double> values;
  if (packed.empty()) return values;
  const unsigned long long bytes = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (bytes == ZSTD_CONTENTSIZE_ERROR || bytes == ZSTD_CONTENTSIZE_UNKNOWN) return values;
  values.resize(bytes / sizeof(double));
  if (ZSTD_isError(ZSTD_decompress(values.data(), bytes, packed.data(), packed.size())) != 0)
    values.clear();
  return values;
}

// A third each: constants, counters, noise with three decimals.
std::vector<double> Generated() {
  std::mt19937_64 random(1);
  std::vector<double> values;
  for (size_t series = 0; series < 4 * kSeries; ++series) {
    double v = static_cast<double>(random() % 10'000);
    for (size_t row = 0; row < kRows; ++row) {
      if (series % 3 == 1) v += static_cast<double>(random() % 20);
      values.push_back(
          series % 3 == 2 ? std::round(v * 1e3 + static_cast<double>(random() % 1000)) / 1e3 : v);
    }
  }
  return values;
}

const std::vector<double>& Values() {
  static const std::vector<double> values = [] {
    auto recorded = Recorded();
    return recorded.empty() ? Generated() : recorded;
  }();
  return values;
}

}  // namespace

const char* ScrapesSource() {
  static const bool recorded = !Recorded().empty();
  return recorded ? "recorded" : "generated";
}

const std::vector<storage::IngestBatch>& Scrapes(size_t count) {
  static std::vector<storage::IngestBatch> batches;
  const size_t all = Values().size() / kRows;
  while (batches.size() < count) {
    const size_t targets = (all + kSeries - 1) / kSeries;
    const size_t target = batches.size() % targets;
    const size_t row = batches.size() / targets * kRowsApart % kRows;
    storage::IngestBatch& batch = batches.emplace_back();
    for (size_t s = target * kSeries; s < std::min(all, (target + 1) * kSeries); ++s) {
      const double value = Values()[s * kRows + row];
      if (std::isnan(value)) continue;  // absent in this scrape
      batch.sample_series.push_back(static_cast<uint32_t>(batch.series.size()));
      batch.series.push_back({.ordinal = SeriesOrdinal{static_cast<uint32_t>(s)}, .id = {{s, s}}});
      batch.sample_ms.push_back(1'700'000'000'000 + static_cast<int64_t>(row) * 1000);
      batch.sample_value.push_back(value);
    }
  }
  return batches;
}

}  // namespace basalt::bench
