#include "engine/http/json_writer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace basalt::http {
namespace {

std::string Float(double value) {
  std::string out;
  AppendGoFloat(value, out);
  return out;
}

struct FloatCase {
  double value;
  const char* text;
};
class GoFloat : public testing::TestWithParam<FloatCase> {};
TEST_P(GoFloat, IsSpeltAsGoSpellsIt) { EXPECT_EQ(Float(GetParam().value), GetParam().text); }
INSTANTIATE_TEST_SUITE_P(
    Table, GoFloat,
    testing::Values(FloatCase{0, "0"}, FloatCase{-0.0, "-0"}, FloatCase{1, "1"},
                    FloatCase{-42, "-42"}, FloatCase{0.1, "0.1"}, FloatCase{1.5, "1.5"},
                    FloatCase{1e-6, "0.000001"}, FloatCase{9.99e-7, "9.99e-07"},
                    FloatCase{-1.5e-300, "-1.5e-300"}, FloatCase{5e-324, "5e-324"},
                    FloatCase{123456.789, "123456.789"}, FloatCase{1e15, "1000000000000000"},
                    FloatCase{1.2345678901234568e20, "123456789012345680000"},
                    FloatCase{999999999999999900000.0, "999999999999999900000"},
                    FloatCase{1e21, "1e+21"},
                    FloatCase{1.7976931348623157e308, "1.7976931348623157e+308"},
                    FloatCase{9007199254740992, "9007199254740992"},
                    FloatCase{0.30000000000000004, "0.30000000000000004"}, FloatCase{NAN, "NaN"},
                    FloatCase{INFINITY, "+Inf"}, FloatCase{-INFINITY, "-Inf"}));

TEST(GoFloat, KeepsTheNotationItIsAskedFor) {
  std::string out;
  AppendGoFloatScientific(1, out);
  AppendGoFloatScientific(0, out += ' ');
  AppendGoFloatScientific(0.025, out += ' ');
  AppendGoFloatScientific(-1.5e100, out += ' ');
  AppendGoFloatFixed(1e-7, out += ' ');
  AppendGoFloatFixed(1e21, out += ' ');
  EXPECT_EQ(out, "1e+00 0e+00 2.5e-02 -1.5e+100 0.0000001 1000000000000000000000");
}

RC_GTEST_PROP(GoFloat, ReadsBackAsTheSameBits, (uint64_t bits)) {
  const auto value = std::bit_cast<double>(bits);
  RC_PRE(std::isfinite(value));
  RC_ASSERT(std::bit_cast<uint64_t>(std::stod("1") * std::strtod(Float(value).c_str(), nullptr)) ==
            bits);
}

RC_GTEST_PROP(GoFloat, HasTheSameDigitsInEitherNotation, (uint64_t bits)) {
  // Magnitudes from about 2^-32 to 2^63.
  const uint64_t exponent = 1023 - 32 + (bits >> 52) % 95;
  const auto value = std::bit_cast<double>((bits & ((uint64_t{1} << 52) - 1)) | exponent << 52);
  std::string fixed;
  std::string scientific;
  AppendGoFloatFixed(value, fixed);
  AppendGoFloatScientific(value, scientific);
  scientific.resize(scientific.find('e'));
  const auto digits = [](std::string text) {
    std::erase(text, '.');
    text.erase(0, text.find_first_not_of('0'));
    text.erase(text.find_last_not_of('0') + 1);
    return text;
  };
  RC_ASSERT(digits(fixed) == digits(scientific));
}

std::string Time(int64_t ms) {
  std::string out;
  JsonWriter(out).SampleTime(ms);
  return out;
}

TEST(SampleTime, IsSecondsWithThreeDecimalsOrNone) {
  EXPECT_EQ(Time(0), "0");
  EXPECT_EQ(Time(1435781451781), "1435781451.781");
  EXPECT_EQ(Time(1435781451100), "1435781451.100");
  EXPECT_EQ(Time(5), "0.005");
  EXPECT_EQ(Time(-1), "-0.001");
  EXPECT_EQ(Time(-15000), "-15");
  EXPECT_EQ(Time(INT64_MIN), "-9223372036854775.808");
}

TEST(Point, IsTimeAndValueInAnArray) {
  for (const double value :
       {0.0, -0.0, 1.5, -42.25, 1e15, 9.99e-7, 5e-324, -1.7976931348623157e308,
        -0.0000012345678901234567, 999999999999999.9, std::numeric_limits<double>::quiet_NaN(),
        -std::numeric_limits<double>::infinity()}) {
    for (const int64_t time_ms : {int64_t{0}, int64_t{1435781451781}, INT64_MIN, INT64_MAX}) {
      std::string point;
      JsonWriter json(point);
      json.BeginArray();
      json.Point(time_ms, value);
      json.Point(time_ms, value);
      json.EndArray();
      const std::string one = "[" + Time(time_ms) + ",\"" + Float(value) + "\"]";
      EXPECT_EQ(point, "[" + one + "," + one + "]");
    }
  }
}

TEST(Rfc3339, DropsZerosAsGoDoes) {
  std::string out;
  AppendRfc3339(FromMs(1'700'000'000'000), out);
  AppendRfc3339(FromMs(1'700'000'000'500), out += ' ');
  AppendRfc3339(FromMs(1'700'000'000'051), out += ' ');
  AppendRfc3339(Timestamp{}, out += ' ');
  EXPECT_EQ(
      out,
      "2023-11-14T22:13:20Z 2023-11-14T22:13:20.5Z 2023-11-14T22:13:20.051Z 0001-01-01T00:00:00Z");
}

TEST(JsonWriter, PutsCommasAndEscapes) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  json.Field("a\"b", "\\\n\r\t\x01/<");
  json.Key("list");
  json.BeginArray();
  json.Int(-1);
  json.BeginArray();
  json.EndArray();
  json.Null();
  json.SampleValue(-0.5);
  json.EndArray();
  json.Field("yes", true);
  json.EndObject();
  EXPECT_EQ(out, R"({"a\"b":"\\\n\r\t\u0001/<","list":[-1,[],null,"-0.5"],"yes":true})");
}

TEST(JsonWriter, GoesOnInAnotherString) {
  std::string first;
  std::string second;
  JsonWriter json(first);
  json.BeginArray();
  json.Int(1);
  json.Continue(second);
  json.Int(2);
  json.EndArray();
  EXPECT_EQ(first + second, "[1,2]");
}

TEST(JsonWriter, ReplacesWhatIsNotUtf8) {
  std::string out;
  JsonWriter(out).String("ok \xC3\xA9 \xC3 \xED\xA0\x80 \xF0\x9F\x98\x80 \xC0\x80");
  EXPECT_EQ(out,
            "\"ok \xC3\xA9 \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xF0\x9F\x98\x80 "
            "\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

// Any bytes come out as JSON, and text that is UTF-8 comes back.
RC_GTEST_PROP(JsonWriter, WritesWhatAParserReads, (const std::string& bytes)) {
  std::string out;
  JsonWriter(out).String(bytes);
  const nlohmann::json parsed = nlohmann::json::parse(out);
  if (IsValidUtf8(bytes)) RC_ASSERT(parsed.get<std::string>() == bytes);
}

}  // namespace
}  // namespace basalt::http
