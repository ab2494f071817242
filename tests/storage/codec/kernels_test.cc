// Every kernel against the plain one, which is the reference.
#include "storage/codec/kernels.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>
#include <vector>

#include "storage/codec/row.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

// memcmp wants pointers even where there is nothing to compare.
bool SameBits(const void* a, const void* b, size_t bytes) {
  return bytes == 0 || std::memcmp(a, b, bytes) == 0;
}

using testing::kShapeCount;
using testing::MakeValues;
using testing::Shape;
using testing::ShapeName;

class Kernel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Avx2Kernels() == nullptr) GTEST_SKIP() << "this machine has no AVX2";
    wide_ = Avx2Kernels();
  }
  const Kernels* wide_ = nullptr;
};

// Numbers of all magnitudes, up to the edges.
std::vector<uint64_t> AnyNumbers(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> numbers(n);
  for (uint64_t& v : numbers) {
    v = random() >> (random() % 64);
    if (random() % 9 == 0) v = 0 - v;
    if (random() % 50 == 0) v = uint64_t{1} << (random() % 64);
    if (random() % 50 == 0) v = (uint64_t{1} << (random() % 64)) - 1;
  }
  return numbers;
}

TEST_F(Kernel, SumsAreThePlainOnesForEveryLength) {
  for (size_t n = 0; n < 70; ++n) {
    const auto residuals = AnyNumbers(n, n);
    const uint64_t start = n * 0x9E3779B97F4A7C15;
    for (const uint64_t step : {uint64_t{0}, uint64_t{3}, ~uint64_t{6}}) {
      for (auto sum : {&Kernels::sum, &Kernels::sum_signed}) {
        std::vector<int64_t> plain(n);
        std::vector<int64_t> wide(n);
        (kPlainKernels.*sum)(residuals.data(), n, start, step, plain.data());
        (wide_->*sum)(residuals.data(), n, start, step, wide.data());
        ASSERT_EQ(plain, wide) << n;
        auto in_place = residuals;
        (wide_->*sum)(in_place.data(), n, start, step, reinterpret_cast<int64_t*>(in_place.data()));
        ASSERT_TRUE(SameBits(in_place.data(), plain.data(), n * 8)) << "in place, " << n;
      }
    }
  }
}

TEST_F(Kernel, DoublesAreThePlainOnesBitForBit) {
  for (size_t n = 0; n < 40; ++n) {
    const auto numbers = AnyNumbers(n, n);
    const std::vector<int64_t> integers(numbers.begin(), numbers.end());
    for (const double divisor : {1.0, 10.0, 1000.0, 1e9, 1e14}) {
      std::vector<double> plain(n);
      std::vector<double> wide(n);
      kPlainKernels.to_doubles(integers.data(), n, divisor, plain.data());
      wide_->to_doubles(integers.data(), n, divisor, wide.data());
      ASSERT_TRUE(SameBits(plain.data(), wide.data(), n * 8)) << n << " / " << divisor;
    }
  }
}

TEST_F(Kernel, DoublesAreRightOnBothSidesOfTheLimit) {
  std::vector<int64_t> edges;
  for (const int64_t at : {int64_t{1} << 51, -(int64_t{1} << 51), int64_t{1} << 53, int64_t{0},
                           INT64_MAX - 2, INT64_MIN + 2}) {
    for (int64_t k = -2; k <= 2; ++k) edges.push_back(at + k);
  }
  std::vector<double> wide(edges.size());
  wide_->to_doubles(edges.data(), edges.size(), 1, wide.data());
  for (size_t i = 0; i < edges.size(); ++i)
    EXPECT_EQ(wide[i], static_cast<double>(edges[i])) << edges[i];
}

TEST_F(Kernel, IntegersAreTakenAndRefusedAlike) {
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    for (size_t n = 0; n < 40; ++n) {
      const auto values = MakeValues(static_cast<Shape>(shape), n, n);
      std::vector<int64_t> plain(n);
      std::vector<int64_t> wide(n);
      const bool fits = kPlainKernels.to_integers(values.data(), n, plain.data());
      ASSERT_EQ(wide_->to_integers(values.data(), n, wide.data()), fits)
          << ShapeName(static_cast<Shape>(shape)) << n;
      if (fits) {
        ASSERT_EQ(plain, wide);
      }
    }
  }
}

TEST_F(Kernel, OneOddValueAnywhereIsRefused) {
  for (const double odd : {0.5, -0.0, 0x1p51, -0x1p51, std::bit_cast<double>(0x7ff0000000000002)}) {
    for (size_t at = 0; at < 11; ++at) {
      std::vector<double> values(11, 7);
      values[at] = odd;
      std::vector<int64_t> out(values.size());
      EXPECT_FALSE(wide_->to_integers(values.data(), values.size(), out.data())) << odd << at;
      EXPECT_FALSE(kPlainKernels.to_integers(values.data(), values.size(), out.data()));
    }
  }
}

TEST_F(Kernel, ChangesAreCountedAlike) {
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    for (size_t n = 0; n < 40; ++n) {
      const auto values = MakeValues(static_cast<Shape>(shape), n, n);
      EXPECT_EQ(wide_->count_changes(values.data(), n),
                kPlainKernels.count_changes(values.data(), n));
    }
  }
}

TEST_F(Kernel, SurveysAndZigzagsAreThePlainOnes) {
  for (size_t n = 2; n < 70; ++n) {
    const auto numbers = AnyNumbers(n, n);
    const std::vector<int64_t> values(numbers.begin(), numbers.end());
    std::vector<int64_t> steps[2] = {std::vector<int64_t>(n), std::vector<int64_t>(n)};
    std::vector<uint64_t> zigzag[2] = {std::vector<uint64_t>(n), std::vector<uint64_t>(n)};
    StepSurvey survey[2];
    const Kernels* const kernels[2] = {&kPlainKernels, wide_};
    for (size_t k = 0; k < 2; ++k) {
      kernels[k]->survey(values.data(), n, steps[k].data(), &survey[k]);
      kernels[k]->zigzag(values.data(), n, zigzag[k].data());
    }
    EXPECT_EQ(steps[0], steps[1]) << n;
    EXPECT_EQ(zigzag[0], zigzag[1]) << n;
    EXPECT_EQ(survey[0].low, survey[1].low) << n;
    EXPECT_EQ(survey[0].high, survey[1].high) << n;
    EXPECT_EQ(survey[0].smallest, survey[1].smallest) << n;
    EXPECT_EQ(survey[0].low, *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(survey[0].smallest, *std::min_element(steps[0].begin() + 1, steps[0].end()));
  }
}

TEST_F(Kernel, NonzeroValuesAreFoundAlike) {
  std::mt19937_64 random(7);
  for (size_t n = 0; n <= 64; ++n) {
    std::vector<uint64_t> values(n);
    uint64_t expected = 0;
    uint64_t all = 0;
    for (size_t i = 0; i < n; ++i) {
      values[i] = random() % 3 == 0 ? 0 : random() >> (random() % 64);
      expected |= uint64_t{values[i] != 0} << i;
      all |= values[i];
    }
    for (const Kernels* const kernels : {&kPlainKernels, wide_}) {
      uint64_t found = 1;
      EXPECT_EQ(kernels->nonzero(values.data(), n, &found), expected) << kernels->name << n;
      EXPECT_EQ(found, all) << kernels->name << n;
    }
  }
}

TEST_F(Kernel, TheCheapestTableAndEveryPriceAreThePlainOnes) {
  constexpr size_t kPairs = 38;
  std::mt19937_64 random(11);
  std::vector<int16_t> prices(2 * kPairs * kPricedTables);
  for (int16_t& price : prices)
    price = random() % 5 == 0 ? INT16_MAX : static_cast<int16_t>(random() % 2817);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint16_t> counts(2 * kPairs);
    // Up to all 2048 of one token, for which several tables may be as dear as can be.
    for (size_t left = 2048; left > 0;) {
      const size_t some = std::min<size_t>(left, 1 + random() % (round % 2 == 0 ? 64 : 2048));
      counts[random() % counts.size()] += static_cast<uint16_t>(some);
      left -= some;
    }
    std::vector<uint32_t> costs[2] = {std::vector<uint32_t>(kPricedTables),
                                      std::vector<uint32_t>(kPricedTables)};
    const size_t plain = kPlainKernels.price(counts.data(), kPairs, prices.data(), costs[0].data());
    EXPECT_EQ(wide_->price(counts.data(), kPairs, prices.data(), costs[1].data()), plain);
    EXPECT_EQ(costs[0], costs[1]);
  }
}

TEST_F(Kernel, IntegersAreSummedUpAlike) {
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    for (size_t n = 1; n < 70; ++n) {
      const auto values = MakeValues(static_cast<Shape>(shape), n, n);
      IntegerSummary plain;
      IntegerSummary wide;
      const bool fits = kPlainKernels.summarize(values.data(), n, &plain);
      ASSERT_EQ(wide_->summarize(values.data(), n, &wide), fits)
          << ShapeName(static_cast<Shape>(shape)) << n;
      if (!fits) continue;
      EXPECT_EQ(plain.min, wide.min);
      EXPECT_EQ(plain.max, wide.max);
      EXPECT_EQ(plain.falls, wide.falls);
      EXPECT_EQ(plain.magnitude < 0x1p53, wide.magnitude < 0x1p53);
      if (plain.magnitude < 0x1p53) {
        EXPECT_EQ(plain.sum, wide.sum);
        EXPECT_EQ(plain.magnitude, wide.magnitude);
      }
    }
  }
}

TEST_F(Kernel, OneOddValueAnywhereKeepsARowFromBeingSummedUp) {
  for (const double odd : {0.5, -0.0, 0x1p51, -0x1p51, std::bit_cast<double>(0x7ff0000000000002)}) {
    for (size_t at = 0; at < 19; ++at) {
      std::vector<double> values(19, 7);
      values[at] = odd;
      IntegerSummary out;
      EXPECT_FALSE(wide_->summarize(values.data(), values.size(), &out)) << odd << at;
      EXPECT_FALSE(kPlainKernels.summarize(values.data(), values.size(), &out)) << odd << at;
    }
  }
}

// The whole codec, entropy coder included, once each way.
RC_GTEST_PROP(Kernels, RowsAreTheSameBytesAndBitsOnEveryMachine, ()) {
  if (Avx2Kernels() == nullptr) return;
  const auto shape = static_cast<Shape>(*rc::gen::inRange<size_t>(0, kShapeCount));
  const auto count = *rc::gen::inRange<size_t>(1, kMaxSamplesPerRow + 1);
  const auto values = MakeValues(shape, count, *rc::gen::arbitrary<uint64_t>());
  const Kernels& before = ActiveKernels();
  std::string bytes[2];
  std::vector<double> out[2];
  for (size_t k = 0; k < 2; ++k) {
    SetActiveKernels(k == 0 ? kPlainKernels : *Avx2Kernels());
    RC_ASSERT(EncodeRow(values, bytes[k]).ok());
    out[k].resize(count);
    RC_ASSERT(DecodeRow(bytes[0], out[k]).ok());
    RC_ASSERT(SameBits(out[k].data(), values.data(), count * 8));
  }
  SetActiveKernels(before);
  RC_ASSERT(bytes[0] == bytes[1]);
}

}  // namespace
}  // namespace basalt::storage
