#include "storage/codec/row.h"
#include "storage/codec/row_coding.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "engine/base/stale.h"
#include "tests/support/same_bits.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::kShapeCount;
using ::basalt::testing::MakeValues;
using ::basalt::testing::SameBits;
using ::basalt::testing::Shape;
using ::basalt::testing::ShapeName;

std::string MustEncode(const std::vector<double>& values, const RowOptions& options = {}) {
  std::string out;
  const Status status = EncodeRow(values, out, options);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

std::vector<double> MustDecode(const std::string& bytes, size_t count) {
  const std::vector<char> exact(bytes.begin(), bytes.end());  // no slack for the sanitizer to miss
  std::vector<double> out(count);
  const Status status = DecodeRow({exact.data(), exact.size()}, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

RC_GTEST_PROP(Row, DecodeInvertsEncodeBitForBit, ()) {
  const auto shape = static_cast<Shape>(*rc::gen::inRange<size_t>(0, kShapeCount));
  const auto count = *rc::gen::oneOf(rc::gen::inRange<size_t>(1, 130),
                                     rc::gen::inRange<size_t>(1, kMaxSamplesPerRow + 1));
  const auto values = MakeValues(shape, count, *rc::gen::arbitrary<uint64_t>());
  const std::string bytes = MustEncode(values, {.entropy = *rc::gen::arbitrary<bool>()});
  RC_ASSERT(bytes.size() <= MaxRowBytes(count));
  RC_ASSERT(SameBits(MustDecode(bytes, count), values));
  RC_ASSERT(MustEncode(values) == MustEncode(values));
}

uint64_t NumberOr(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// BASALT_CODEC_SAMPLES says how many; the long form is 10^8.
TEST(Row, AsManyRandomSamplesAsAskedForComeBackBitForBit) {
  const uint64_t wanted = NumberOr("BASALT_CODEC_SAMPLES", 500'000);
  const uint64_t seed = NumberOr("BASALT_TEST_SEED", std::random_device()());
  std::printf("seed %" PRIu64 "\n", seed);
  std::mt19937_64 random(seed);
  std::string bytes;
  std::vector<double> back;
  uint64_t rows = 0;
  uint64_t samples = 0;
  for (; samples < wanted; ++rows) {
    const auto shape = static_cast<Shape>(random() % kShapeCount);
    const size_t count = 1 + random() % (random() % 2 == 0 ? 129 : kMaxSamplesPerRow);
    std::vector<double> values = MakeValues(shape, count, random());
    // Any bit pattern anywhere; and a row of nothing else now and then.
    if (random() % 4 == 0) {
      const uint64_t one_in = uint64_t{1} << (random() % 12);
      for (double& value : values) {
        if (random() % one_in == 0) value = std::bit_cast<double>(random());
      }
    }
    bytes.clear();
    ASSERT_TRUE(EncodeRow(values, bytes, {.entropy = random() % 8 != 0}).ok());
    ASSERT_LE(bytes.size(), MaxRowBytes(count));
    back.assign(count, 0);
    ASSERT_TRUE(DecodeRow(bytes, back).ok()) << "row " << rows;
    ASSERT_TRUE(SameBits(back, values)) << "row " << rows << ", " << ShapeName(shape);
    const size_t first = random() % count;
    back.resize(1 + random() % (count - first));
    ASSERT_TRUE(DecodeRowRange(bytes, count, first, back).ok()) << "row " << rows;
    ASSERT_TRUE(SameBits(
        back, std::vector<double>(values.begin() + static_cast<ptrdiff_t>(first),
                                  values.begin() + static_cast<ptrdiff_t>(first + back.size()))))
        << "row " << rows << " from " << first;
    samples += count;
  }
  std::printf("%" PRIu64 " samples in %" PRIu64 " rows\n", samples, rows);
}

// Every shape, short and long, several times: the property above visits them by luck only.
TEST(Row, EveryShapeComesBackBitForBit) {
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    for (const size_t count : {1, 2, 3, 31, 32, 63, 64, 65, 120, 256, 257, 500, 1665, 2048}) {
      for (uint64_t seed = 0; seed < 8; ++seed) {
        const auto values = MakeValues(static_cast<Shape>(shape), count, seed);
        const std::string bytes = MustEncode(values);
        ASSERT_TRUE(SameBits(MustDecode(bytes, count), values))
            << ShapeName(static_cast<Shape>(shape)) << " count " << count << " seed " << seed;
        ASSERT_LE(bytes.size(), MaxRowBytes(count));
        ASSERT_LE(MustEncode(values, {.entropy = true}).size(), MaxRowBytes(count));
      }
    }
  }
}

TEST(Row, EverySpecialValueComesBackAloneAndAmongOthers) {
  for (const uint64_t bits : testing::kSpecialBits) {
    const double special = std::bit_cast<double>(bits);
    for (const std::vector<double>& values :
         {std::vector<double>{special}, std::vector<double>(100, special),
          std::vector<double>{1, special, 2},
          std::vector<double>{special, 0.25, special, special, 0.5},
          std::vector<double>{1, 2, 3, special}}) {
      EXPECT_TRUE(SameBits(MustDecode(MustEncode(values), values.size()), values))
          << std::hex << bits;
    }
  }
}

TEST(Row, RangesAreThePartsOfTheWhole) {
  std::mt19937_64 random(7);
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    for (const bool entropy : {false, true}) {
      for (const size_t count : {100, 256, 257, 777, 2048}) {
        const auto values = MakeValues(static_cast<Shape>(shape), count, count);
        const std::string bytes = MustEncode(values, {.entropy = entropy});
        for (int round = 0; round < 20; ++round) {
          const size_t first = random() % count;
          std::vector<double> out(1 + random() % (count - first));
          ASSERT_TRUE(DecodeRowRange(bytes, count, first, out).ok());
          ASSERT_TRUE(SameBits(out, std::span(values).subspan(first, out.size())))
              << ShapeName(static_cast<Shape>(shape)) << " " << count << " from " << first;
        }
      }
    }
  }
}

struct SizeCase {
  const char* name;
  std::vector<double> values;
  size_t at_most;
};
class RowSize : public ::testing::TestWithParam<SizeCase> {};

// What the modes are there for. Bounds are what the format page's arithmetic gives, not what
// happened to come out.
TEST_P(RowSize, IsWhatTheFormatPromises) {
  const std::string bytes = MustEncode(GetParam().values);
  EXPECT_LE(bytes.size(), GetParam().at_most);
  EXPECT_TRUE(SameBits(MustDecode(bytes, GetParam().values.size()), GetParam().values));
}

std::vector<double> Ramp(size_t count, double step) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i) * step;
  return values;
}
std::vector<double> Append(std::vector<double> values, double last) {
  values.push_back(last);
  return values;
}

INSTANTIATE_TEST_SUITE_P(
    Table, RowSize,
    ::testing::Values(SizeCase{"small_constant", std::vector<double>(2048, 1), 2},
                      SizeCase{"decimal_constant", std::vector<double>(120, 0.95), 4},
                      SizeCase{"noise_constant", std::vector<double>(120, std::sqrt(2)), 12},
                      SizeCase{"regular_counter", Ramp(120, 7), 6},
                      SizeCase{"regular_counter_that_ends_stale",
                               Append(Ramp(119, 7), std::bit_cast<double>(kStaleMarkerBits)), 16},
                      SizeCase{"sparse_counter", MakeValues(Shape::kSparse, 120, 1), 24},
                      SizeCase{"pages", MakeValues(Shape::kMultiples, 120, 1), 16 + 120 * 20 / 8},
                      SizeCase{"any_bits", MakeValues(Shape::kAnyBits, 2048, 1), 2048 * 8 + 128}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Row, ConstantRowsAreTold) {
  EXPECT_EQ(ReadConstantRow(MustEncode({5, 5, 5}))->value, 5);
  EXPECT_EQ(ReadConstantRow(MustEncode({0.1}))->value, 0.1);
  EXPECT_FALSE(ReadConstantRow(MustEncode({5, 5, 6})).has_value());
  EXPECT_FALSE(
      ReadConstantRow(MustEncode({5, 5, std::bit_cast<double>(kStaleMarkerBits)})).has_value());
  EXPECT_FALSE(ReadConstantRow("").has_value());
  EXPECT_FALSE(ReadConstantRow("\xff").has_value());
}

TEST(Row, CountsOutOfRangeAreRefused) {
  std::string out = "kept";
  EXPECT_EQ(EncodeRow({}, out).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeRow(std::vector<double>(kMaxSamplesPerRow + 1), out).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(out, "kept");
  EXPECT_TRUE(EncodeRow(std::vector<double>(kMaxSamplesPerRow, 0.5), out).ok());

  const std::string row = MustEncode({1, 2, 3});
  std::vector<double> many(kMaxSamplesPerRow + 1);
  EXPECT_EQ(DecodeRow(row, many).code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeRow(row, std::span<double>()).code(), StatusCode::kDataLoss);
  std::vector<double> two(2);
  EXPECT_EQ(DecodeRowRange(row, 3, 2, two).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodeRowRange(row, 3, 4, two).code(), StatusCode::kInvalidArgument);
}

struct RejectCase {
  const char* name;
  std::string bytes;
};
class RowRejects : public ::testing::TestWithParam<RejectCase> {};

TEST_P(RowRejects, WithDataLoss) {
  const std::vector<char> exact(GetParam().bytes.begin(), GetParam().bytes.end());
  std::vector<double> out(100);
  const Status status = DecodeRow({exact.data(), exact.size()}, out);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
}

std::string Bytes(std::initializer_list<int> bytes) {
  std::string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Table, RowRejects,
    ::testing::Values(
        RejectCase{"empty", ""}, RejectCase{"unknown_predictor", Bytes({0x07, 0})},
        RejectCase{"entropy_coder_of_the_future", Bytes({0x11, 0, 0})},
        RejectCase{"no_mapping", Bytes({0x80})},
        RejectCase{"correction_without_power", Bytes({0x80, 0x02, 0})},
        RejectCase{"correction_missing", Bytes({0x80, 0x02 | 3 << 2, 0})},
        RejectCase{"correction_with_a_mapping", Bytes({0x80, 0x02 | 3 << 2, 0, 0x80, 0})},
        RejectCase{"leans_on_nothing", Bytes({0x05, 0, 0, 0})},
        RejectCase{"reserved_mapping_bit", Bytes({0x80, 0x83, 0})},
        RejectCase{"decimal_without_power", Bytes({0x80, 0x01, 0})},
        RejectCase{"power_too_high", Bytes({0x80, 0x01 | 15 << 2, 0})},
        RejectCase{"exceptions_to_ordered_bits", Bytes({0x80, 0x43, 0})},
        RejectCase{"exceptions_but_none", Bytes({0x80, 0x40, 0, 0})},
        RejectCase{"exception_past_the_end", Bytes({0x80, 0x40, 1, 0x91, 0x03, 0})},
        RejectCase{"more_exceptions_than_samples", Bytes({0x80, 0x40, 101, 1, 0})},
        RejectCase{"first_exception_repeats", Bytes({0x80, 0x40, 1, 3, 0})},
        RejectCase{"exception_cut_off", Bytes({0x80, 0x40, 1, 0, 1, 2, 3})},
        RejectCase{"no_base", Bytes({0x00})},
        RejectCase{"base_too_long", Bytes({0x00, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2})},
        RejectCase{"divisor_of_one", Bytes({0x41, 0, 1, 0, 0})},
        RejectCase{"width_above_64", Bytes({0x01, 0, 65})},
        RejectCase{"second_block_missing", Bytes({0x01, 0, 0})},
        RejectCase{"sparse_past_the_end", Bytes({0x01 | 1 << 3, 0, 1, 100, 0})},
        RejectCase{"sparse_with_too_many", Bytes({0x01 | 1 << 3, 0, 101, 0, 0})},
        RejectCase{"mask_past_the_end",
                   Bytes({0x01 | 2 << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0})},
        RejectCase{"byte_left_over", Bytes({0x00, 0, 0})}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Row, DamageNeverReadsOutsideOrCrashes) {
  std::mt19937_64 random(3);
  for (size_t shape = 0; shape < kShapeCount; ++shape) {
    const auto values = MakeValues(static_cast<Shape>(shape), 300, 1);
    const std::string good = MustEncode(values, {.entropy = true});
    std::vector<double> out(values.size());
    for (size_t n = 0; n < good.size(); ++n) {
      const std::vector<char> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(n));
      EXPECT_EQ(DecodeRow({cut.data(), cut.size()}, out).code(), StatusCode::kDataLoss)
          << ShapeName(static_cast<Shape>(shape)) << " cut at " << n;
    }
    for (int round = 0; round < 300; ++round) {
      std::vector<char> bad(good.begin(), good.end());
      for (uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
        bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
      }
      // Without a checksum of its own a row may decode to something else; it must only stay inside
      // its bytes.
      (void)DecodeRow({bad.data(), bad.size()}, out);
      (void)DecodeRowRange({bad.data(), bad.size()}, out.size(), 270, std::span(out).first(20));
    }
  }
}

}  // namespace
}  // namespace basalt::storage
