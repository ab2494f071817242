#include "engine/http/api/params.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdio>

namespace basalt::http::api {
namespace {

struct TimeCase {
  const char* text;
  int64_t ms;
};
class ParsesTime : public testing::TestWithParam<TimeCase> {};
TEST_P(ParsesTime, ToTheMillisecond) {
  const Result<Timestamp> time = ParseTime(GetParam().text);
  ASSERT_TRUE(time.ok()) << time.status().ToString();
  EXPECT_EQ(ToMs(*time), GetParam().ms);
}
INSTANTIATE_TEST_SUITE_P(
    Table, ParsesTime,
    testing::Values(TimeCase{"0", 0}, TimeCase{"1700003600", 1'700'003'600'000},
                    TimeCase{"1700003600.123", 1'700'003'600'123},
                    TimeCase{"1700003600.1236", 1'700'003'600'124}, TimeCase{"-1.5", -1500},
                    TimeCase{"+2", 2000}, TimeCase{"1.7e9", 1'700'000'000'000},
                    TimeCase{"0x1p4", 16'000}, TimeCase{".5", 500}, TimeCase{"1e-400", 0},
                    TimeCase{"2015-07-01T20:10:51.781Z", 1'435'781'451'781},
                    TimeCase{"2015-07-01T20:10:51Z", 1'435'781'451'000},
                    TimeCase{"2015-07-01T22:10:51.7819999+02:00", 1'435'781'451'781},
                    TimeCase{"1969-12-31T23:59:59.5Z", -500},
                    TimeCase{"2024-02-29T00:00:00-00:30", 1'709'166'600'000},
                    TimeCase{"1795386289756",
                             1'795'386'289'756'000},  // Grafana's milliseconds: the year 58 000
                    TimeCase{"1e300", ToMs(kMaxTime)}, TimeCase{"-1e300", ToMs(kMinTime)},
                    TimeCase{"-292273086-05-16T16:47:06Z", ToMs(kMinTime)},
                    TimeCase{"292277025-08-18T07:12:54.999999999Z", ToMs(kMaxTime)}));

class RejectsTime : public testing::TestWithParam<const char*> {};
TEST_P(RejectsTime, QuotingWhatItGot) {
  const Result<Timestamp> time = ParseTime(GetParam());
  ASSERT_FALSE(time.ok());
  EXPECT_EQ(time.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(time.status().message(),
            "cannot parse \"" + std::string(GetParam()) + "\" to a valid timestamp");
}
INSTANTIATE_TEST_SUITE_P(Table, RejectsTime,
                         testing::Values("", "x", "1 ", " 1", "1e999", "NaN", "+Inf", "--1", "+-1",
                                         "0x10", "1_000", "5m", "2015-07-01", "2015-07-01T20:10:51",
                                         "2015-13-01T00:00:00Z", "2015-02-29T00:00:00Z",
                                         "2015-07-01T24:00:00Z", "2015-07-01T20:10:51.Z",
                                         "2015-07-01 20:10:51Z", "2015-07-01T20:10:51+0200"));

std::string DurationError(std::string_view text) {
  return std::string(ParseDurationParam(text).status().message());
}

TEST(ParseDurationParam, TakesSecondsAndPromqlDurations) {
  EXPECT_EQ(ParseDurationParam("15").value(), Duration(15'000));
  EXPECT_EQ(ParseDurationParam("0.5").value(), Duration(500));
  EXPECT_EQ(ParseDurationParam("1.2345").value(), Duration(1234));
  EXPECT_EQ(ParseDurationParam("-3").value(), Duration(-3000));
  EXPECT_EQ(ParseDurationParam("0").value(), Duration(0));
  EXPECT_EQ(ParseDurationParam("1h30m").value(), Duration(5'400'000));
  EXPECT_EQ(ParseDurationParam("250ms").value(), Duration(250));
}

TEST(ParseDurationParam, SaysWhatIsWrong) {
  EXPECT_EQ(DurationError("x"), R"(cannot parse "x" to a valid duration)");
  EXPECT_EQ(DurationError(""), R"(cannot parse "" to a valid duration)");
  EXPECT_EQ(DurationError("NaN"), R"(cannot parse "NaN" to a valid duration)");
  EXPECT_EQ(DurationError("1e20"),
            R"(cannot parse "1e20" to a valid duration. It overflows int64)");
  EXPECT_EQ(DurationError("+Inf"),
            R"(cannot parse "+Inf" to a valid duration. It overflows int64)");
  EXPECT_EQ(DurationError("0.0001"),
            R"(cannot parse "0.0001" to a valid duration. The finest is a millisecond)");
}

TEST(ParseLimit, SpeaksAsGoDoes) {
  EXPECT_EQ(ParseLimit("").value(), 0U);
  EXPECT_EQ(ParseLimit("40000").value(), 40'000U);
  EXPECT_EQ(ParseLimit("+7").value(), 7U);
  EXPECT_EQ(ParseLimit("-1").status().message(), "limit must be non-negative");
  EXPECT_EQ(ParseLimit("x").status().message(), R"(strconv.Atoi: parsing "x": invalid syntax)");
  EXPECT_EQ(ParseLimit("1.5").status().message(), R"(strconv.Atoi: parsing "1.5": invalid syntax)");
  EXPECT_EQ(ParseLimit("+-1").status().message(), R"(strconv.Atoi: parsing "+-1": invalid syntax)");
  EXPECT_EQ(ParseLimit("99999999999999999999").status().message(),
            R"(strconv.Atoi: parsing "99999999999999999999": value out of range)");
}

TEST(UnescapeLabelName, DecodesWhatIsWellEscaped) {
  EXPECT_EQ(UnescapeLabelName("U__http_2e_status"), "http.status");
  EXPECT_EQ(UnescapeLabelName("U__a__b"), "a_b");
  EXPECT_EQ(UnescapeLabelName("U___1F600_x"), "\xF0\x9F\x98\x80x");
  EXPECT_EQ(UnescapeLabelName("job"), "job");
  EXPECT_EQ(UnescapeLabelName("U__"), "");
  for (const char* name :
       {"U__a_", "U__a_zz_", "U__a_2e", "U___d800_", "U___110000_", "U___1234567_"}) {
    EXPECT_EQ(UnescapeLabelName(name), name);
  }
}

TEST(ParseTenant, TakesANumberOrNothing) {
  EXPECT_EQ(ParseTenant("").value(), kDefaultTenant);
  EXPECT_EQ(ParseTenant("7").value(), TenantId(7));
  EXPECT_EQ(ParseTenant("4294967295").value(), TenantId(4294967295));
  for (const char* bad : {"4294967296", "-1", "x", "7 ", "7|8"}) {
    const Result<TenantId> tenant = ParseTenant(bad);
    ASSERT_FALSE(tenant.ok()) << bad;
    EXPECT_NE(tenant.status().message().find("X-Scope-OrgID"), std::string_view::npos);
  }
}

TEST(ParseLogPosition, TakesLaneAndSequence) {
  EXPECT_EQ(ParseLogPosition("3:12").value(), (LogPosition{3, 12}));
  for (const char* bad : {"", "3", ":1", "3:", "3:x", "70000:1", "3:1:2"})
    EXPECT_FALSE(ParseLogPosition(bad).ok()) << bad;
}

RC_GTEST_PROP(ParseTime, ReadsWhatSampleTimesSay, ()) {
  const auto ms = *rc::gen::inRange<int64_t>(-4'000'000'000'000, 4'000'000'000'000);
  char text[64];
  std::snprintf(text, sizeof(text), "%s%lld.%03lld", ms < 0 ? "-" : "",
                static_cast<long long>(std::abs(ms) / 1000),
                static_cast<long long>(std::abs(ms) % 1000));
  RC_ASSERT(ToMs(ParseTime(text).value()) == ms);
}

}  // namespace
}  // namespace basalt::http::api
