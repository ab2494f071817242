// Endpoints that need no query engine, and the transport rules that Grafana relies on. Requests are
// raw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/base/compress.h"
#include "engine/http/api/endpoint.h"
#include "storage/store.h"
#include "tests/engine/http/api/api_harness.h"

namespace basalt::http::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class StaticAlerts final : public AlertsView {
 public:
  [[nodiscard]] std::vector<RuleGroupView> RuleGroups(TenantId) const override { return groups; }
  std::vector<RuleGroupView> groups;
};

class RecordingWriter final : public WriteHandler {
 public:
  void Write(WriteRequest request, WriteDone done) override {
    tenant = request.tenant;
    encoding = request.headers.Get("Content-Encoding");
    body = request.body.view();
    pending = std::move(done);
  }
  TenantId tenant{99};
  std::string encoding;
  std::string body;
  WriteDone pending;
};

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    h_.reader.Series({{"__name__", "up"}, {"job", "a"}, {"instance", "x:1"}}).At(kNowMs - 1000, 1);
    h_.reader.Series({{"__name__", "up"}, {"job", "b"}})
        .At(kNowMs - 1000, 0)
        .ExemplarAt(kNowMs - 500, 1.5, {{"trace_id", "t"}});
    h_.reader.Series({{"__name__", "http.requests"}, {"http.status", "200"}, {"job", "a"}})
        .At(kNowMs - 1000, 5);
    h_.reader.Series({{"__name__", "secret"}}, TenantId(7)).At(kNowMs - 1000, 5);
    h_.reader.AddMetadata({"up", storage::MetricType::kGauge, "", "Is it up?"});
    h_.reader.AddMetadata(
        {"http_requests_total", storage::MetricType::kCounter, "requests", "All \"requests\"."});
  }
  // Everything but the queries, which need the engine.
  void Register() {
    const auto shared = std::make_shared<const ApiContext>(h_.context);
    RegisterLabels(shared, h_.session.router());
    RegisterExemplars(shared, h_.session.router());
    RegisterMetadata(shared, h_.session.router());
    RegisterExpressions(shared, h_.session.router());
    RegisterRules(shared, h_.session.router());
    RegisterStatus(shared, h_.session.router());
    RegisterAdmin(shared, h_.session.router());
    RegisterWrites(shared, h_.session.router());
  }
  ApiHarness h_;
};

TEST_F(ApiTest, ListsLabelNames) {
  Register();
  const RawAnswer answer = h_.Get("/api/v1/labels");
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(answer.body,
            R"({"status":"success","data":["__name__","http.status","instance","job"]})");
  EXPECT_EQ(h_.Get("/api/v1/labels?match[]=up").body,
            R"({"status":"success","data":["__name__","instance","job"]})");
  EXPECT_EQ(
      h_.Get("/api/v1/labels?limit=2").body,
      R"({"status":"success","data":["__name__","http.status"],"warnings":["results truncated due to limit"]})");
  EXPECT_EQ(h_.Get("/api/v1/labels?limit=4").json().contains("warnings"), false);
  EXPECT_EQ(h_.Get("/api/v1/labels?match[]=nothing").body, R"({"status":"success","data":[]})");
}

TEST_F(ApiTest, TellsTenantsApart) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/label/__name__/values", "X-Scope-OrgID: 7\r\n").body,
            R"({"status":"success","data":["secret"]})");
  EXPECT_THAT(h_.Get("/api/v1/label/__name__/values").body, Not(HasSubstr("secret")));
  const RawAnswer bad = h_.Get("/api/v1/labels", "X-Scope-OrgID: me\r\n");
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("X-Scope-OrgID"));
}

TEST_F(ApiTest, ListsLabelValuesUnderAnyName) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/label/job/values").body, R"({"status":"success","data":["a","b"]})");
  EXPECT_EQ(h_.Get("/api/v1/label/U__http_2e_status/values").body,
            R"({"status":"success","data":["200"]})");
  EXPECT_EQ(h_.Get("/api/v1/label/http.status/values").body,
            R"({"status":"success","data":["200"]})");
  EXPECT_EQ(h_.Get("/api/v1/label/__name__/values?match[]=%7B__name__%3D~%22up.*%22%7D").body,
            R"({"status":"success","data":["up"]})");
  EXPECT_EQ(h_.Get("/api/v1/label/none/values").body, R"({"status":"success","data":[]})");
  const RawAnswer bad = h_.Get("/api/v1/label/%ff/values");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.body,
            R"({"status":"error","errorType":"bad_data","error":"invalid label name: \"\\xff\""})");
}

TEST_F(ApiTest, ListsSeries) {
  Register();
  EXPECT_EQ(
      h_.Get("/api/v1/series?match[]=up").body,
      R"({"status":"success","data":[{"__name__":"up","instance":"x:1","job":"a"},{"__name__":"up","job":"b"}]})");
  EXPECT_EQ(h_.Post("/api/v1/series", "match%5B%5D=up%7Bjob%3D%22b%22%7D&match%5B%5D=nothing").body,
            R"({"status":"success","data":[{"__name__":"up","job":"b"}]})");
  EXPECT_THAT(h_.Get("/api/v1/series?match[]=%7B__name__!%3D%22%22%7D&limit=1").body,
              HasSubstr(R"("warnings":["results truncated due to limit"])"));
}

struct ErrorCase {
  std::string target;
  std::string error;
};
class Refuses : public ApiTest, public ::testing::WithParamInterface<ErrorCase> {};
TEST_P(Refuses, InUpstreamsWordsByGetAndByPost) {
  Register();
  const auto expect = [](const RawAnswer& answer) {
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json"));
    EXPECT_EQ(answer.json(),
              (nlohmann::json{
                  {"status", "error"}, {"errorType", "bad_data"}, {"error", GetParam().error}}));
  };
  expect(h_.Get(GetParam().target));
  const size_t question = GetParam().target.find('?');
  const std::string path = GetParam().target.substr(0, question);
  if (path.find("/label/") == std::string::npos && path.find("/rules") == std::string::npos &&
      path.find("/metadata") == std::string::npos && path.find("/status") == std::string::npos) {
    expect(
        h_.Post(path, question == std::string::npos ? "" : GetParam().target.substr(question + 1)));
  }
}
INSTANTIATE_TEST_SUITE_P(
    Table, Refuses,
    ::testing::Values(
        ErrorCase{"/api/v1/labels?limit=x",
                  R"(invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax)"},
        ErrorCase{"/api/v1/labels?limit=-1",
                  R"(invalid parameter "limit": limit must be non-negative)"},
        ErrorCase{
            "/api/v1/labels?start=x",
            R"(invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp)"},
        ErrorCase{
            "/api/v1/labels?end=x&start=1",
            R"(invalid parameter "end": invalid time value for 'end': cannot parse "x" to a valid timestamp)"},
        ErrorCase{"/api/v1/labels?limit=x&start=x",
                  R"(invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax)"},
        ErrorCase{"/api/v1/labels?match[]=up%7B",
                  "1:4: parse error: unexpected end of input inside braces"},
        ErrorCase{"/api/v1/labels?match[]=%7B%7D",
                  "match[] must contain at least one non-empty matcher"},
        ErrorCase{"/api/v1/label/job/values?match[]=%7Bx%3D%22%22%7D",
                  "match[] must contain at least one non-empty matcher"},
        ErrorCase{"/api/v1/label/job/values?limit=1.5",
                  R"(invalid parameter "limit": strconv.Atoi: parsing "1.5": invalid syntax)"},
        ErrorCase{"/api/v1/series", "no match[] parameter provided"},
        ErrorCase{
            "/api/v1/series?match[]=%7Bx%3D~%22.*%22%7D",
            R"(invalid parameter "match[]": match[] must contain at least one non-empty matcher)"},
        ErrorCase{
            "/api/v1/series?match[]=up&match[]=up%7B",
            R"(invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces)"},
        ErrorCase{"/api/v1/series?match[]=up&x=%zz",
                  R"(error parsing form values: invalid URL escape "%zz")"},
        ErrorCase{"/api/v1/query_exemplars?query=up&start=5&end=4",
                  "end timestamp must not be before start timestamp"},
        ErrorCase{"/api/v1/query_exemplars?query=up%7B",
                  "1:4: parse error: unexpected end of input inside braces"},
        ErrorCase{"/api/v1/format_query?query=1%2B",
                  R"(invalid parameter "query": 1:3: parse error: unexpected end of input)"},
        ErrorCase{
            "/api/v1/format_query",
            R"(invalid parameter "query": unknown position: parse error: no expression found in input)"},
        ErrorCase{"/api/v1/parse_query?query=(",
                  R"(invalid parameter "query": 1:2: parse error: unclosed left parenthesis)"},
        ErrorCase{"/api/v1/metadata?limit=x", "limit must be a number"},
        ErrorCase{"/api/v1/metadata?limit_per_metric=x", "limit_per_metric must be a number"},
        ErrorCase{"/api/v1/status/tsdb?limit=0", "limit must be a positive number"},
        ErrorCase{"/api/v1/status/tsdb?limit=10001", "limit must not exceed 10000"},
        ErrorCase{"/api/v1/status/tsdb?date=today",
                  "invalid parameter \"date\": cannot parse \"today\" as YYYY-MM-DD"},
        ErrorCase{"/api/v1/rules?type=x", R"(invalid parameter "type": not supported value "x")"},
        ErrorCase{"/api/v1/rules?group_limit=0",
                  R"(invalid parameter "group_limit": group_limit needs to be greater than 0)"},
        ErrorCase{
            "/api/v1/rules?group_next_token=x",
            R"(invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups)"},
        ErrorCase{
            "/api/v1/rules?exclude_alerts=maybe",
            R"(invalid parameter "exclude_alerts": error converting exclude_alerts: strconv.ParseBool: parsing "maybe": invalid syntax)"}));

TEST_F(ApiTest, ListsExemplarsWithSeriesLabelsFirst) {
  Register();
  EXPECT_EQ(
      h_.Post("/api/v1/query_exemplars", "query=rate(up[5m])&start=1699999000&end=1700000000").body,
      R"({"status":"success","data":[{"seriesLabels":{"__name__":"up","job":"b"},)"
      R"("exemplars":[{"labels":{"trace_id":"t"},"value":"1.5","timestamp":1699999999.500}]}]})");
  // Grafana's probe sends milliseconds where seconds are meant.
  EXPECT_EQ(
      h_.Post("/api/v1/query_exemplars", "query=test&start=1795387126474&end=1795388926475").body,
      R"({"status":"success","data":[]})");
  EXPECT_EQ(h_.Get("/api/v1/query_exemplars?query=1").status, 204);
}

TEST_F(ApiTest, ListsMetadata) {
  Register();
  EXPECT_EQ(
      h_.Get("/api/v1/metadata?limit=40000").body,
      R"({"status":"success","data":{"http_requests_total":[{"type":"counter","unit":"requests","help":"All \"requests\"."}],)"
      R"("up":[{"type":"gauge","unit":"","help":"Is it up?"}]}})");
  EXPECT_EQ(h_.Get("/api/v1/metadata?metric=up").json()["data"].size(), 1U);
  EXPECT_EQ(h_.Get("/api/v1/metadata?limit=1").json()["data"].size(), 1U);
  EXPECT_EQ(h_.Get("/api/v1/metadata?limit=0").json()["data"].size(), 0U);
  EXPECT_EQ(h_.Get("/api/v1/metadata?limit=-1&limit_per_metric=0").json()["data"].size(), 2U);
}

TEST_F(ApiTest, FormatsAndParsesExpressions) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/format_query?query=foo%2Fbar").body,
            R"({"status":"success","data":"foo / bar"})");
  EXPECT_EQ(
      h_.Get("/api/v1/parse_query?query=foo%2Fbar").body,
      R"({"status":"success","data":{"bool":false,"lhs":{"anchored":false,"matchers":[{"name":"__name__","type":"=",)"
      R"("value":"foo"}],"name":"foo","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,)"
      R"("type":"vectorSelector"},"matching":{"card":"one-to-one","fillValues":{"lhs":null,"rhs":null},"include":[],)"
      R"("labels":[],"on":false},"op":"/","rhs":{"anchored":false,"matchers":[{"name":"__name__","type":"=",)"
      R"("value":"bar"}],"name":"bar","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,)"
      R"("type":"vectorSelector"},"type":"binaryExpr"}})");
  const nlohmann::json tree =
      h_.Post("/api/v1/parse_query", "query=sum by (a) (rate(x[5m] offset 1m @ 10))[1h:1m] @ end()")
          .json()["data"];
  EXPECT_EQ(tree["type"], "subquery");
  EXPECT_EQ(tree["range"], 3'600'000);
  EXPECT_EQ(tree["step"], 60'000);
  EXPECT_EQ(tree["startOrEnd"], "end");
  EXPECT_EQ(tree["expr"]["grouping"], nlohmann::json::array({"a"}));
  const nlohmann::json& call = tree["expr"]["expr"]["type"] == "parenExpr"
                                   ? tree["expr"]["expr"]["expr"]
                                   : tree["expr"]["expr"];
  EXPECT_EQ(
      call["func"],
      (nlohmann::json{
          {"argTypes", {"matrix"}}, {"name", "rate"}, {"returnType", "vector"}, {"variadic", 0}}));
  EXPECT_EQ(call["args"][0]["type"], "matrixSelector");
  EXPECT_EQ(call["args"][0]["offset"], 60'000);
  EXPECT_EQ(call["args"][0]["timestamp"], 10'000);
}

TEST_F(ApiTest, DescribesItselfAsAPrometheusThatGrafanaKnows) {
  h_.context.build = {"0.1.0", "abc", "main", "today"};
  h_.context.flags = {{"http.listen", "127.0.0.1:7480"}, {"storage.retention", "0"}};
  h_.context.data_directory = "/data";
  h_.context.started = FromMs(kNowMs - 60'000);
  h_.context.alertmanagers = [] {
    return std::vector<std::string>{"http://am:9093/api/v2/alerts"};
  };
  Register();
  EXPECT_EQ(
      h_.Get("/api/v1/status/buildinfo").body,
      R"({"status":"success","data":{"version":"3.5.0","revision":"abc","branch":"main","buildUser":"","buildDate":"today",)"
      R"("goVersion":"","application":"basalt","basaltVersion":"0.1.0"}})");
  EXPECT_EQ(
      h_.Get("/api/v1/status/flags").body,
      R"({"status":"success","data":{"http.listen":"127.0.0.1:7480","storage.retention":"0"}})");
  const nlohmann::json runtime = h_.Get("/api/v1/status/runtimeinfo").json()["data"];
  EXPECT_EQ(runtime["startTime"], "2023-11-14T22:12:20Z");
  EXPECT_EQ(runtime["serverTime"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(runtime["storageRetention"], "unlimited");
  EXPECT_EQ(h_.Get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"][0]["url"],
            "http://am:9093/api/v2/alerts");
  EXPECT_EQ(h_.Get("/api/v1/targets").json()["data"]["activeTargets"].size(), 0U);
}

TEST_F(ApiTest, CountsCardinality) {
  Register();
  const nlohmann::json data = h_.Get("/api/v1/status/tsdb?limit=2").json()["data"];
  EXPECT_EQ(data["headStats"]["numSeries"], 3);
  EXPECT_EQ(
      data["seriesCountByMetricName"],
      (nlohmann::json{{{"name", "up"}, {"value", 2}}, {{"name", "http.requests"}, {"value", 1}}}));
  EXPECT_EQ(
      data["labelValueCountByLabelName"],
      (nlohmann::json{{{"name", "__name__"}, {"value", 2}}, {{"name", "job"}, {"value", 2}}}));
  EXPECT_EQ(data["seriesCountByLabelValuePair"][0],
            (nlohmann::json{{"name", "__name__=up"}, {"value", 2}}));
  // As VictoriaMetrics has it: one day, and some of the series.
  const nlohmann::json none = h_.Get("/api/v1/status/tsdb?date=2001-02-03").json()["data"];
  EXPECT_EQ(none["headStats"]["numSeries"], 0);
  const nlohmann::json some = h_.Get("/api/v1/status/tsdb?match[]=up").json()["data"];
  EXPECT_EQ(some["headStats"]["numSeries"], 2);
}

TEST_F(ApiTest, ListsNoRulesWithoutAView) {
  Register();
  EXPECT_EQ(h_.Get("/api/v1/rules").body, R"({"status":"success","data":{"groups":[]}})");
  EXPECT_EQ(h_.Get("/api/v1/alerts").body, R"({"status":"success","data":{"alerts":[]}})");
}

RuleGroupView Group(std::string name) {
  RuleView alerting;
  alerting.alerting = true;
  alerting.name = "Burning";
  alerting.query = "burn > 14.4";
  alerting.labels = {{"severity", "page"}};
  alerting.annotations = {{"summary", "it burns"}};
  alerting.hold = std::chrono::seconds(90);
  alerting.state = AlertState::kFiring;
  alerting.last_evaluation = FromMs(kNowMs);
  alerting.evaluation_time = std::chrono::microseconds(250);
  AlertView alert;
  alert.labels = {{"alertname", "Burning"}};
  alert.state = AlertState::kFiring;
  alert.active_at = FromMs(kNowMs - 500);
  alert.value = 20;
  alerting.alerts = {alert};
  RuleView recording;
  recording.name = "job:up:sum";
  recording.query = "sum by (job) (up)";
  recording.last_evaluation = FromMs(kNowMs);
  RuleGroupView group;
  group.name = std::move(name);
  group.file = "slo.yml";
  group.interval = std::chrono::seconds(15);
  group.last_evaluation = FromMs(kNowMs);
  group.rules = {alerting, recording};
  return group;
}

TEST_F(ApiTest, ShowsRulesAndAlerts) {
  StaticAlerts view;
  view.groups = {Group("one")};
  h_.context.alerts = &view;
  Register();
  EXPECT_EQ(
      h_.Get("/api/v1/rules").body,
      R"j({"status":"success","data":{"groups":[{"name":"one","file":"slo.yml","rules":[{"state":"firing","name":"Burning",)j"
      R"j("query":"burn > 14.4","duration":90,"keepFiringFor":0,"labels":{"severity":"page"},)j"
      R"j("annotations":{"summary":"it burns"},"alerts":[{"labels":{"alertname":"Burning"},"annotations":{},)j"
      R"j("state":"firing","activeAt":"2023-11-14T22:13:19.5Z","value":"2e+01"}],"health":"ok","evaluationTime":0.00025,)j"
      R"j("lastEvaluation":"2023-11-14T22:13:20Z","type":"alerting"},{"name":"job:up:sum","query":"sum by (job) (up)",)j"
      R"j("labels":{},"health":"ok","evaluationTime":0,"lastEvaluation":"2023-11-14T22:13:20Z","type":"recording"}],)j"
      R"j("interval":15,"limit":0,"evaluationTime":0,"lastEvaluation":"2023-11-14T22:13:20Z"}]}})j");
  EXPECT_EQ(h_.Get("/api/v1/alerts").json()["data"]["alerts"].size(), 1U);
}

TEST_F(ApiTest, FiltersAndPagesRules) {
  StaticAlerts view;
  view.groups = {Group("one"), Group("two"), Group("three")};
  h_.context.alerts = &view;
  Register();
  const auto groups = [this](const std::string& query) {
    return h_.Get("/api/v1/rules?" + query).json()["data"];
  };
  EXPECT_EQ(groups("rule_group[]=two")["groups"].size(), 1U);
  EXPECT_EQ(groups("file[]=none")["groups"].size(), 0U);
  EXPECT_EQ(groups("type=record")["groups"][0]["rules"].size(), 1U);
  EXPECT_EQ(groups("rule_name[]=Burning")["groups"][0]["rules"][0]["type"], "alerting");
  EXPECT_EQ(groups("exclude_alerts=true")["groups"][0]["rules"][0]["alerts"], nullptr);
  EXPECT_EQ(groups("match[]=%7Bseverity%3D~%22p.*%22%7D")["groups"][0]["rules"].size(), 1U);

  const nlohmann::json first = groups("group_limit=2");
  ASSERT_EQ(first["groups"].size(), 2U);
  const nlohmann::json rest =
      groups("group_limit=2&group_next_token=" + first["groupNextToken"].get<std::string>());
  ASSERT_EQ(rest["groups"].size(), 1U);
  EXPECT_EQ(rest["groups"][0]["name"], "three");
  EXPECT_FALSE(rest.contains("groupNextToken"));
  EXPECT_EQ(h_.Get("/api/v1/rules?group_limit=2&group_next_token=gone").status, 400);
}

TEST_F(ApiTest, AnswersTheOperator) {
  int reloads = 0;
  h_.context.reload = [&reloads] {
    return ++reloads == 1 ? OkStatus() : InvalidArgument("line 3");
  };
  h_.context.settle = [] { return OkStatus(); };
  h_.session.registry.AddCounter("basalt_test_total", "A test.").Add(3);
  Register();
  EXPECT_EQ(h_.Get("/-/healthy").body, "Basalt is Healthy.\n");
  EXPECT_EQ(h_.Get("/-/ready").body, "Basalt is Ready.\n");
  EXPECT_EQ(h_.Get("/-/reload").status, 405);
  EXPECT_EQ(h_.Post("/-/reload", "").status, 200);
  const RawAnswer failed = h_.Post("/-/reload", "");
  EXPECT_EQ(failed.status, 500);
  EXPECT_THAT(failed.body, HasSubstr("line 3"));
  EXPECT_EQ(h_.Post("/-/settle", "").status, 200);
  const RawAnswer metrics = h_.Get("/metrics");
  EXPECT_THAT(metrics.head, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("basalt_test_total 3"));
}

TEST_F(ApiTest, AnswersUnavailableUntilItIsReady) {
  Status state = Unavailable("replaying the log");
  h_.context.ready = [&state] { return state; };
  RecordingWriter writer;
  h_.context.writes = {{"/api/v1/write", &writer, 1000}};
  Register();
  EXPECT_EQ(h_.Get("/-/healthy").status, 200);
  EXPECT_EQ(h_.Get("/-/ready").status, 503);
  EXPECT_EQ(h_.Post("/api/v1/write", "x").status, 503);
  const RawAnswer answer = h_.Get("/api/v1/labels");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body,
            R"({"status":"error","errorType":"unavailable","error":"replaying the log"})");
  state = OkStatus();
  EXPECT_EQ(h_.Get("/-/ready").status, 200);
  EXPECT_EQ(h_.Get("/api/v1/labels").status, 200);
}

TEST_F(ApiTest, HandsAWriteOnAndAnswersWhenItIsDone) {
  RecordingWriter writer;
  h_.context.writes = {{"/api/v1/write", &writer, 1000}};
  Register();
  EXPECT_EQ(h_.Ask("POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Encoding: "
                   "snappy\r\nX-Scope-OrgID: 5\r\n"
                   "Content-Length: 3\r\n\r\n\x01\x02\x03")
                .head,
            "");
  EXPECT_EQ(writer.tenant, TenantId(5));
  EXPECT_EQ(writer.encoding, "snappy");
  EXPECT_EQ(writer.body, "\x01\x02\x03");
  Response done;
  done.status = 204;
  done.headers.emplace_back("X-Prometheus-Remote-Write-Samples-Written", "12");
  writer.pending(done);
  h_.session.Run();
  EXPECT_THAT(h_.session.Heard(),
              ::testing::AllOf(StartsWith("HTTP/1.1 204 No Content\r\n"),
                               HasSubstr("X-Prometheus-Remote-Write-Samples-Written: 12\r\n"),
                               Not(HasSubstr("Content-Length"))));
  EXPECT_EQ(h_.Post("/api/v1/write", std::string(1001, 'x')).status, 413);
}

TEST_F(ApiTest, AnswersFiveHundredWhenAWriteIsForgotten) {
  RecordingWriter writer;
  h_.context.writes = {{"/api/v1/write", &writer, 1000}};
  Register();
  h_.Post("/api/v1/write", "x");
  writer.pending = nullptr;
  h_.session.Run();
  EXPECT_THAT(h_.session.Heard(), StartsWith("HTTP/1.1 500 "));
}

// Grafana's transport rules, by their numbers in the research page on it.
TEST_F(ApiTest, GrafanaT1ReadsBodyAndUrlTogetherBodyFirst) {
  Register();
  EXPECT_EQ(h_.Post("/api/v1/series?match%5B%5D=up%7Bjob%3D%22b%22%7D&limit=5",
                    "match%5B%5D=http.requests&limit=9", "Accept-Encoding: gzip\r\n")
                .status,
            400)
      << "a dot needs quotes";
  EXPECT_EQ(h_.Post("/api/v1/series?match%5B%5D=up%7Bjob%3D%22b%22%7D&limit=1",
                    "match%5B%5D=up%7Bjob%3D%22a%22%7D&limit=9")
                .json()["data"]
                .size(),
            2U);
  // An empty body and everything in the URL.
  EXPECT_EQ(h_.Post("/api/v1/labels?limit=1", "").json()["data"].size(), 1U);
  // A body that is no form is not one.
  EXPECT_EQ(h_.Ask("POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Type: "
                   "text/plain\r\nContent-Length: 7\r\n\r\nlimit=1")
                .json()["data"]
                .size(),
            4U);
}

TEST_F(ApiTest, GrafanaT2AnswersPostToGetOnlyPathsWith405) {
  Register();
  for (const char* path :
       {"/api/v1/label/job/values", "/api/v1/metadata", "/api/v1/rules", "/api/v1/alerts",
        "/api/v1/targets", "/api/v1/status/buildinfo", "/api/v1/status/flags"}) {
    const RawAnswer answer = h_.Post(path, "limit=1");
    EXPECT_EQ(answer.status, 405) << path;
    EXPECT_THAT(answer.head, HasSubstr("Allow: GET, HEAD, OPTIONS"));
    EXPECT_EQ(h_.Get(path).status, 200) << path;
  }
}

TEST_F(ApiTest, GrafanaT3AnswersTheSameErrorToPostAndGet) {
  Register();
  EXPECT_EQ(h_.Post("/api/v1/labels", "match[]=up{").body,
            h_.Get("/api/v1/labels?match[]=up%7B").body);
}

TEST_F(ApiTest, GrafanaT4SaysPageNotFound) {
  Register();
  for (const char* path :
       {"/api/v1/rules/abc", "/config/v1/rules", "/api/v1/search/metric_names", "/suggestions"}) {
    const RawAnswer answer = h_.Get(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_THAT(answer.head, HasSubstr("Content-Type: text/plain"));
    EXPECT_THAT(answer.body, HasSubstr("page not found"));
  }
}

TEST_F(ApiTest, GrafanaT5LivesUnderAPrefix) {
  h_.session.options().path_prefix = "/metrics-store";
  Register();
  EXPECT_EQ(h_.Post("/metrics-store/api/v1/labels", "").status, 200);
}

TEST_F(ApiTest, GrafanaItems6To9AreAnsweredAsTheyAreSent) {
  Register();
  EXPECT_EQ(h_.Post("/api/v1/labels", "limit=40000&start=1699990000&end=1700000040",
                    "Accept-Encoding: gzip\r\n")
                .status,
            200);
  EXPECT_EQ(
      h_.Post("/api/v1/labels",
              "limit=0&start=1699990000&end=1700000040&match%5B%5D=%7B__name__%3D~%22up%22%7D")
          .json()["data"]
          .size(),
      3U);
  EXPECT_EQ(h_.Get("/api/v1/label/__name__/"
                   "values?limit=40000&start=2023-11-14T22:00:00.000Z&end=2023-11-14T22:14:00.000Z")
                .json()["data"]
                .size(),
            2U);
  EXPECT_EQ(h_.Post("/api/v1/series", "match%5B%5D=%7B__name__%21%3D%22%22%7D&limit=40000")
                .json()["data"]
                .size(),
            3U);
}

TEST_F(ApiTest, CompressesALongListThatItStreams) {
  for (int i = 0; i < 10'000; ++i)
    h_.reader.Series({{"__name__", "m"}, {"i", std::to_string(i)}}).At(kNowMs, 1);
  Register();
  const RawAnswer plain = h_.Get("/api/v1/series?match[]=m");
  EXPECT_THAT(plain.head, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_EQ(plain.json()["data"].size(), 10'000U);
  const RawAnswer packed = h_.Get("/api/v1/series?match[]=m", "Accept-Encoding: gzip\r\n");
  EXPECT_THAT(packed.head, HasSubstr("Content-Encoding: gzip"));
  std::string unpacked;
  ASSERT_TRUE(Decompress(ContentCoding::kGzip, packed.body, 1 << 24, unpacked).ok());
  EXPECT_EQ(unpacked, plain.body);
}

TEST_F(ApiTest, ShowsTheReadersWarningsOnlyUpToABound) {
  for (int i = 0; i < 12; ++i) h_.reader.AddWarning("block " + std::to_string(i) + " is damaged");
  Register();
  const nlohmann::json warnings = h_.Get("/api/v1/labels").json()["warnings"];
  ASSERT_EQ(warnings.size(), 11U);
  EXPECT_EQ(warnings[10], "2 more warning annotations omitted");
}

}  // namespace
}  // namespace basalt::http::api
