// Each operator on data small enough to check by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/query/exec/engine_fixture.h"

namespace basalt::query {
namespace {

using testing::MemoryReader;

// Samples every 10 s from 0 to 100.
void Fill(MemoryReader& r) {
  const auto every = Duration(10'000);
  r.Series({{"__name__", "requests_total"}, {"job", "a"}, {"code", "200"}})
      .Every(every, {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100});
  r.Series({{"__name__", "requests_total"}, {"job", "a"}, {"code", "500"}})
      .Every(every, {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5});  // restarts at 50
  r.Series({{"__name__", "requests_total"}, {"job", "b"}, {"code", "200"}})
      .Every(every, {0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200});
  r.Series({{"__name__", "limit"}, {"job", "a"}}).Every(every, std::vector<double>(11, 50));
  r.Series({{"__name__", "limit"}, {"job", "b"}}).Every(every, std::vector<double>(11, 100));
  r.Series({{"__name__", "limit"}, {"job", "c"}}).Every(every, std::vector<double>(11, 1));
  r.Series({{"__name__", "gone"}}).At(0, 7).At(20'000, MemoryReader::Stale()).At(90'000, 8);
  r.Series({{"__name__", "old"}}).At(0, 3);
  for (const auto& [le, counts] :
       std::initializer_list<std::pair<const char*, std::vector<double>>>{
           {"0.1", {1, 1}}, {"1", {3, 3}}, {"+Inf", {4, 4}}}) {
    r.Series({{"__name__", "latency_bucket"}, {"le", le}}).Every(Duration(100'000), counts);
  }
}

struct Case {
  const char* query;
  int64_t seconds;
  const char* expected;
};

class Operators : public ::testing::TestWithParam<Case> {};

TEST_P(Operators, GivesWhatOneComputesByHand) {
  for (const uint32_t partitions : {1U, 3U}) {
    for (const bool push_down : {true, false}) {
      MemoryReader reader(partitions);
      Fill(reader);
      EngineOptions options;
      options.push_down = push_down;
      EXPECT_EQ(Show(InstantAt(reader, GetParam().query, GetParam().seconds, options)),
                GetParam().expected)
          << GetParam().query << " with " << partitions << " partitions";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Selectors, Operators,
    ::testing::Values(Case{"limit{job=\"a\"}", 100, "limit{job=\"a\"} 50"},
                      Case{"limit{job!=\"a\"}", 100, "limit{job=\"b\"} 100\nlimit{job=\"c\"} 1"},
                      Case{"limit{job=~\"a|b\"}", 100, "limit{job=\"a\"} 50\nlimit{job=\"b\"} 100"},
                      Case{"limit{job!~\"a|b\"}", 100, "limit{job=\"c\"} 1"},
                      Case{"limit{missing=\"\", job=\"c\"}", 100, "limit{job=\"c\"} 1"},
                      // A marker ends a series at once, without lookback.
                      Case{"gone", 19, "gone 7"}, Case{"gone", 20, ""}, Case{"gone", 89, ""},
                      Case{"gone", 90, "gone 8"},
                      // Lookback is five minutes, open at its far end.
                      Case{"old", 299, "old 3"}, Case{"old", 300, ""},
                      Case{"old offset 1m", 300, "old 3"}, Case{"old @ 10", 1000, "old 3"},
                      Case{"old @ end()", 299, "old 3"},
                      Case{"requests_total{job=\"b\"} offset -10s", 50,
                           "requests_total{code=\"200\", job=\"b\"} 120"},
                      // Windows are open on the left.
                      Case{"old[10s]", 10, ""}, Case{"old[11s]", 10, "old 3@0"},
                      Case{"limit{job=\"c\"}[20s]", 100, "limit{job=\"c\"} 1@90 1@100"}));

INSTANTIATE_TEST_SUITE_P(
    RangeFunctions, Operators,
    ::testing::Values(
        // 40 in 40 s inside a window of 50 s, extrapolated to both ends: 10 s and 0 s away.
        Case{"rate(requests_total{job=\"a\",code=\"200\"}[50s])", 100,
             "{code=\"200\", job=\"a\"} 1"},
        // Samples 4 0 1 2 3 4 5 at 40..100: 1 + 4 for the restart, 60 s sampled, 10 s to the start
        // of the window.
        Case{"increase(requests_total{code=\"500\"}[61s])", 100,
             "{code=\"500\", job=\"a\"} 5.083333333333333"},
        Case{"resets(requests_total{code=\"500\"}[100s])", 100, "{code=\"500\", job=\"a\"} 1"},
        Case{"changes(limit{job=\"a\"}[100s])", 100, "{job=\"a\"} 0"},
        Case{"irate(requests_total{job=\"b\"}[50s])", 100, "{code=\"200\", job=\"b\"} 2"},
        Case{"idelta(requests_total{job=\"b\"}[50s])", 100, "{code=\"200\", job=\"b\"} 20"},
        Case{"delta(limit{job=\"a\"}[50s])", 100, "{job=\"a\"} 0"},
        Case{"deriv(requests_total{job=\"b\"}[100s])", 100, "{code=\"200\", job=\"b\"} 2"},
        Case{"predict_linear(requests_total{job=\"b\"}[100s], 50)", 100,
             "{code=\"200\", job=\"b\"} 300"},
        Case{"sum_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 14"},
        Case{"avg_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 3.5"},
        Case{"min_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 2"},
        Case{"max_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 5"},
        Case{"count_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 4"},
        Case{"stdvar_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 1.25"},
        Case{"quantile_over_time(0.5, requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 3.5"},
        Case{"mad_over_time(requests_total{code=\"500\"}[40s])", 100,
             "{code=\"500\", job=\"a\"} 1"},
        Case{"last_over_time(gone[100s])", 100, "gone 8"},
        Case{"first_over_time(gone[101s])", 100, "gone 7"},
        Case{"ts_of_last_over_time(gone[100s])", 100, "{} 90"},
        Case{"present_over_time(gone[60s])", 80, ""},
        Case{"absent_over_time(gone[60s])", 80, "{} 1"},
        Case{"absent_over_time(nope{job=\"x\"}[60s])", 80, "{job=\"x\"} 1"},
        Case{"max_over_time(rate(requests_total{job=\"b\"}[30s])[60s:10s])", 100,
             "{code=\"200\", job=\"b\"} 2"}));

INSTANTIATE_TEST_SUITE_P(
    Aggregations, Operators,
    ::testing::Values(
        Case{"sum(limit)", 100, "{} 151"}, Case{"count(limit)", 100, "{} 3"},
        Case{"avg(limit)", 100, "{} 50.333333333333336"}, Case{"min(limit)", 100, "{} 1"},
        Case{"max(limit)", 100, "{} 100"}, Case{"group(limit)", 100, "{} 1"},
        Case{"stdvar(limit{job=~\"a|b\"})", 100, "{} 625"},
        Case{"stddev(limit{job=~\"a|b\"})", 100, "{} 25"},
        Case{"quantile(0.5, limit)", 100, "{} 50"},
        Case{"topk(2, limit)", 100, "limit{job=\"a\"} 50\nlimit{job=\"b\"} 100"},
        Case{"bottomk(1, limit)", 100, "limit{job=\"c\"} 1"},
        Case{"count_values(\"v\", limit)", 100, "{v=\"1\"} 1\n{v=\"100\"} 1\n{v=\"50\"} 1"},
        Case{"count(limitk(2, limit))", 100, "{} 2"},
        Case{"count(limit_ratio(0.5, limit)) + count(limit_ratio(-0.5, limit)) or vector(3)", 100,
             "{} 3"},
        Case{"sum by (job) (requests_total)", 100, "{job=\"a\"} 105\n{job=\"b\"} 200"},
        Case{"sum without (job, code) (requests_total)", 100, "{} 305"},
        Case{"sum(sum by (job) (requests_total))", 100, "{} 305"},
        Case{"sum by (job) (rate(requests_total{code=\"200\"}[50s]))", 100,
             "{job=\"a\"} 1\n{job=\"b\"} 2"},
        Case{"sum(absent_over_time(nope[1m]))", 100, "{} 1"}));

INSTANTIATE_TEST_SUITE_P(
    Binary, Operators,
    ::testing::Values(
        Case{"1 + 2 * 3 ^ 2", 0, "scalar 19"}, Case{"1 > bool 2", 0, "scalar 0"},
        Case{"limit * 2", 100, "{job=\"a\"} 100\n{job=\"b\"} 200\n{job=\"c\"} 2"},
        Case{"limit > 10", 100, "limit{job=\"a\"} 50\nlimit{job=\"b\"} 100"},
        Case{"10 < limit", 100, "limit{job=\"a\"} 50\nlimit{job=\"b\"} 100"},
        Case{"limit > bool 10", 100, "{job=\"a\"} 1\n{job=\"b\"} 1\n{job=\"c\"} 0"},
        Case{"-limit{job=\"a\"}", 100, "{job=\"a\"} -50"},
        Case{"limit + limit", 100, "{job=\"a\"} 100\n{job=\"b\"} 200\n{job=\"c\"} 2"},
        Case{"requests_total{code=\"200\"} / on(job) limit", 100, "{job=\"a\"} 2\n{job=\"b\"} 2"},
        Case{"requests_total / ignoring(code) group_left limit", 100,
             "{code=\"200\", job=\"a\"} 2\n{code=\"200\", job=\"b\"} 2\n{code=\"500\", job=\"a\"} "
             "0.1"},
        Case{"limit - on(job) group_right requests_total{code=\"500\"}", 100,
             "{code=\"500\", job=\"a\"} 45"},
        Case{"limit and on(job) requests_total", 100, "limit{job=\"a\"} 50\nlimit{job=\"b\"} 100"},
        Case{"limit unless on(job) requests_total", 100, "limit{job=\"c\"} 1"},
        Case{"limit{job=\"a\"} or limit{job=\"c\"}", 100,
             "limit{job=\"a\"} 50\nlimit{job=\"c\"} 1"},
        Case{"sum by (job) (requests_total) + on(job) fill_right(1) limit{job=\"a\"}", 100,
             "{job=\"a\"} 155\n{job=\"b\"} 201"}));

INSTANTIATE_TEST_SUITE_P(
    Functions, Operators,
    ::testing::Values(
        Case{"histogram_quantile(0.5, latency_bucket)", 100, "{} 0.55"},
        Case{"histogram_fraction(0, 1, latency_bucket)", 100, "{} 0.75"},
        Case{"time()", 42, "scalar 42"}, Case{"scalar(limit{job=\"c\"})", 100, "scalar 1"},
        Case{"scalar(limit)", 100, "scalar NaN"}, Case{"vector(7)", 100, "{} 7"},
        Case{"absent(nope{a=\"b\"})", 100, "{a=\"b\"} 1"}, Case{"absent(limit)", 100, ""},
        Case{"timestamp(old)", 100, "{} 0"}, Case{"timestamp(old * 1)", 100, "{} 100"},
        Case{"clamp(limit, 10, 60)", 100, "{job=\"a\"} 50\n{job=\"b\"} 60\n{job=\"c\"} 10"},
        Case{"round(limit{job=\"a\"} / 7, 0.1)", 100, "{job=\"a\"} 7.1"},
        Case{"abs(-limit{job=\"c\"})", 100, "{job=\"c\"} 1"}, Case{"year(vector(0))", 0, "{} 1970"},
        Case{"day_of_week(vector(1700000000))", 0, "{} 2"},
        Case{"days_in_month(vector(951782400))", 0, "{} 29"}, Case{"\"text\"", 0, "string text"},
        Case{"label_replace(limit{job=\"a\"}, \"x\", \"<$1>\", \"job\", \"(.*)\")", 100,
             "limit{job=\"a\", x=\"<a>\"} 50"},
        Case{"label_join(limit{job=\"a\"}, \"x\", \"-\", \"job\", \"job\")", 100,
             "limit{job=\"a\", x=\"a-a\"} 50"},
        // A name that goes at the end can still be read, and be given anew.
        Case{"label_replace(rate(requests_total{job=\"b\"}[50s]), \"m\", \"$1\", \"__name__\", "
             "\"(.+)_total\")",
             100, "{code=\"200\", job=\"b\", m=\"requests\"} 2"},
        Case{"label_replace(rate(requests_total{job=\"b\"}[50s]), \"__name__\", \"speed\", \"\", "
             "\"\")",
             100, "speed{code=\"200\", job=\"b\"} 2"}));

TEST(Order, OfSortAndTopkIsThatOfTheirValues) {
  MemoryReader reader(3);
  Fill(reader);
  EXPECT_EQ(Show(InstantAt(reader, "sort(limit)", 100), true),
            "limit{job=\"c\"} 1\nlimit{job=\"a\"} 50\nlimit{job=\"b\"} 100");
  EXPECT_EQ(Show(InstantAt(reader, "sort_desc(limit)", 100), true),
            "limit{job=\"b\"} 100\nlimit{job=\"a\"} 50\nlimit{job=\"c\"} 1");
  EXPECT_EQ(Show(InstantAt(reader, "sort_by_label_desc(limit, \"job\")", 100), true),
            "limit{job=\"c\"} 1\nlimit{job=\"b\"} 100\nlimit{job=\"a\"} 50");
  EXPECT_EQ(Show(InstantAt(reader, "topk(2, limit)", 100), true),
            "limit{job=\"b\"} 100\nlimit{job=\"a\"} 50");
}

TEST(Errors, CarryPrometheusTextsAndKinds) {
  MemoryReader reader;
  Fill(reader);
  const auto error = [&](const char* query) {
    const auto result = InstantAt(reader, query, 100);
    return result.ok() ? std::string("none")
                       : std::string(ErrorKindName(ErrorKindOf(result.status()))) + ": " +
                             std::string(result.status().message());
  };
  EXPECT_EQ(error("sum("), "bad_data: 1:5: parse error: unclosed left parenthesis");
  EXPECT_EQ(error("limit + on() limit"),
            "execution: found duplicate series for the match group {} on the right hand-side of "
            "the operation: "
            "[{__name__=\"limit\", job=\"a\"}, {__name__=\"limit\", job=\"b\"}];many-to-many "
            "matching not allowed: "
            "matching labels must be unique on one side");
  EXPECT_EQ(error("requests_total + on(job) limit"),
            "execution: multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)");
  EXPECT_EQ(error("label_replace(limit, \"job\", \"x\", \"job\", \".*\")"),
            "execution: vector cannot contain metrics with the same labelset");
  EXPECT_EQ(error("topk(scalar(nope), limit)"), "execution: Parameter value is NaN");
  EXPECT_EQ(error("sum_over_time(limit[1m] smoothed)"),
            "execution: smoothed modifier can only be used with: delta, increase, rate - not with "
            "sum_over_time");
  const auto range = RangeOver(reader, "limit[1m]", 0, 10, 1);
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(
      range.status().message(),
      "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector");
}

TEST(Annotations, NameWhatIsDoubtfulAndWhere) {
  MemoryReader reader;
  Fill(reader);
  const auto result = InstantAt(reader, "sum(\n  rate(limit[1m]))", 100);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(result->infos, ::testing::ElementsAre(
                                 "PromQL info: metric might not be a counter, name does not end in "
                                 "_total/_sum/_count/_bucket: \"limit\" (2:8)"));
  const auto quantile = InstantAt(reader, "quantile(2, limit)", 100);
  ASSERT_TRUE(quantile.ok());
  EXPECT_THAT(quantile->warnings,
              ::testing::ElementsAre(
                  "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"));
  reader.AddWarning("block 7 is damaged");
  EXPECT_THAT(InstantAt(reader, "limit", 100)->warnings,
              ::testing::ElementsAre("block 7 is damaged"));
}

}  // namespace
}  // namespace basalt::query
