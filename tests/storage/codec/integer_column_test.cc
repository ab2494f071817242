#include "storage/codec/integer_column.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

std::string Encode(const std::vector<int64_t>& values) {
  std::string out;
  AppendIntegerColumn(values, out);
  const IntegerPlan plan = PlanIntegers(values);
  const bool by_tables = plan.stream.coder >= StreamCoder::kEntropy;
  EXPECT_NEAR(static_cast<double>(out.size()), static_cast<double>(plan.bytes), by_tables ? 3 : 0)
      << "the planned cost must be the real one";
  return out;
}

std::vector<int64_t> Decode(const std::string& bytes, size_t count) {
  std::vector<int64_t> out(count);
  VarintReader in(bytes);
  EXPECT_TRUE(ReadIntegerColumn(in, out));
  EXPECT_TRUE(in.done());
  return out;
}

Predictor PredictorOf(const std::vector<int64_t>& values) {
  return PlanIntegers(values).method.predictor;
}

TEST(IntegerColumn, PicksThePredictorThatFits) {
  std::mt19937_64 random(1);
  std::vector<int64_t> line(200);
  std::vector<int64_t> steps(200);
  std::vector<int64_t> noise(200);
  std::vector<int64_t> walk(200);
  std::vector<int64_t> bent(200);
  for (size_t i = 1; i < line.size(); ++i) {
    line[i] = line[i - 1] + 15'000;
    steps[i] = steps[i - 1] + 100 + static_cast<int64_t>(random() % 4);
    noise[i] = static_cast<int64_t>(random() % 64);
    walk[i] = walk[i - 1] + static_cast<int64_t>(random() % 9) - 4;
    bent[i] = bent[i - 1] + static_cast<int64_t>(i) * 1000 + static_cast<int64_t>(random() % 3);
  }
  EXPECT_EQ(PredictorOf(std::vector<int64_t>(200, 7)), Predictor::kConstant);
  EXPECT_EQ(PredictorOf(noise), Predictor::kFrame);
  EXPECT_EQ(PredictorOf(steps), Predictor::kRising);
  EXPECT_EQ(PredictorOf(bent), Predictor::kSecondDelta);
  EXPECT_EQ(PredictorOf(walk), Predictor::kDelta);
  EXPECT_LE(Encode(line).size(), 12U) << "a straight line is base and step";
}

TEST(IntegerColumn, MultiplesOfOneNumberCostTheirQuotients) {
  std::vector<int64_t> pages(120);
  std::mt19937_64 random(1);
  for (int64_t& v : pages) v = 1'000'000 + 4096 * static_cast<int64_t>(random() % 16);
  EXPECT_TRUE(PlanIntegers(pages).method.divided);
  EXPECT_LE(Encode(pages).size(), 60U + 12U);  // 4 bits each
  EXPECT_EQ(Decode(Encode(pages), pages.size()), pages);
}

TEST(IntegerColumn, ExtremesWrapAndComeBack) {
  const std::vector<std::vector<int64_t>> columns = {
      {INT64_MIN, INT64_MAX}, {INT64_MAX, INT64_MIN, INT64_MAX}, {INT64_MIN, 0, INT64_MAX, -1, 1},
      {0, INT64_MIN},         {INT64_MIN + 6, 6, INT64_MIN + 6}, {-3, INT64_MAX - 3, -6, INT64_MAX},
  };
  for (const auto& column : columns) EXPECT_EQ(Decode(Encode(column), column.size()), column);
}

RC_GTEST_PROP(IntegerColumn, DecodeInvertsEncode, ()) {
  const auto count = *rc::gen::inRange<size_t>(1, kMaxSamplesPerRow + 1);
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  std::mt19937_64 random(seed);
  const unsigned bits = static_cast<unsigned>(random() % 64) + 1;
  const int64_t factor = random() % 2 == 0 ? 1 : static_cast<int64_t>(random() % 100'000);
  const int kind = static_cast<int>(random() % 4);
  std::vector<int64_t> values(count);
  uint64_t sum = random();
  uint64_t step = 0;
  for (int64_t& v : values) {
    const uint64_t noise =
        random() % 3 == 0 ? (random() >> (64 - bits)) * static_cast<uint64_t>(factor) : 0;
    step = kind == 2 ? step + noise : noise;
    sum = kind == 0 ? noise : sum + step;
    v = kind == 3 ? static_cast<int64_t>(random()) : static_cast<int64_t>(sum);
  }
  RC_ASSERT(Decode(Encode(values), count) == values);
}

TEST(IntegerColumn, RejectsMethodsThatNoEncoderWrites) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto method = ParseMethod(static_cast<uint8_t>(byte));
    EXPECT_TRUE(!method || MethodByte(*method) == byte) << byte;
  }
  EXPECT_FALSE(ParseMethod(6));
  EXPECT_FALSE(ParseMethod(0x40 | 5));  // a divided neighbour
  EXPECT_FALSE(ParseMethod(7));
  EXPECT_FALSE(ParseMethod(kStreamCoders << 3 | 1));
  EXPECT_FALSE(ParseMethod(0x40));  // a divided constant
}

TEST(IntegerColumn, EveryCutIsSeen) {
  std::mt19937_64 random(1);
  for (const unsigned bits : {0U, 3U, 40U}) {
    std::vector<int64_t> values(100);
    for (int64_t& v : values)
      v = random() % 8 == 0 ? static_cast<int64_t>(random() >> (63 - bits)) : 5;
    const std::string bytes = Encode(values);
    for (size_t n = 0; n < bytes.size(); ++n) {
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      VarintReader in({cut.data(), cut.size()});
      std::vector<int64_t> out(values.size());
      EXPECT_FALSE(ReadIntegerColumn(in, out)) << n;
    }
  }
}

}  // namespace
}  // namespace basalt::storage
