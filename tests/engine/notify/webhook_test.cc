// What a webhook is told, and when.
#include "engine/notify/webhook.h"

#include "engine/notify/payload.h"
#include "tests/engine/notify/outbox_fixture.h"

namespace basalt::notify {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class WebhookTest : public OutboxTest {
 protected:
  void OpenWebhook(Webhook webhook) {
    webhook.name = "ops";
    webhook.url = "http://ops/hook?x=1";
    auto receivers = std::make_shared<Receivers>();
    receivers->webhooks = {std::move(webhook)};
    config_ = receivers;
    Open();
  }
  std::vector<nlohmann::json>& messages() { return receivers_["ops"].posts; }
  static Alert Resolved(Alert alert, Timestamp at) {
    alert.ends_at = at;
    return alert;
  }
};

TEST_F(WebhookTest, IsSentAlertmanagersPayload) {
  OpenWebhook({});
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(messages().size(), 1U);
  const auto expected = nlohmann::json::parse(R"({
    "receiver": "ops", "status": "firing", "version": "4", "truncatedAlerts": 0, "externalURL": "",
    "groupKey": "{}:{alertname=\"A\"}", "groupLabels": {"alertname": "A"},
    "commonLabels": {"alertname": "A", "owner": "team-a", "severity": "page"},
    "commonAnnotations": {"summary": "it \"burns\"\n\uFFFD"},
    "alerts": [{"status": "firing",
      "labels": {"alertname": "A", "owner": "team-a", "severity": "page"},
      "annotations": {"summary": "it \"burns\"\n\uFFFD"},
      "startsAt": "2023-11-14T22:13:19.123Z", "endsAt": "0001-01-01T00:00:00Z",
      "generatorURL": "http://basalt/slo?id=x", "fingerprint": "FINGERPRINT"}]})");
  auto got = messages()[0];
  EXPECT_EQ(got["alerts"][0]["fingerprint"],
            AlertmanagerFingerprint(
                Labels{{"alertname", "A"}, {"owner", "team-a"}, {"severity", "page"}}));
  got["alerts"][0]["fingerprint"] = "FINGERPRINT";
  EXPECT_EQ(got, expected);
}

TEST_F(WebhookTest, IsToldOfChangesAndOfWhatStillFiresAfterAWhile) {
  OpenWebhook({});
  Publish(MakeAlert("A"));
  EXPECT_GE(outbox_->DeliverOnce(0), seconds(59));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 1U);
  Alert other_text = MakeAlert("A");
  other_text.annotations.Set("summary", "worse");
  Publish(other_text);
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 1U) << "a new text is no news";
  EXPECT_EQ(outbox_->Stats().receivers[0].waiting, 0U);
  clock_.Advance(std::chrono::hours(4));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(messages().size(), 2U);
  EXPECT_EQ(messages()[1]["alerts"][0]["annotations"]["summary"], "worse");
  Publish(Resolved(MakeAlert("A"), clock_.Now()));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(messages().size(), 3U);
  EXPECT_EQ(messages()[2]["status"], "resolved");
  EXPECT_EQ(messages()[2]["alerts"][0]["endsAt"], FormatRfc3339(clock_.Now()));
  clock_.Advance(minutes(10));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 3U) << "a resolved alert is told once";
}

TEST_F(WebhookTest, AGroupIsToldWhole) {
  Webhook webhook;
  webhook.group_by = {"severity"};
  webhook.max_alerts = 2;
  OpenWebhook(webhook);
  for (const char* name : {"A", "B", "C"}) Publish(MakeAlert(name));
  Publish(MakeAlert("T", false));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(messages().size(), 2U);
  EXPECT_EQ(messages()[0]["groupKey"], "{}:{severity=\"page\"}") << "pages first";
  EXPECT_EQ(messages()[0]["alerts"].size(), 2U);
  EXPECT_EQ(messages()[0]["truncatedAlerts"], 1);
  EXPECT_EQ(messages()[0]["commonLabels"],
            nlohmann::json({{"owner", "team-a"}, {"severity", "page"}}));
  Publish(Resolved(MakeAlert("B"), clock_.Now()));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(messages().size(), 3U);
  EXPECT_EQ(messages()[2]["status"], "firing");
  Publish(MakeAlert("C"));  // the same again
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 3U);
}

TEST_F(WebhookTest, WhatItNeverHeardOfDoesNotResolve) {
  OpenWebhook({});
  receivers_["ops"].answer = [](const auto&) { return Result<int>(503); };
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(outbox_->Stats().receivers[0].waiting, 1U);
  receivers_["ops"].answer = [](const auto&) { return Result<int>(200); };
  Publish(Resolved(MakeAlert("A"), clock_.Now()));
  clock_.Advance(minutes(1));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 1U);
  EXPECT_EQ(outbox_->Stats().receivers[0].waiting, 0U);
}

TEST_F(WebhookTest, IsNotToldAgainAfterARestart) {
  OpenWebhook({});
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  clock_.Advance(minutes(1));
  Open();
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 1U);
  Publish(Resolved(MakeAlert("A"), clock_.Now()));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 2U);
  EXPECT_EQ(messages()[1]["status"], "resolved");
}

TEST_F(WebhookTest, MayDoWithoutTheEnd) {
  Webhook webhook;
  webhook.send_resolved = false;
  OpenWebhook(webhook);
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  Publish(Resolved(MakeAlert("A"), clock_.Now()));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 1U);
  Publish(MakeAlert("A"));  // fires anew
  outbox_->DeliverOnce(0);
  EXPECT_EQ(messages().size(), 2U);
}

}  // namespace
}  // namespace basalt::notify
