// /api/v1/query and /api/v1/query_range over the real engine, asked with raw bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/base/compress.h"
#include "engine/http/api/api.h"
#include "query/engine.h"
#include "storage/store.h"
#include "tests/engine/http/api/api_harness.h"

namespace basalt::http::api {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class QueryApiTest : public ::testing::Test {
 protected:
  QueryApiTest() {
    h_.context.engine = &engine_;
    h_.reader.Series({{"__name__", "up"}, {"job", "a"}})
        .At(kNowMs - 30'000, 1)
        .At(kNowMs - 15'000, 0.5)
        .At(kNowMs, 1e-7);
    h_.reader.Series({{"__name__", "up"}, {"job", "b"}})
        .At(kNowMs - 15'000, INFINITY)
        .At(kNowMs, NAN);
    NativeHistogram histogram;
    histogram.schema = 0;
    histogram.count = 6;
    histogram.sum = 10.5;
    histogram.zero_threshold = 0.001;
    histogram.zero_count = 1;
    histogram.positive_spans = {{0, 2}, {1, 1}};
    histogram.positive_deltas = {2, -2, 3};
    h_.reader.Series({{"__name__", "latency"}})
        .HistogramAt(kNowMs - 15'000, histogram)
        .At(kNowMs, 3);
    h_.reader.Series({{"__name__", "secret"}}, TenantId(7)).At(kNowMs, 1);
  }
  void Register() { RegisterApi(h_.context, h_.session.router()); }
  std::string Query(std::string_view query, std::string_view more = "") {
    return h_.Get("/api/v1/query?query=" + EncodeComponent(query) + std::string(more)).body;
  }

  query::Engine engine_{query::EngineOptions{}};
  ApiHarness h_;
};

TEST_F(QueryApiTest, AnswersEveryTypeOfValue) {
  Register();
  // Grafana's "Save & test".
  EXPECT_EQ(h_.Post("/api/v1/query", "query=1%2B1&time=4", "Accept-Encoding: gzip\r\n").body,
            R"({"status":"success","data":{"resultType":"scalar","result":[4,"2"]}})");
  EXPECT_EQ(Query("\"a\\nb\""),
            R"({"status":"success","data":{"resultType":"string","result":[1700000000,"a\nb"]}})");
  EXPECT_EQ(Query("up"), R"({"status":"success","data":{"resultType":"vector","result":[)"
                         R"({"metric":{"__name__":"up","job":"a"},"value":[1700000000,"1e-07"]},)"
                         R"({"metric":{"__name__":"up","job":"b"},"value":[1700000000,"NaN"]}]}})");
  EXPECT_EQ(
      Query("up[20s]", "&time=1700000000"),
      R"({"status":"success","data":{"resultType":"matrix","result":[)"
      R"({"metric":{"__name__":"up","job":"a"},"values":[[1699999985,"0.5"],[1700000000,"1e-07"]]},)"
      R"({"metric":{"__name__":"up","job":"b"},"values":[[1699999985,"+Inf"],[1700000000,"NaN"]]}]}})");
  EXPECT_EQ(Query("nothing"), R"({"status":"success","data":{"resultType":"vector","result":[]}})");
}

TEST_F(QueryApiTest, AnswersRanges) {
  Register();
  EXPECT_EQ(
      h_.Post("/api/v1/query_range",
              "query=up%7Bjob%3D%22a%22%7D&start=1699999970&end=1700000000.123&step=15")
          .body,
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},)"
      R"("values":[[1699999970,"1"],[1699999985,"0.5"],[1700000000,"1e-07"]]}]}})");
  EXPECT_EQ(
      h_.Get("/api/v1/query_range?query=1&start=0&end=1&step=500ms").body,
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[0.500,"1"],[1,"1"]]}]}})");
}

TEST_F(QueryApiTest, WritesNativeHistograms) {
  Register();
  const std::string histogram =
      R"({"count":"6","sum":"10.5","buckets":[[3,"-0.001","0.001","1"],[0,"0.5","1","2"],[0,"4","8","3"]]})";
  EXPECT_EQ(
      Query("latency", "&time=1699999985"),
      R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"latency"},"histogram":[1699999985,)" +
          histogram + "]}]}}");
  EXPECT_EQ(
      h_.Get("/api/v1/query_range?query=latency&start=1699999985&end=1700000000&step=15").body,
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"latency"},)"
      R"("values":[[1700000000,"3"]],"histograms":[[1699999985,)" +
          histogram + "]]}]}}");
}

struct ErrorCase {
  std::string target;
  int status;
  std::string type;
  std::string error;
};
class RefusesQuery : public QueryApiTest, public ::testing::WithParamInterface<ErrorCase> {};
TEST_P(RefusesQuery, InUpstreamsWordsByGetAndByPost) {
  Register();
  const nlohmann::json expected = {
      {"status", "error"}, {"errorType", GetParam().type}, {"error", GetParam().error}};
  const RawAnswer got = h_.Get(GetParam().target);
  EXPECT_EQ(got.status, GetParam().status);
  EXPECT_EQ(got.json(), expected);
  const size_t question = GetParam().target.find('?');
  const RawAnswer posted =
      h_.Post(GetParam().target.substr(0, question), GetParam().target.substr(question + 1));
  EXPECT_EQ(posted.status, GetParam().status);
  EXPECT_EQ(posted.json(), expected);
}
constexpr const char* kPoints =
    "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
    "resolution (?step=XX)";
constexpr const char* kZeroStep =
    R"(invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer)";
INSTANTIATE_TEST_SUITE_P(
    Table, RefusesQuery,
    ::testing::Values(
        ErrorCase{
            "/api/v1/query?query=up%7B", 400, "bad_data",
            R"(invalid parameter "query": 1:4: parse error: unexpected end of input inside braces)"},
        ErrorCase{
            "/api/v1/query?query=", 400, "bad_data",
            R"(invalid parameter "query": unknown position: parse error: no expression found in input)"},
        ErrorCase{
            "/api/v1/query?query=up&time=x", 400, "bad_data",
            R"(invalid parameter "time": invalid time value for 'time': cannot parse "x" to a valid timestamp)"},
        ErrorCase{"/api/v1/query?query=up&timeout=x", 400, "bad_data",
                  R"(invalid parameter "timeout": cannot parse "x" to a valid duration)"},
        ErrorCase{"/api/v1/query?query=up&limit=-3", 400, "bad_data",
                  R"(invalid parameter "limit": limit must be non-negative)"},
        ErrorCase{"/api/v1/query?query=up&lookback_delta=x", 400, "bad_data",
                  R"(error parsing lookback delta duration: cannot parse "x" to a valid duration)"},
        ErrorCase{"/api/v1/query?query=up&downsample=1h", 400, "bad_data",
                  R"(invalid parameter "downsample": "1h" is not "auto")"},
        ErrorCase{"/api/v1/query?query=up&min_seq=x", 400, "bad_data",
                  R"(invalid parameter "min_seq": cannot parse "x" to a position "lane:sequence")"},
        ErrorCase{"/api/v1/query_range?query=up&start=x&end=1&step=1", 400, "bad_data",
                  R"(invalid parameter "start": cannot parse "x" to a valid timestamp)"},
        ErrorCase{"/api/v1/query_range?query=up&start=1&step=1", 400, "bad_data",
                  R"(invalid parameter "end": cannot parse "" to a valid timestamp)"},
        ErrorCase{"/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data",
                  R"(invalid parameter "end": end timestamp must not be before start time)"},
        ErrorCase{"/api/v1/query_range?query=up&start=1&end=2&step=x", 400, "bad_data",
                  R"(invalid parameter "step": cannot parse "x" to a valid duration)"},
        ErrorCase{"/api/v1/query_range?query=up&start=1&end=2&step=0", 400, "bad_data", kZeroStep},
        ErrorCase{"/api/v1/query_range?query=up&start=1&end=2&step=-1", 400, "bad_data", kZeroStep},
        ErrorCase{"/api/v1/query_range?query=up&start=0&end=11001&step=1", 400, "bad_data",
                  kPoints},
        ErrorCase{"/api/v1/query_range?query=up&start=-1e300&end=1e300&step=1", 400, "bad_data",
                  kPoints},
        ErrorCase{
            "/api/v1/query_range?query=up[5m]&start=1&end=2&step=1", 400, "bad_data",
            R"(invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector)"},
        ErrorCase{"/api/v1/query?query=up&timeout=0", 503, "timeout",
                  "query timed out in query execution: its timeout is not above 0"},
        ErrorCase{
            "/api/v1/"
            "query?query=vector(1)%2Bon()(label_replace(vector(1),%22a%22,%221%22,%22%22,%22%22)or%"
            "20"
            "label_replace(vector(1),%22a%22,%222%22,%22%22,%22%22))",
            422, "execution",
            R"(found duplicate series for the match group {} on the right hand-side of the operation: [{a="1"}, {a="2"}];)"
            R"(many-to-many matching not allowed: matching labels must be unique on one side)"}));

TEST_F(QueryApiTest, AllowsExactlyElevenThousandSteps) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/query_range?query=1&start=0&end=11000&step=1")
                .json()["data"]["result"][0]["values"]
                .size(),
            11'001U);
}

TEST_F(QueryApiTest, CutsAtALimitAndSaysSo) {
  Register();
  const nlohmann::json cut = h_.Get("/api/v1/query?query=up&limit=1").json();
  EXPECT_EQ(cut["data"]["result"].size(), 1U);
  EXPECT_EQ(cut["warnings"], nlohmann::json::array({"results truncated due to limit"}));
  EXPECT_FALSE(h_.Get("/api/v1/query?query=up&limit=2").json().contains("warnings"));
  EXPECT_FALSE(h_.Get("/api/v1/query?query=up&limit=0").json().contains("warnings"));
  EXPECT_EQ(h_.Get("/api/v1/query_range?query=up&start=1699999990&end=1700000000&step=5&limit=1")
                .json()["data"]["result"]
                .size(),
            1U);
}

TEST_F(QueryApiTest, TellsStatisticsWhenAsked) {
  Register();
  EXPECT_FALSE(h_.Get("/api/v1/query?query=up").json()["data"].contains("stats"));
  const nlohmann::json all = h_.Get("/api/v1/query?query=up&stats=all").json()["data"];
  EXPECT_TRUE(all["stats"]["timings"].contains("evalTotalTime"));
  EXPECT_TRUE(all["stats"]["samples"].contains("totalQueryableSamples"));
  EXPECT_TRUE(all["stats"].contains("basalt"));
  const nlohmann::json odd = h_.Get("/api/v1/query?query=up&stats=yes").json();
  EXPECT_TRUE(odd["data"].contains("stats"));
  EXPECT_EQ(
      odd["warnings"][0],
      R"(value "yes" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all")");
}

TEST_F(QueryApiTest, CarriesInfosWithPositions) {
  Register();
  const nlohmann::json answer = h_.Get("/api/v1/query?query=rate(up%5B1m%5D)").json();
  EXPECT_EQ(
      answer["infos"],
      nlohmann::json::array(
          {R"(PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "up" (1:6))"}));
}

TEST_F(QueryApiTest, HonoursLookbackTenantAndNocache) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/query?query=up&time=1700000060&lookback_delta=30s&nocache=1")
                .json()["data"]["result"]
                .size(),
            0U);
  EXPECT_EQ(h_.Get("/api/v1/query?query=up&time=1700000060").json()["data"]["result"].size(), 2U);
  EXPECT_EQ(h_.Get("/api/v1/query?query=secret").json()["data"]["result"].size(), 0U);
  EXPECT_EQ(
      h_.Get("/api/v1/query?query=secret", "X-Scope-OrgID: 7\r\n").json()["data"]["result"].size(),
      1U);
}

TEST_F(QueryApiTest, ReadsSamplesWhereNoRollupsAreThoughTheyMayBeUsed) {
  Register();
  const nlohmann::json answer =
      h_.Get("/api/v1/query?query=max_over_time(up%5B1d%5D)&downsample=auto&time=1700000060")
          .json();
  EXPECT_EQ(answer["data"]["result"].size(), 2U) << answer;
  EXPECT_FALSE(answer.contains("infos")) << answer;
}

TEST_F(QueryApiTest, ShowsTheReadersWarnings) {
  h_.reader.AddWarning("block 3 is damaged");
  Register();
  EXPECT_EQ(h_.Get("/api/v1/query?query=up").json()["warnings"],
            nlohmann::json::array({"block 3 is damaged"}));
}

TEST_F(QueryApiTest, StopsForAClientThatHasGone) {
  Register();
  h_.session.Open();
  h_.session.hold_handlers = true;
  h_.session.Say("GET /api/v1/query?query=up HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.session.transport.peer_closed = true;
  h_.session.Run();
  h_.session.hold_handlers = false;
  h_.session.Run();
  const std::string answer = h_.session.Heard();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 499 "));
  EXPECT_THAT(answer, HasSubstr(R"("errorType":"canceled")"));
}

// A long series crosses pieces at any point; what comes out is one document.
TEST_F(QueryApiTest, StreamsALongSeries) {
  auto series = h_.reader.Series({{"__name__", "long"}});
  for (int i = 0; i < 50'000; ++i) series.At(kNowMs - 50'000'000 + i * 1000, i * 0.1);
  Register();
  const RawAnswer plain = h_.Get("/api/v1/query?query=long[100d]");
  EXPECT_THAT(plain.head, HasSubstr("Transfer-Encoding: chunked"));
  const nlohmann::json values = plain.json()["data"]["result"][0]["values"];
  ASSERT_EQ(values.size(), 50'000U);
  EXPECT_EQ(values[49'999][1], "4999.900000000001");
  const RawAnswer packed = h_.Get("/api/v1/query?query=long[100d]", "Accept-Encoding: gzip\r\n");
  std::string unpacked;
  ASSERT_TRUE(Decompress(ContentCoding::kGzip, packed.body, 1 << 26, unpacked).ok());
  EXPECT_EQ(unpacked, plain.body);
}

}  // namespace
}  // namespace basalt::http::api
