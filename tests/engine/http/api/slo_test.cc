// What /api/v1/slo answers below the list: burn, explain, audit, simulate and exclusions.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/http/api/slo_source.h"
#include "tests/engine/http/api/api_harness.h"

namespace basalt::http::api {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

slo::GroupView ShopGroup(Labels labels) {
  slo::GroupView group;
  group.labels = std::move(labels);
  group.as_of = FromMs(kNowMs - 1'500);
  group.windows = {{minutes(5), 30, 1000, 0.03, 30, true}, {hours(1), 0, 0, {}, {}, false}};
  return group;
}

slo::SloView Shop() {
  slo::SloView view;
  view.id = "shop-requests";
  view.groups = {ShopGroup({{"region", "eu"}})};
  view.conditions = {{slo::Severity::kPage, minutes(5), hours(1), "14.4", "0.0144", minutes(2)}};
  return view;
}

// Answers for one SLO, and remembers what it was asked.
class OneSlo final : public SloSource {
 public:
  [[nodiscard]] std::vector<slo::SloView> Slos(TenantId, size_t) const override { return {view}; }
  [[nodiscard]] std::optional<slo::SloView> Slo(TenantId, std::string_view id,
                                                size_t) const override {
    return id == view.id ? std::optional(view) : std::nullopt;
  }
  Result<std::optional<std::vector<slo::ExplainedGroup>>> Explain(TenantId, std::string_view id,
                                                                  Timestamp at) override {
    explained_at = at;
    if (!problem.ok()) return problem;
    if (id != view.id) return std::optional<std::vector<slo::ExplainedGroup>>();
    slo::ExplainedGroup group;
    group.labels = {{"region", "eu"}};
    group.as_of_ms = kNowMs - 15'000;
    group.conditions = {{slo::Severity::kPage,
                         {minutes(5), 30, 1000, 30},
                         {hours(1), 0, 0, {}},
                         "14.4",
                         "0.0144",
                         slo::Truth::kUndefined}};
    group.firing = {{slo::Severity::kTicket, true, kNowMs - 60'000}};
    return std::optional(std::vector{group});
  }
  slo::AuditView Audit(size_t slots) override {
    audited.push_back(slots);
    return {41 + slots, 7, 1, "shop-requests: differs"};
  }
  Result<slo::SimulationReport> Simulate(const SimulationRequest& request) override {
    if (!problem.ok()) return problem;
    simulated = request;
    return report;
  }
  [[nodiscard]] Result<std::vector<slo::Exclusion>> Exclusions() const override {
    return exclusions;
  }
  Result<slo::Exclusion> AddExclusion(slo::Exclusion exclusion) override {
    if (!problem.ok()) return problem;
    exclusion.id = "x" + std::to_string(exclusions.size() + 1);
    exclusion.created_ms = kNowMs;
    exclusions.push_back(exclusion);
    return exclusion;
  }
  Status RemoveExclusion(const std::string& id) override {
    const auto it = std::find_if(exclusions.begin(), exclusions.end(),
                                 [&](const slo::Exclusion& one) { return one.id == id; });
    if (it == exclusions.end()) return NotFound("no exclusion has the id \"" + id + "\"");
    it->removed_ms = kNowMs + 60'000;
    return OkStatus();
  }

  slo::SloView view = Shop();
  Status problem;
  Timestamp explained_at{};
  std::vector<size_t> audited;
  SimulationRequest simulated;
  slo::SimulationReport report;
  std::vector<slo::Exclusion> exclusions;
};

class SloApi : public ::testing::Test {
 protected:
  SloApi() {
    h_.context.slos = &slos_;
    RegisterApi(h_.context, h_.session.router());
  }
  void ExpectRefused(const RawAnswer& answer, const std::string& what, int status = 400) {
    EXPECT_EQ(answer.status, status) << answer.body;
    const nlohmann::json json = answer.json();
    EXPECT_EQ(json["status"], "error");
    EXPECT_NE(json["error"].get<std::string>().find(what), std::string::npos) << answer.body;
  }
  OneSlo slos_;
  ApiHarness h_;
};

constexpr const char* kWindows =
    R"j({"window":"5m","bad":30,"total":1000,"ratio":0.03,"burnRate":30,"exact":true},)j"
    R"j({"window":"1h","bad":0,"total":0,"ratio":null,"burnRate":null,"exact":false})j";

TEST_F(SloApi, BurnShowsWindowsAndTiersOfEachGroup) {
  EXPECT_EQ(
      h_.Get("/api/v1/slo/shop-requests/burn").body,
      std::string(R"j({"status":"success","data":{"id":"shop-requests","total":null,"groups":[)j") +
          R"j({"labels":{"region":"eu"},"asOf":"2023-11-14T22:13:18.5Z","windows":[)j" + kWindows +
          R"j(],"tiers":[{"severity":"page","factor":"14.4","threshold":"0.0144","for":"2m",)j" +
          R"j("short":{"window":"5m","bad":30,"total":1000,"ratio":0.03,"burnRate":30,"exact":true},)j" +
          R"j("long":{"window":"1h","bad":0,"total":0,"ratio":null,"burnRate":null,"exact":false}}]}]}})j");
}

TEST_F(SloApi, BurnOfOneWindowLeavesTheOthersOut) {
  slos_.view.total = ShopGroup({});
  const nlohmann::json data = h_.Get("/api/v1/slo/shop-requests/burn?window=60m").json()["data"];
  EXPECT_EQ(data["groups"][0]["windows"].size(), 1U);
  EXPECT_EQ(data["groups"][0]["windows"][0]["window"], "1h");
  EXPECT_EQ(data["groups"][0]["tiers"].size(), 1U);
  EXPECT_EQ(data["total"]["windows"].size(), 1U);
}

TEST_F(SloApi, BurnRefusesWhatItDoesNotKnow) {
  ExpectRefused(h_.Get("/api/v1/slo/shop-requests/burn?window=7m"),
                "\"window\": \"7m\" is no window of this SLO; it has 5m 1h");
  ExpectRefused(h_.Get("/api/v1/slo/shop-requests/burn?window=long"), "\"window\"");
  ExpectRefused(h_.Get("/api/v1/slo/shop-requests/burn?max_groups=many"), "\"max_groups\"");
  ExpectRefused(h_.Get("/api/v1/slo/other/burn"), "no SLO has the id \"other\"", 404);
}

TEST_F(SloApi, ExplainShowsTheNumbersBehindADecision) {
  EXPECT_EQ(
      h_.Get("/api/v1/slo/shop-requests/explain?at=1699999990").body,
      R"j({"status":"success","data":{"at":"2023-11-14T22:13:10Z","groups":[{"labels":{"region":"eu"},"isTotal":false,)j"
      R"j("asOf":"2023-11-14T22:13:05Z","tiers":[{"severity":"page","factor":"14.4","threshold":"0.0144",)j"
      R"j("short":{"window":"5m","bad":30,"total":1000,"burnRate":30},)j"
      R"j("long":{"window":"1h","bad":0,"total":0,"burnRate":null},"holds":"no events"}],)j"
      R"j("firing":[{"severity":"ticket","startsAt":"2023-11-14T22:12:20Z","frozen":true}]}]}})j");
  EXPECT_EQ(slos_.explained_at, FromMs(1'699'999'990'000));
  (void)h_.Get("/api/v1/slo/shop-requests/explain");
  EXPECT_EQ(slos_.explained_at, FromMs(kNowMs)) << "now, if no time is given";
}

TEST_F(SloApi, ExplainRefusesWhatItDoesNotKnow) {
  ExpectRefused(h_.Get("/api/v1/slo/shop-requests/explain?at=noon"), "\"at\"");
  ExpectRefused(h_.Get("/api/v1/slo/other/explain"), "no SLO has the id \"other\"", 404);
  slos_.problem = ResourceExhausted("a simulation runs: try again");
  const RawAnswer busy = h_.Get("/api/v1/slo/shop-requests/explain");
  EXPECT_GE(busy.status, 400);
  EXPECT_NE(busy.body.find("a simulation runs"), std::string::npos);
}

TEST_F(SloApi, AuditShowsWhatAuditsCameTo) {
  EXPECT_EQ(h_.Get("/api/v1/slo/audit").body,
            R"j({"status":"success","data":{"slots":41,"skipped":7,"mismatches":1,)j"
            R"j("lastMismatch":"shop-requests: differs"}})j");
  EXPECT_EQ(slos_.audited, std::vector<size_t>{0}) << "looking audits nothing";
}

TEST_F(SloApi, AnAuditIsOfOneSlotUnlessMoreAreAskedFor) {
  EXPECT_EQ(h_.Post("/api/v1/slo/audit", "").json()["data"]["slots"], 42);
  EXPECT_EQ(h_.Post("/api/v1/slo/audit", "slots=10000").json()["data"]["slots"], 10'041);
  EXPECT_EQ(slos_.audited, (std::vector<size_t>{1, 10'000}));
  ExpectRefused(h_.Post("/api/v1/slo/audit", "slots=10001"), "\"slots\"");
  ExpectRefused(h_.Post("/api/v1/slo/audit", "slots=some"), "\"slots\"");
  ExpectRefused(h_.Post("/api/v1/slo/audit", "slots=-1"), "\"slots\"");
  EXPECT_EQ(slos_.audited.size(), 2U);
}

TEST_F(SloApi, SimulateShowsWhatWouldHaveHappened) {
  slos_.report.slos = {{"shop-requests", 2, 31.5, 1000, 1}};
  slos_.report.alerts = {
      {"shop-requests", {{"region", "eu"}}, slo::Severity::kPage, 1000, 2000, false},
      {"shop-requests", {}, slo::Severity::kTicket, 3000, {}, true}};
  slos_.report.rounds = 5;
  EXPECT_EQ(
      h_.Post("/api/v1/slo/simulate",
              "slos=version%3A+x&from=1699990000&to=1700000000&inject=a&inject=b")
          .body,
      R"j({"status":"success","data":{"slos":[{"id":"shop-requests","groups":2,"bad":31.5,"total":1000,"budget":1}],)j"
      R"j("alerts":[{"slo":"shop-requests","group":{"region":"eu"},"severity":"page","heldBack":false,"startsMs":1000,"endsMs":2000},)j"
      R"j({"slo":"shop-requests","group":{},"severity":"ticket","heldBack":true,"startsMs":3000,"endsMs":null}],"rounds":5}})j");
  EXPECT_EQ(slos_.simulated.slos, "version: x");
  EXPECT_EQ(slos_.simulated.from, FromMs(1'699'990'000'000));
  EXPECT_EQ(slos_.simulated.to, FromMs(1'700'000'000'000));
  EXPECT_EQ(slos_.simulated.injections, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(slos_.simulated.sweeps.empty());
}

TEST_F(SloApi, SimulateShowsTheSettingsOfASweep) {
  slos_.report.slos = {{"shop-requests", 2, 0, 1000, 1, "factor=12"}};
  slos_.report.alerts = {
      {"shop-requests", {}, slo::Severity::kPage, 1000, 2000, false, "factor=12"}};
  EXPECT_EQ(
      h_.Post("/api/v1/slo/simulate",
              "slos=x&from=1&sweep=factor%3D10%3A20%3A2&sweep=for%3D0s%7C2m")
          .body,
      R"j({"status":"success","data":{"slos":[{"id":"shop-requests","setting":"factor=12","groups":2,"bad":0,"total":1000,"budget":1}],)j"
      R"j("alerts":[{"slo":"shop-requests","setting":"factor=12","group":{},"severity":"page","heldBack":false,"startsMs":1000,"endsMs":2000}],"rounds":0}})j");
  EXPECT_EQ(slos_.simulated.sweeps, (std::vector<std::string>{"factor=10:20:2", "for=0s|2m"}));
}

TEST_F(SloApi, SimulateNamesTheParameterThatIsWrong) {
  ExpectRefused(h_.Post("/api/v1/slo/simulate", "from=1699990000"), "\"slos\"");
  ExpectRefused(h_.Post("/api/v1/slo/simulate", "slos=x"), "\"from\"");
  ExpectRefused(h_.Post("/api/v1/slo/simulate", "slos=x&from=1699990000&to=later"), "\"to\"");
  slos_.problem = InvalidArgument("slos:3:1: objective: is missing");
  ExpectRefused(h_.Post("/api/v1/slo/simulate", "slos=x&from=1"),
                "slos:3:1: objective: is missing");
  slos_.problem = OkStatus();
  slos_.report.storage_errors = 1;
  slos_.report.last_storage_error = "a damaged block";
  ExpectRefused(h_.Post("/api/v1/slo/simulate", "slos=x&from=1"), "a damaged block", 503);
}

TEST_F(SloApi, ExclusionsAreAddedListedAndRemoved) {
  const std::string json =
      R"j({"id":"x1","slo":"shop-requests","group":{"region":"eu"},"from":"2023-11-14T22:00:00Z","to":"2023-11-14T22:10:00Z",)j"
      R"j("rrule":"FREQ=DAILY","zone":"Europe/Berlin","reason":"moving","author":"ada","ticket":"T-1",)j"
      R"j("createdAt":"2023-11-14T22:13:20Z","removedAt":)j";
  EXPECT_EQ(h_.Post("/api/v1/slo/exclusions",
                    "slo=shop-requests&group=region%3Deu&from=2023-11-14T22:00:00Z&to=1699999800"
                    "&rrule=FREQ%3DDAILY&zone=Europe/Berlin&reason=moving&author=ada&ticket=T-1")
                .body,
            R"j({"status":"success","data":)j" + json + "null}}");
  EXPECT_EQ(h_.Get("/api/v1/slo/exclusions").body,
            R"j({"status":"success","data":{"exclusions":[)j" + json + "null}]}}");
  EXPECT_EQ(h_.Ask("DELETE /api/v1/slo/exclusions/x1 HTTP/1.1\r\nHost: x\r\n\r\n").body,
            R"j({"status":"success","data":{}})j");
  EXPECT_EQ(
      h_.Get("/api/v1/slo/exclusions").body,
      R"j({"status":"success","data":{"exclusions":[)j" + json + R"j("2023-11-14T22:14:20Z"}]}})j")
      << "what was removed is remembered";
}

TEST_F(SloApi, ExclusionsNameTheParameterThatIsWrong) {
  const std::string times = "from=1699990000&to=1699999800";
  ExpectRefused(h_.Post("/api/v1/slo/exclusions", "to=1699999800"), "\"from\"");
  ExpectRefused(h_.Post("/api/v1/slo/exclusions", "from=1699990000"), "\"to\"");
  ExpectRefused(h_.Post("/api/v1/slo/exclusions", times + "&group=eu"), "\"group\": \"eu\"");
  ExpectRefused(h_.Post("/api/v1/slo/exclusions", times + "&group=1%3Deu"), "\"group\"");
  slos_.problem = InvalidArgument("rrule: FREQ is missing");
  ExpectRefused(h_.Post("/api/v1/slo/exclusions", times + "&rrule=BYDAY%3DSU"), "rrule: FREQ");
  ExpectRefused(h_.Ask("DELETE /api/v1/slo/exclusions/x9 HTTP/1.1\r\nHost: x\r\n\r\n"), "\"x9\"",
                404);
}

TEST(SloApiWithoutSlos, SaysThatNoSloIsEvaluated) {
  ApiHarness h;
  RegisterApi(h.context, h.session.router());
  EXPECT_EQ(h.Get("/api/v1/slo/exclusions").body,
            R"j({"status":"success","data":{"exclusions":[]}})j");
  EXPECT_EQ(h.Post("/api/v1/slo/simulate", "slos=x&from=1").status, 503);
  EXPECT_EQ(h.Post("/api/v1/slo/exclusions", "from=1&to=2").status, 503);
  EXPECT_EQ(h.Get("/api/v1/slo/any/burn").status, 404);
  EXPECT_EQ(h.Get("/api/v1/slo/any/explain").status, 404);
  EXPECT_EQ(h.Post("/api/v1/slo/audit", "").json()["data"]["slots"], 0);
}

}  // namespace
}  // namespace basalt::http::api
