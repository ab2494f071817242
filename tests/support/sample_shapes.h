// tests/support/sample_shapes.h -- seeded rows of the kinds that metrics are made of, for tests and
// benchmarks.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/base/stale.h"
#include "storage/codec/row_summary.h"

namespace basalt::testing {

enum class Shape : uint8_t {
  kConstant,
  kCounter,      // rises by whole steps, often by none
  kGauge,        // whole numbers, both signs
  kDecimal,      // two to six digits after the point
  kFloatSum,     // fractions added up: 16-17 digits, near a decimal grid
  kNoise,        // full mantissas
  kSparse,       // a step in twenty samples
  kMultiples,    // memory in pages
  kUnixSeconds,  // about now, with milliseconds
  kResets,       // a counter that falls back to 0
  kEndsStale,    // a counter whose target went away
  kWithNan,      // decimals and NaN in turns
  kHuge,         // whole numbers above 2^53
  kSpecials,     // only odd patterns: NaN payloads, -0, infinities, denormals, edges
  kMixed,        // an ordinary row with odd patterns in it
  kAnyBits,
};
inline constexpr size_t kShapeCount = 16;

inline constexpr std::array<uint64_t, 16> kSpecialBits = {
    kStaleMarkerBits,   0x7ff8000000000001, 0x7ff8000000000000, 0xfff8000000000000,
    0x7ff0000000000001, 0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000,
    0x0000000000000000, 0x0000000000000001, 0x000fffffffffffff, 0x8000000000000001,
    0x7fefffffffffffff, 0x4340000000000000, 0xc3e0000000000000, 0xffffffffffffffff};

inline std::string ShapeName(Shape shape) {
  static constexpr std::array<const char*, kShapeCount> kNames = {
      "constant", "counter",   "gauge",   "decimal", "float_sum",  "noise",
      "sparse",   "multiples", "seconds", "resets",  "ends_stale", "with_nan",
      "huge",     "specials",  "mixed",   "any_bits"};
  return kNames[static_cast<size_t>(shape)];
}

inline std::vector<double> MakeValues(Shape shape, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed * kShapeCount + static_cast<uint64_t>(shape));
  const auto below = [&](uint64_t n) { return random() % n; };
  const auto special = [&] {
    return std::bit_cast<double>(kSpecialBits[below(kSpecialBits.size())]);
  };
  const double grain = std::pow(10.0, static_cast<double>(below(5) + 2));
  const uint64_t scale = uint64_t{2} << below(19);
  double sum = static_cast<double>(below(100'000));
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    double& v = values[i];
    switch (shape) {
      case Shape::kConstant:
        v = sum / grain;
        break;
      case Shape::kCounter:
        v = sum += below(3) == 0 ? static_cast<double>(below(scale)) : 0;
        break;
      case Shape::kGauge:
        v = static_cast<double>(below(2 * scale)) - static_cast<double>(scale);
        break;
      case Shape::kDecimal:
        v = static_cast<double>(below(1'000'000)) / grain;
        break;
      case Shape::kFloatSum:
        v = sum += static_cast<double>(below(1'000'000)) / 1e9;
        break;
      case Shape::kNoise:
        v = std::sqrt(static_cast<double>(below(1'000'000)));
        break;
      case Shape::kSparse:
        v = sum += below(20) == 0 ? 1 : 0;
        break;
      case Shape::kMultiples:
        v = static_cast<double>(4096 * below(scale));
        break;
      case Shape::kUnixSeconds:
        v = 1.7e9 + 15.0 * static_cast<double>(i) + static_cast<double>(below(1000)) / 1e3;
        break;
      case Shape::kResets:
        v = sum = below(50) == 0 ? 0 : sum + static_cast<double>(below(100));
        break;
      case Shape::kEndsStale:
        v = i + 1 < count ? sum += static_cast<double>(below(100))
                          : std::bit_cast<double>(kStaleMarkerBits);
        break;
      case Shape::kWithNan:
        v = below(4) == 0 ? std::bit_cast<double>(kSpecialBits[1])
                          : static_cast<double>(below(100)) / 8;
        break;
      case Shape::kHuge:
        v = sum += static_cast<double>(below(1000)) * 0x1p40;
        break;
      case Shape::kSpecials:
        v = special();
        break;
      case Shape::kMixed:
        v = below(37) == 0 ? special() : (sum += static_cast<double>(below(7)));
        break;
      case Shape::kAnyBits:
        v = std::bit_cast<double>(random());
        break;
    }
  }
  return values;
}

// Scrape times: every `step_ms`, off by up to `jitter_ms` below half a step; one in `gap_every` is
// missing (0: none; not 1).
inline std::vector<int64_t> MakeTimes(size_t count, int64_t step_ms, int64_t jitter_ms,
                                      uint64_t gap_every, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> times;
  const auto start = static_cast<int64_t>(1'800'000'000'000 + random() % 100'000);
  for (int64_t tick = 0; times.size() < count; ++tick) {
    const int64_t off =
        jitter_ms == 0
            ? 0
            : static_cast<int64_t>(random() % static_cast<uint64_t>(2 * jitter_ms)) - jitter_ms;
    if (gap_every == 0 || random() % gap_every != 0) times.push_back(start + tick * step_ms + off);
  }
  return times;
}

}  // namespace basalt::testing
