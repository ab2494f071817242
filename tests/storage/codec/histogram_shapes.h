// Seeded histogram rows for the tests of the codec.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/stale.h"
#include "storage/reader.h"
#include "tests/support/sample_shapes.h"

namespace basalt::testing {

using storage::HistogramPoint;

// Bit for bit, over the fields that `is_float` says are meant.
inline bool SameHistogram(const NativeHistogram& a, const NativeHistogram& b) {
  const auto bits = [](double v) { return std::bit_cast<uint64_t>(v); };
  const auto same = [&](const std::vector<double>& x, const std::vector<double>& y) {
    return std::ranges::equal(x, y, {}, bits, bits);
  };
  return a.is_float == b.is_float && a.reset_hint == b.reset_hint && a.schema == b.schema &&
         bits(a.zero_threshold) == bits(b.zero_threshold) && bits(a.sum) == bits(b.sum) &&
         a.count == b.count && a.zero_count == b.zero_count &&
         bits(a.count_float) == bits(b.count_float) &&
         bits(a.zero_count_float) == bits(b.zero_count_float) &&
         a.positive_spans == b.positive_spans && a.negative_spans == b.negative_spans &&
         a.positive_deltas == b.positive_deltas && a.negative_deltas == b.negative_deltas &&
         same(a.positive_counts, b.positive_counts) && same(a.negative_counts, b.negative_counts) &&
         same(a.custom_values, b.custom_values);
}

// Observations that come in: counts rise; sometimes a bucket is added, the target restarts or goes
// stale.
inline std::vector<HistogramPoint> MakeHistograms(size_t count, bool is_float, bool custom,
                                                  uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<HistogramPoint> points(count);
  size_t buckets = 1 + random() % 20;
  std::vector<uint64_t> counts(buckets, 0);
  uint64_t zero = 0;
  int64_t start_ms = 1'700'000'000'000;
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    if (random() % 30 == 0) counts.resize(++buckets, 0);
    if (random() % 50 == 0) {
      std::fill(counts.begin(), counts.end(), 0);
      start_ms += 5000;
    }
    for (uint64_t& c : counts) c += random() % 3 == 0 ? random() % 50 : 0;
    zero += custom ? 0 : random() % 2;
    sum += static_cast<double>(random() % 1000) / 1000;
    HistogramPoint& p = points[i];
    p.time_ms = 1'800'000'000'000 + static_cast<int64_t>(i) * 15'000;
    p.start_ms = start_ms;
    NativeHistogram& h = p.histogram;
    h.is_float = is_float;
    if (random() % 60 == 0) {  // a stale marker has nothing but its sum
      h.sum = std::bit_cast<double>(kStaleMarkerBits);
      continue;
    }
    h.reset_hint = static_cast<ResetHint>(random() % 8 == 0 ? random() % 4 : 0);
    h.schema = custom ? kCustomBucketsSchema : 3;
    h.zero_threshold = custom ? 0 : 0x1p-128;
    h.sum = sum;
    const auto half = static_cast<uint32_t>(buckets / 2);
    h.positive_spans = {{custom ? 0 : -3, half},
                        {custom ? 0 : 2, static_cast<uint32_t>(buckets) - half}};
    if (custom) {
      for (size_t b = 0; b < buckets; ++b)
        h.custom_values.push_back(0.5 * static_cast<double>(b + 1));
    } else {
      h.negative_spans = {{1, 1}};
    }
    uint64_t total = zero;
    uint64_t before = 0;
    for (const uint64_t c : counts) {
      total += c;
      if (is_float) {
        h.positive_counts.push_back(static_cast<double>(c) / 4);
      } else {
        h.positive_deltas.push_back(static_cast<int64_t>(c - before));
      }
      before = c;
    }
    if (!custom) {
      if (is_float) {
        h.negative_counts = {0.5};
      } else {
        h.negative_deltas = {static_cast<int64_t>(counts[0])};
        total += counts[0];
      }
    }
    if (is_float) {
      h.count_float = static_cast<double>(total) / 4;
      h.zero_count_float = static_cast<double>(zero) / 4;
    } else {
      h.count = total;
      h.zero_count = zero;
    }
  }
  return points;
}

}  // namespace basalt::testing
