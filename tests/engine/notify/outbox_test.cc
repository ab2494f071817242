// How alerts reach Alertmanagers: repeated, retried, narrowed down, in order of urgency.
#include "engine/notify/outbox.h"

#include <gmock/gmock.h>

#include "engine/notify/payload.h"
#include "tests/engine/notify/outbox_fixture.h"

namespace basalt::notify {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr nanoseconds kResend = minutes(1);

TEST_F(OutboxTest, SendsWhatAlertmanagerUnderstands) {
  Open();
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(receivers_["one"].accepted.size(), 1U);
  const nlohmann::json& alert = receivers_["one"].accepted[0];
  EXPECT_EQ(alert["labels"]["alertname"], "A");
  EXPECT_EQ(alert["labels"]["owner"], "team-a");
  EXPECT_EQ(alert["annotations"]["summary"], "it \"burns\"\n\xEF\xBF\xBD");
  EXPECT_EQ(alert["startsAt"], "2023-11-14T22:13:19.123Z");
  EXPECT_EQ(alert["endsAt"], "2023-11-14T22:17:20.000Z");  // now + 4 min
  EXPECT_EQ(alert["generatorURL"], "http://basalt/slo?id=x");
  EXPECT_TRUE(outbox_->DeliveredAt(Fingerprint(MakeAlert("A"))).has_value());
  EXPECT_EQ(outbox_->Stats().pages.count, 1U);
}

TEST_F(OutboxTest, RepeatsAFiringAlertEveryMinuteAndAResolvedOneForAQuarterOfAnHour) {
  Open();
  Publish(MakeAlert("A"));
  EXPECT_EQ(outbox_->DeliverOnce(0), kResend);
  clock_.Advance(seconds(59));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].posts.size(), 1U);
  clock_.Advance(seconds(1));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].posts.size(), 2U);

  Alert resolved = MakeAlert("A");
  resolved.ends_at = clock_.Now();
  Publish(resolved);
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].accepted.back()["endsAt"], FormatRfc3339(*resolved.ends_at));
  EXPECT_TRUE(outbox_->Firing().empty());
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(minutes(1));
    outbox_->DeliverOnce(0);
  }
  EXPECT_EQ(receivers_["one"].posts.size(), 3U + 15U);
}

TEST_F(OutboxTest, OnlyTheLatestStateIsSentAfterAnOutageOfTheReceiver) {
  Open();
  receivers_["one"].answer = [](const auto&) { return Result<int>(Unavailable("refused")); };
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  Alert resolved = MakeAlert("A");
  resolved.ends_at = clock_.Now();
  Publish(resolved);
  receivers_["one"].answer = [](const auto&) { return Result<int>(200); };
  clock_.Advance(seconds(5));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(receivers_["one"].accepted.size(), 1U);
  EXPECT_EQ(receivers_["one"].accepted[0]["endsAt"], FormatRfc3339(*resolved.ends_at));
}

TEST_F(OutboxTest, RetriesWithGrowingPausesThenProbes) {
  Open();
  receivers_["one"].answer = [](const auto&) { return Result<int>(500); };
  Publish(MakeAlert("A"));
  for (const int64_t pause_ms : {100, 200, 400, 800}) {
    EXPECT_EQ(outbox_->DeliverOnce(0), milliseconds(pause_ms));
    clock_.Advance(Duration(pause_ms - 1));
    const size_t posts = receivers_["one"].posts.size();
    outbox_->DeliverOnce(0);
    EXPECT_EQ(receivers_["one"].posts.size(), posts) << "before its time";
    clock_.Advance(Duration(1));
  }
  EXPECT_FALSE(outbox_->Stats().receivers[0].breaker_open);
  for (int i = 0; i < 20; ++i) {
    const nanoseconds pause = outbox_->DeliverOnce(0);
    EXPECT_GE(pause, kMinProbe);
    EXPECT_LE(pause, kMaxProbe);
    clock_.Advance(std::chrono::ceil<Duration>(pause));
  }
  const ReceiverStats down = outbox_->Stats().receivers[0];
  EXPECT_TRUE(down.breaker_open);
  EXPECT_EQ(down.waiting, 1U);
  EXPECT_EQ(down.last_error, "HTTP status 500");
  receivers_["one"].answer = [](const auto&) { return Result<int>(200); };
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].accepted.size(), 1U);
  EXPECT_FALSE(outbox_->Stats().receivers[0].breaker_open);
}

TEST_F(OutboxTest, AReceiverThatIsDownDelaysNoOther) {
  Open({"one", "two"});
  receivers_["one"].answer = [](const auto&) { return Result<int>(Unavailable("refused")); };
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  outbox_->DeliverOnce(1);
  EXPECT_EQ(receivers_["two"].accepted.size(), 1U);
  EXPECT_TRUE(outbox_->DeliveredAt(Fingerprint(MakeAlert("A"))).has_value());
}

TEST_F(OutboxTest, A400IsNarrowedDownToTheAlertThatCausesIt) {
  Open();
  for (int i = 0; i < 37; ++i) Publish(MakeAlert("A" + std::to_string(i)));
  receivers_["one"].answer = [](const nlohmann::json& alerts) {
    for (const auto& alert : alerts) {
      if (alert["labels"]["alertname"] == "A23") return Result<int>(400);
    }
    return Result<int>(200);
  };
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].accepted.size(), 36U);
  const ReceiverStats stats = outbox_->Stats().receivers[0];
  EXPECT_EQ(stats.rejected, 1U);
  EXPECT_THAT(stats.last_rejection, ::testing::HasSubstr("A23"));
  EXPECT_EQ(stats.waiting, 0U);
}

TEST_F(OutboxTest, PagesGoBeforeTicketsAndBatchesAreBounded) {
  Open();
  std::vector<Alert> alerts;
  for (size_t i = 0; i < kMaxBatch; ++i)
    alerts.push_back(MakeAlert("T" + std::to_string(i), false));
  alerts.push_back(MakeAlert("P"));
  ASSERT_TRUE(outbox_->Publish(alerts).ok());
  outbox_->DeliverOnce(0);
  ASSERT_EQ(receivers_["one"].posts.size(), 2U);
  EXPECT_EQ(receivers_["one"].posts[0].size(), kMaxBatch);
  EXPECT_EQ(receivers_["one"].posts[1].size(), 1U);
  EXPECT_EQ(receivers_["one"].posts[0][0]["labels"]["alertname"], "P");
}

TEST_F(OutboxTest, FiveMinutesOfOutageLoseNothingAndEndWithinFiveSeconds) {
  Open();
  receivers_["one"].answer = [](const auto&) { return Result<int>(Unavailable("refused")); };
  const Timestamp back = clock_.Now() + minutes(5);
  Timestamp next = clock_.Now();
  for (int n = 0; clock_.Now() < back; ++n) {
    // Ten alerts a second; every third resolves while nobody listens.
    std::vector<Alert> alerts;
    for (int i = 0; i < 10; ++i) {
      alerts.push_back(MakeAlert("A" + std::to_string(n) + "_" + std::to_string(i), i % 2 == 0));
      if (i % 3 != 0) continue;
      alerts.push_back(alerts.back());
      alerts.back().ends_at = clock_.Now();
    }
    ASSERT_TRUE(outbox_->Publish(alerts).ok());
    while (next <= clock_.Now()) {
      const nanoseconds wait = outbox_->DeliverOnce(0);
      next = clock_.Now() + std::max(std::chrono::ceil<Duration>(wait), Duration(1));
    }
    clock_.Advance(seconds(1));
  }
  EXPECT_TRUE(outbox_->Stats().receivers[0].breaker_open);
  EXPECT_GE(receivers_["one"].posts.size(), 100U) << "it is probed all the time";
  EXPECT_LE(receivers_["one"].posts.size(), 310U) << "and not hammered";
  receivers_["one"].answer = [](const auto&) { return Result<int>(200); };
  const Timestamp returned = clock_.Now();
  while (true) {
    const nanoseconds wait = outbox_->DeliverOnce(0);
    if (outbox_->Stats().receivers[0].waiting == 0) break;
    clock_.Advance(std::chrono::ceil<Duration>(wait) + Duration(1));
  }
  EXPECT_LE(clock_.Now() - returned, seconds(5) - kConnectTimeout) << "a probe may just hang";
  std::map<std::string, int> got;
  for (const auto& alert : receivers_["one"].accepted) {
    ++got[alert["labels"]["alertname"]];
    EXPECT_EQ(alert["startsAt"], "2023-11-14T22:13:19.123Z");
  }
  EXPECT_EQ(got.size(), 3000U);
  EXPECT_FALSE(outbox_->Stats().receivers[0].breaker_open);
}

TEST_F(OutboxTest, APageThatComesWhileTicketsAreSentGoesNext) {
  Open();
  std::vector<Alert> tickets;
  for (size_t i = 0; i < 4 * kMaxBatch; ++i)
    tickets.push_back(MakeAlert("T" + std::to_string(i), false));
  ASSERT_TRUE(outbox_->Publish(tickets).ok());
  receivers_["one"].answer = [this](const auto&) {
    if (receivers_["one"].posts.size() == 1) Publish(MakeAlert("P"));
    return Result<int>(200);
  };
  while (outbox_->DeliverOnce(0) == nanoseconds::zero()) {
  }
  ASSERT_GE(receivers_["one"].posts.size(), 2U);
  EXPECT_EQ(receivers_["one"].posts[1][0]["labels"]["alertname"], "P");
  EXPECT_EQ(receivers_["one"].accepted.size(), 4 * kMaxBatch + 1);
}

TEST_F(OutboxTest, WhatIsRefusedIsShownAndTriedAgainWithoutHalvingBatches) {
  Open();
  for (int i = 0; i < 20; ++i) Publish(MakeAlert("A" + std::to_string(i)));
  bool repaired = false;
  receivers_["one"].answer = [&](const nlohmann::json& alerts) {
    for (const auto& alert : alerts) {
      const std::string name = alert["labels"]["alertname"];
      if (!repaired && (name == "A3" || name == "A11")) return Result<int>(400);
    }
    return Result<int>(200);
  };
  outbox_->DeliverOnce(0);
  EXPECT_EQ(outbox_->Stats().receivers[0].rejected, 2U);
  ASSERT_EQ(outbox_->Stats().receivers[0].refused.size(), 2U);
  EXPECT_EQ(outbox_->Stats().receivers[0].refused[0].Get("owner"), "team-a");
  const size_t posts = receivers_["one"].posts.size();
  clock_.Advance(minutes(1));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(receivers_["one"].posts.size(), posts + 2) << "the good ones, and the refused ones";
  EXPECT_EQ(outbox_->Stats().receivers[0].rejected, 2U) << "counted once";
  // A new state of a refused alert is news.
  Publish(MakeAlert("A3"));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(outbox_->Stats().receivers[0].rejected, 3U);
  repaired = true;
  clock_.Advance(minutes(1));
  outbox_->DeliverOnce(0);
  EXPECT_TRUE(outbox_->Stats().receivers[0].refused.empty());
}

TEST_F(OutboxTest, NotBeingWelcomeIsAFailureOfTheReceiverAndNotOfTheAlert) {
  Open();
  receivers_["one"].answer = [](const auto&) { return Result<int>(401); };
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  EXPECT_EQ(outbox_->Stats().receivers[0].rejected, 0U);
  EXPECT_EQ(outbox_->Stats().receivers[0].last_error, "HTTP status 401");
  EXPECT_EQ(outbox_->Stats().receivers[0].waiting, 1U);
}

TEST_F(OutboxTest, LabelsAreAddedAndRewrittenForEachReceiver) {
  auto receivers = At({"one", "two"});
  receivers->external_labels = Labels{{"region", "eu"}, {"owner", "nobody"}};
  RelabelSpec replica;
  replica.action = RelabelAction::kLabelDrop;
  replica.regex = "severity";
  receivers->alert_relabel = {*RelabelRule::Make(replica)};
  RelabelSpec no_b;
  no_b.action = RelabelAction::kDrop;
  no_b.source_labels = {"alertname"};
  no_b.regex = "B";
  receivers->alertmanagers[1].alert_relabel = {*RelabelRule::Make(no_b)};
  config_ = receivers;
  Open();
  Publish(MakeAlert("A"));
  Publish(MakeAlert("B"));
  outbox_->DeliverOnce(0);
  outbox_->DeliverOnce(1);
  ASSERT_EQ(receivers_["one"].accepted.size(), 2U);
  EXPECT_EQ(receivers_["one"].accepted[0]["labels"],
            nlohmann::json({{"alertname", receivers_["one"].accepted[0]["labels"]["alertname"]},
                            {"owner", "team-a"},
                            {"region", "eu"}}));
  ASSERT_EQ(receivers_["two"].accepted.size(), 1U);
  EXPECT_EQ(receivers_["two"].accepted[0]["labels"]["alertname"], "A");
  EXPECT_EQ(outbox_->Stats().receivers[1].dropped, 1U);
  EXPECT_EQ(outbox_->Stats().receivers[1].waiting, 0U);
}

TEST_F(OutboxTest, AReloadKeepsWhatReceiversKnowAndTellsNewOnesEverything) {
  Open({"one"});
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  outbox_->SetReceivers(At({"one", "two"}));
  outbox_->DeliverOnce(0);
  outbox_->DeliverOnce(1);
  EXPECT_EQ(receivers_["one"].posts.size(), 1U);
  EXPECT_EQ(receivers_["two"].accepted.size(), 1U);
  EXPECT_EQ(outbox_->Stats().receivers[0].sent, 1U) << "what was counted goes on";
  EXPECT_THAT(outbox_->AlertmanagerUrls(),
              testing::ElementsAre("http://one/api/v2/alerts", "http://two/api/v2/alerts"));
}

TEST_F(OutboxTest, TheFirstAttemptAtAPageGivesUpEarly) {
  Open();
  receivers_["one"].answer = [](const auto&) { return Result<int>(DeadlineExceeded("slow")); };
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  clock_.Advance(seconds(1));
  outbox_->DeliverOnce(0);
  EXPECT_THAT(receivers_["one"].timeouts,
              testing::ElementsAre(kFirstPageTimeout, HttpSettings().timeout));
}

TEST_F(OutboxTest, APageMayOutliveBasaltForLongerThanATicket) {
  auto receivers = At({"one"});
  receivers->page_ends_after = minutes(30);
  config_ = receivers;
  Open();
  Publish(MakeAlert("P"));
  Publish(MakeAlert("T", false));
  outbox_->DeliverOnce(0);
  for (const auto& alert : receivers_["one"].accepted) {
    const Duration ahead = alert["labels"]["alertname"] == "P" ? minutes(30) : minutes(4);
    EXPECT_EQ(alert["endsAt"], FormatRfc3339(clock_.Now() + ahead));
  }
}

TEST_F(OutboxTest, TheObserverHearsOfEachStateOnceAndAfterARestartOfWhatWasThere) {
  Open();
  Publish(MakeAlert("A"));
  outbox_->DeliverOnce(0);
  clock_.Advance(minutes(1));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(observer_.published.size(), 1U);
  ASSERT_EQ(observer_.accepted.size(), 1U) << "a repetition is no news";
  EXPECT_EQ(observer_.accepted[0].first, "http://one/api/v2/alerts");
  Open();
  ASSERT_EQ(observer_.published.size(), 2U);
  EXPECT_EQ(observer_.published[1], MakeAlert("A"));
}

TEST_F(OutboxTest, TicketsThatFindNoRoomAreCountedAndPagesAreTaken) {
  Open({});
  std::vector<Alert> tickets(kMaxAlerts);
  for (size_t i = 0; i < tickets.size(); ++i) {
    tickets[i].identity = Labels{{"n", std::to_string(i)}};
    tickets[i].starts_at = clock_.Now();
  }
  ASSERT_TRUE(outbox_->Publish(tickets).ok());
  EXPECT_EQ(outbox_->Stats().shed, 0U);
  Publish(tickets[0]);  // known
  Publish(MakeAlert("T", false));
  Publish(MakeAlert("P"));
  EXPECT_EQ(outbox_->Stats().shed, 1U);
  EXPECT_EQ(outbox_->Stats().alerts, kMaxAlerts + 1);
}

}  // namespace
}  // namespace basalt::notify
