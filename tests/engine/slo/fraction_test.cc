#include "engine/slo/fraction.h"

#include <gtest/gtest.h>

namespace basalt::slo {
namespace {

TEST(Fraction, DecimalsAreExact) {
  EXPECT_EQ(*ParseDecimal("99.9"), (Fraction{999, 10}));
  EXPECT_EQ(*ParseDecimal("99.950"), (Fraction{1999, 20}));
  EXPECT_EQ(*ParseDecimal("100"), (Fraction{100, 1}));
  EXPECT_EQ(*ParseDecimal("-0.5"), (Fraction{-1, 2}));
  EXPECT_EQ(*ParseDecimal(".5"), (Fraction{1, 2}));
  EXPECT_EQ(*ParseDecimal("0"), (Fraction{0, 1}));
}

TEST(Fraction, RefusesWhatIsNotAPlainDecimal) {
  for (const char* text : {"", "-", ".", "1e3", "0x10", "1.2.3", "NaN", "99,9", " 1", "1 "}) {
    EXPECT_EQ(ParseDecimal(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(ParseDecimal("123456789012345678").ok());
  EXPECT_FALSE(ParseDecimal("1234567890123456789").ok());
}

TEST(Fraction, SaysWhenAResultDoesNotFit) {
  const Fraction big{INT64_MAX, 1};
  EXPECT_EQ(Multiply(big, Fraction{2, 1}).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(MakeFraction(1, 0).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(*Multiply(big, Fraction{1, INT64_MAX}), (Fraction{1, 1}));
}

TEST(Fraction, PrintsDecimalsThatEndAndFractionsThatDoNot) {
  EXPECT_EQ(ToString(Fraction{72, 5}), "14.4");
  EXPECT_EQ(ToString(Fraction{-1, 8}), "-0.125");
  EXPECT_EQ(ToString(Fraction{43, 3}), "43/3");
  EXPECT_EQ(ToString(Fraction{6, 1}), "6");
}

// 14.4 * (100 - 99.9) / 100 in doubles is a little below 0.0144, so 1.44 % would page.
TEST(Fraction, ARatioEqualToTheThresholdDoesNotExceedIt) {
  const Fraction threshold = *Multiply(Fraction{72, 5}, Fraction{1, 1000});
  EXPECT_FALSE(RatioExceeds(144, 10'000, threshold));
  EXPECT_TRUE(RatioExceeds(144'001, 10'000'000, threshold));
  EXPECT_GT(0.0144, 14.4 * ((100 - 99.9) / 100));
  EXPECT_TRUE(RatioExceeds(INT64_MAX, INT64_MAX - 1, Fraction{1, 1}));
}

}  // namespace
}  // namespace basalt::slo
