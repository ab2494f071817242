// What became of alerts, over the API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "engine/actionability/journal.h"
#include "tests/engine/http/api/api_harness.h"

namespace basalt::http::api {
namespace {

using ::testing::HasSubstr;

class SloAlerts : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ =
        std::filesystem::path(::testing::TempDir()) / ("slo_alerts_" + std::to_string(::getpid()));
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    actionability::JournalOptions options;
    options.directory = dir_;
    options.clock = &h_.session.clock;
    auto journal = actionability::Journal::Open(options);
    ASSERT_TRUE(journal.ok()) << journal.status().ToString();
    journal_ = std::move(journal).value();
    h_.context.journal = [this] { return journal_.get(); };
    h_.context.delivery = [this] { return std::optional(stats_); };
    RegisterApi(h_.context, h_.session.router());
    alert_.identity = Labels{{"alertname", "Down"}, {"sloth_id", "shop-up"}};
    alert_.labels = Labels{{"team", "payments"}};
    alert_.starts_at = h_.session.clock.Now();
    alert_.urgent = true;
    journal_->OnPublished({&alert_, 1}, alert_.starts_at);
  }
  void TearDown() override {
    journal_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::string ErrorOf(const RawAnswer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.body;
    return answer.json().value("error", "");
  }

  std::filesystem::path dir_;
  ApiHarness h_;
  std::unique_ptr<actionability::Journal> journal_;
  notify::OutboxStats stats_;
  notify::Alert alert_;
};

TEST_F(SloAlerts, AreListedAndFoundByIdAndFingerprint) {
  const auto all = h_.Get("/api/v1/slo/alerts?team=payments&severity=page&state=firing").json();
  ASSERT_EQ(all["data"]["alerts"].size(), 1U);
  const auto one = all["data"]["alerts"][0];
  EXPECT_EQ(one["slo"], "shop-up");
  EXPECT_EQ(one["state"], "firing");
  EXPECT_EQ(one["feedback"], nullptr);
  for (const char* key : {"id", "fingerprint", "alertmanagerFingerprint"}) {
    const std::string name = one[key];
    EXPECT_EQ(h_.Get("/api/v1/slo/alerts/" + name).json()["data"], one) << key;
  }
  EXPECT_EQ(h_.Get("/api/v1/slo/alerts?team=x").json()["data"]["alerts"].size(), 0U);
}

TEST_F(SloAlerts, AreAcknowledgedAndJudged) {
  EXPECT_EQ(h_.Post("/api/v1/slo/alerts/1/acknowledge", "by=ann").json()["data"]["acknowledgedBy"],
            "ann");
  const auto judged = h_.Post("/api/v1/slo/alerts/1/feedback",
                              "actionable=self_healed&minutes=7.5&by=bob&note=a%20deploy")
                          .json()["data"]["feedback"];
  EXPECT_EQ(judged["actionable"], "self_healed");
  EXPECT_EQ(judged["minutes"], 7.5);
  EXPECT_EQ(judged["note"], "a deploy");
}

TEST_F(SloAlerts, AreAcknowledgedByAlertmanagersWebhook) {
  const std::string body =
      R"({"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Down","sloth_id":"shop-up","x":"y"}}]})";
  const auto answer = h_.Ask(
      "POST /api/v1/slo/alerts/webhook?by=ops HTTP/1.1\r\nHost: x\r\nContent-Type: "
      "application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(answer.json()["data"], nlohmann::json({{"alerts", 1}, {"acknowledged", 1}}));
  EXPECT_EQ(h_.Get("/api/v1/slo/alerts/1").json()["data"]["acknowledgedBy"], "ops");
}

TEST_F(SloAlerts, WrongRequestsNameWhatIsWrong) {
  EXPECT_THAT(ErrorOf(h_.Get("/api/v1/slo/alerts?severity=warn"), 400),
              HasSubstr("\"severity\": \"warn\" is neither page nor ticket"));
  EXPECT_THAT(ErrorOf(h_.Get("/api/v1/slo/alerts?from=x"), 400), HasSubstr("\"from\""));
  EXPECT_THAT(ErrorOf(h_.Get("/api/v1/slo/alerts/99"), 404), HasSubstr("known as \"99\""));
  EXPECT_THAT(ErrorOf(h_.Post("/api/v1/slo/alerts/99/acknowledge", "by=a"), 404),
              HasSubstr("known as \"99\""));
  EXPECT_THAT(ErrorOf(h_.Post("/api/v1/slo/alerts/1/feedback", ""), 400),
              HasSubstr("\"actionable\": \"\" is none of yes, no, self_healed, vendor"));
  EXPECT_THAT(ErrorOf(h_.Post("/api/v1/slo/alerts/1/feedback", "actionable=yes&minutes=-1"), 400),
              HasSubstr("minutes: must be 0 to 100000"));
  EXPECT_THAT(ErrorOf(h_.Post("/api/v1/slo/alerts/webhook", "a=b"), 400), HasSubstr("JSON"));
  EXPECT_THAT(ErrorOf(h_.Get("/api/v1/slo/alerts/report?month=2026-13"), 400),
              HasSubstr("\"2026-13\" is no month such as 2026-11"));
  EXPECT_THAT(ErrorOf(h_.Get("/api/v1/slo/alerts/report?from=5&to=5"), 400),
              HasSubstr("is not after from"));
}

TEST_F(SloAlerts, AMonthIsReportedByTeam) {
  const auto report = h_.Get("/api/v1/slo/alerts/report").json()["data"];
  ASSERT_EQ(report["teams"].size(), 1U);
  EXPECT_EQ(report["teams"][0]["team"], "payments");
  EXPECT_EQ(report["teams"][0]["pages"], 1);
  EXPECT_EQ(report["teams"][0]["actionableShare"], nullptr);
  EXPECT_EQ(report["teams"][0]["pagesBySlo"]["shop-up"], 1);
  const RawAnswer markdown = h_.Get("/api/v1/slo/alerts/report?format=md");
  EXPECT_THAT(markdown.head, HasSubstr("text/markdown"));
  EXPECT_THAT(markdown.body, HasSubstr("| payments | 1 |"));
}

TEST_F(SloAlerts, DeliveryIsShown) {
  notify::ReceiverStats receiver;
  receiver.key = "webhook ops";
  receiver.webhook = receiver.insecure = true;
  receiver.last_error = "HTTP status 503";
  receiver.refused = {Labels{{"alertname", "Bad"}}};
  stats_.receivers.push_back(receiver);
  stats_.discovery_problems["file am.yml"] = "is not there";
  stats_.pages.Observe(120'000'000);
  const auto data = h_.Get("/api/v1/slo/delivery").json()["data"];
  EXPECT_EQ(data["receivers"][0]["kind"], "webhook");
  EXPECT_EQ(data["receivers"][0]["insecureSkipVerify"], true);
  EXPECT_EQ(data["receivers"][0]["answers"], false);
  EXPECT_EQ(data["receivers"][0]["refused"][0]["alertname"], "Bad");
  EXPECT_EQ(data["discoveryProblems"][0]["where"], "file am.yml");
  EXPECT_EQ(data["deliveryTime"]["page"]["count"], 1);
  EXPECT_DOUBLE_EQ(data["deliveryTime"]["page"]["p99Seconds"].get<double>(), 0.12)
      << "never above the slowest";
}

TEST_F(SloAlerts, WithoutAJournalItIsNotThereYet) {
  journal_.reset();
  EXPECT_EQ(h_.Get("/api/v1/slo/alerts").status, 503);
}

}  // namespace
}  // namespace basalt::http::api
