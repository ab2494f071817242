// The two formats of lines: Prometheus' exposition and JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/base/stale.h"
#include "engine/ingest/exposition.h"
#include "engine/ingest/json_lines.h"
#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Rows = std::vector<SampleRow>;

constexpr int64_t kNowMs = 1'700'000'000'000;
constexpr int64_t kT = 1'699'999'999'000;

class Import : public testing::Test {
 protected:
  Rows Text(const std::string& text, Exposition format = Exposition::kPrometheus) {
    report.Reset();
    exposition.Decode(text, format, FromMs(kNowMs), 1, builder, report);
    return world.Apply(builder.Finish());
  }
  Rows Json(const std::string& text) {
    report.Reset();
    json.Decode(text, FromMs(kNowMs), 1, builder, report);
    return world.Apply(builder.Finish());
  }

  DecoderWorld world;
  ExpositionDecoder exposition{Limits()};
  JsonLinesDecoder json{Limits()};
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  Report report;
};

TEST_F(Import, ReadsAPageOfAnExporter) {
  const std::string page =
      "# HELP http_requests_total Requests.\\nBy code.\n"
      "# TYPE http_requests_total counter\n"
      "http_requests_total{code=\"200\",method=\"post\"} 1027 1699999999000\n"
      "http_requests_total { method = \"get\" , code=\"4\\\"00\\\\\" , } 3\r\n"
      "\n"
      "  up 1\n"
      "# a comment\n"
      "{\"quoted.name\",\"a b\"=\"c\"} -1.5e3 1699999999000\n"
      "odd{le=\"+Inf\"} +Inf\n"
      "tiny 5e-324 1699999999000";
  const Rows expected = {{R"(http_requests_total{code="200", method="post"})", kT, 1027},
                         {R"(http_requests_total{code="4\"00\\", method="get"})", kNowMs, 3},
                         {R"(odd{le="+Inf"})", kNowMs, INFINITY},
                         {"tiny", kT, 5e-324},
                         {"up", kNowMs, 1},
                         {R"({"quoted.name", "a b"="c"})", kT, -1500}};
  EXPECT_THAT(Text(page), testing::UnorderedElementsAreArray(expected));
  EXPECT_EQ(report.Message(), "");
  EXPECT_EQ(report.metadata, 2U);
  const int defined = world.defined;
  Text(page);
  EXPECT_EQ(world.defined, defined) << "known series come without labels";
}

TEST_F(Import, ReadsOpenMetrics) {
  const Rows rows = Text(
      "# TYPE foo counter\n# UNIT foo seconds\n"
      "foo_total{a=\"b\"} 17 1699999999.123 # {trace_id=\"x\"} 0.5 1699999999\n"
      "nan NaN 1699999999\n"
      "# EOF\n"
      "after 1\n",
      Exposition::kOpenMetrics);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0], (SampleRow{R"(foo_total{a="b"})", kT + 123, 17}));
  EXPECT_TRUE(std::isnan(std::get<2>(rows[1])));
  EXPECT_EQ(report.exemplars, 1U);
  EXPECT_EQ(report.Message(), "");
}

TEST_F(Import, NumbersLinesThatAreWrongAndTakesTheOthers) {
  struct Case {
    const char* line;
    const char* detail;
  };
  for (const Case& c :
       {Case{"up{a=\"b\" 1", "line[2]: \"}\" is missing"}, Case{"up one", "value \"one\" is not a"},
        Case{"up", "value \"\" is not a number"},
        Case{"up 1 soon", "timestamp \"soon\" is not in milliseconds"},
        Case{"up 1 1 1", "\"1\" follows the sample"},
        Case{"up 1 # {a=\"b\"} 1", "follows the sample"},
        Case{"up{a=b} 1", "label \"a\": its value is not in quotes"},
        Case{"up{a} 1", "\"=\" is missing after label \"a\""},
        Case{"up{a=\"b\"c=\"d\"} 1", "\",\" or \"}\" is missing before \"c="},
        Case{"up{a=\"b\",a=\"c\"} 1", "label \"a\" is there twice"},
        Case{"{a=\"b\"} 1", "no metric name"}, Case{"= 1", "begins with neither a metric name"},
        Case{"up 1 -5", "before 1970"}}) {
    EXPECT_EQ(Text(std::string("good 1\n") + c.line + "\ngood 2 1699999999000\n"),
              (Rows{{"good", kT, 2}, {"good", kNowMs, 1}}))
        << c.line;
    EXPECT_EQ(report.rejected(), 1U) << c.line;
    ASSERT_EQ(report.details().size(), 1U) << c.line;
    EXPECT_THAT(report.details()[0], HasSubstr(c.detail)) << c.line;
  }
}

TEST_F(Import, ReadsJsonLines) {
  const Rows rows = Json(
      R"({"metric":{"job":"x","__name__":"up"},"values":[1,0.1,"+Inf"],"timestamps":[1699999999000,1699999999001,1699999999002]})"
      "\n\n"
      R"({"metric":{"__name__":"gone"},"values":["stale",null],"timestamps":[1699999999000,1699999999001]})"
      "\n");
  ASSERT_EQ(rows.size(), 5U) << report.Message();
  EXPECT_TRUE(IsStaleMarker(std::get<2>(rows[0])));
  EXPECT_TRUE(std::isnan(std::get<2>(rows[1])));
  EXPECT_EQ(rows[2], (SampleRow{R"(up{job="x"})", kT, 1}));
  EXPECT_EQ(rows[3], (SampleRow{R"(up{job="x"})", kT + 1, 0.1}));
  EXPECT_EQ(rows[4], (SampleRow{R"(up{job="x"})", kT + 2, INFINITY}));
}

TEST_F(Import, RefusesAJsonLineWhole) {
  struct Case {
    const char* line;
    const char* detail;
    uint64_t samples;
  };
  for (const Case& c :
       {Case{"{", "line[1]: ", 1}, Case{"[]", "line[1]: ", 1},
        Case{R"({"metric":{},"values":[1],"timestamps":[1]})", "no metric name", 1},
        Case{R"({"metric":{"__name__":"x"},"values":[1,2],"timestamps":[1]})",
             "2 values and 1 timestamps", 2},
        Case{R"({"metric":{"__name__":"x"},"values":[1,"two"],"timestamps":[1,2]})",
             "values[1] is neither", 2},
        Case{R"({"metric":{"__name__":"x"},"values":[1],"timestamps":[1.5]})",
             "timestamps[0] is no whole number", 1},
        Case{R"({"metric":{"__name__":7},"values":[1],"timestamps":[1]})",
             "label \"__name__\" is no string", 1},
        Case{R"({"values":[1],"timestamps":[1]})", "\"metric\" needs an object", 1}}) {
    EXPECT_TRUE(Json(c.line).empty()) << c.line;
    EXPECT_EQ(report.rejected(), c.samples) << c.line;
    ASSERT_EQ(report.details().size(), 1U) << c.line;
    EXPECT_THAT(report.details()[0], HasSubstr(c.detail)) << c.line;
  }
}

}  // namespace
}  // namespace basalt::ingest
