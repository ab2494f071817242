#include "engine/notify/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/notify/payload.h"
#include "engine/notify/webhook.h"
#include "tests/engine/notify/fake_clock.h"

namespace basalt::notify {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// An Alertmanager in memory: answers what the test says, and remembers what it accepted.
struct FakeReceiver {
  std::function<Result<int>(const nlohmann::json&)> answer = [](const nlohmann::json&) {
    return Result<int>(200);
  };
  std::vector<nlohmann::json> posts;  // all
  std::vector<Duration> timeouts;     // theirs
  std::vector<nlohmann::json> accepted;
};

class FakePoster final : public AlertPoster {
 public:
  explicit FakePoster(FakeReceiver& receiver) : receiver_(receiver) {}
  Result<int> Post(std::string_view body, Duration timeout) override {
    const nlohmann::json json = nlohmann::json::parse(body);
    receiver_.posts.push_back(json);
    receiver_.timeouts.push_back(timeout);
    const Result<int> status = receiver_.answer(json);
    if (status.ok() && *status == 200) {
      // An Alertmanager takes a list of alerts, a webhook one message.
      if (json.is_object()) receiver_.accepted.push_back(json);
      if (json.is_array())
        receiver_.accepted.insert(receiver_.accepted.end(), json.begin(), json.end());
    }
    return status;
  }

 private:
  FakeReceiver& receiver_;
};

// Notes what it is told.
struct Observer final : AlertObserver {
  std::vector<Alert> published;
  std::vector<std::pair<std::string, Alert>> accepted;  // by receiver
  void OnPublished(std::span<const Alert> alerts, Timestamp) override {
    published.insert(published.end(), alerts.begin(), alerts.end());
  }
  void OnAccepted(std::span<const Alert> alerts, std::string_view receiver, Timestamp) override {
    for (const Alert& alert : alerts) accepted.emplace_back(receiver, alert);
  }
};

constexpr nanoseconds kResend = minutes(1);

Alert MakeAlert(const std::string& name, bool urgent = true) {
  Alert alert;
  alert.identity = Labels{{"alertname", name}, {"severity", urgent ? "page" : "ticket"}};
  alert.labels = Labels{{"owner", "team-a"}};
  alert.annotations = Labels{{"summary", "it \"burns\"\n\xff"}};
  alert.starts_at = FromMs(1'699'999'999'123);
  alert.generator_url = "http://basalt/slo?id=x";
  alert.urgent = urgent;
  return alert;
}

class OutboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(::testing::TempDir()) /
           ("outbox_test_" + std::to_string(::getpid()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override {
    outbox_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Open(std::vector<std::string> urls = {"one"}) {
    outbox_.reset();
    OutboxOptions options;
    options.directory = dir_;
    options.receivers = config_ != nullptr ? config_ : At(urls);
    options.clock = &clock_;
    options.observer = &observer_;
    options.threads = false;
    options.make_poster = [this](const Endpoint& endpoint, const std::atomic<bool>&) {
      const std::string name = endpoint.webhook != nullptr
                                   ? endpoint.webhook->name
                                   : endpoint.alertmanager->targets.at(0).targets.at(0);
      return Result<std::unique_ptr<AlertPoster>>(std::make_unique<FakePoster>(receivers_[name]));
    };
    auto outbox = Outbox::Open(options, &warnings_);
    ASSERT_TRUE(outbox.ok()) << outbox.status().ToString();
    outbox_ = std::move(outbox).value();
  }
  // One entry an address.
  static std::shared_ptr<Receivers> At(const std::vector<std::string>& addresses) {
    auto receivers = std::make_shared<Receivers>();
    for (const std::string& address : addresses) {
      AlertmanagerSet set;
      set.targets = {{{address}, Labels()}};
      receivers->alertmanagers.push_back(std::move(set));
    }
    return receivers;
  }
  void Publish(const Alert& alert) { ASSERT_TRUE(outbox_->Publish({&alert, 1}).ok()); }

  std::filesystem::path dir_;
  FakeClock clock_;
  std::map<std::string, FakeReceiver> receivers_;
  std::vector<std::string> warnings_;
  std::shared_ptr<const Receivers> config_;  // else Open's addresses
  Observer observer_;
  std::unique_ptr<Outbox> outbox_;
};

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

TEST_F(OutboxTest, ARestartSendsEverythingAgainWithItsStart) {
  Open();
  Publish(MakeAlert("A"));
  Publish(MakeAlert("B"));
  Alert resolved = MakeAlert("B");
  resolved.ends_at = clock_.Now();
  Publish(resolved);
  clock_.Advance(minutes(2));
  Open();
  EXPECT_TRUE(warnings_.empty());
  ASSERT_EQ(outbox_->Firing().size(), 1U);
  EXPECT_EQ(outbox_->Firing()[0], MakeAlert("A"));
  outbox_->DeliverOnce(0);
  ASSERT_EQ(receivers_["one"].accepted.size(), 2U);
  for (const auto& alert : receivers_["one"].accepted) {
    EXPECT_EQ(alert["startsAt"], "2023-11-14T22:13:19.123Z");
  }
}

TEST_F(OutboxTest, AnAlertLogCutAnywhereKeepsWhatIsWhole) {
  Open();
  Publish(MakeAlert("A"));
  const auto whole = std::filesystem::file_size(dir_ / "alerts.log");
  Publish(MakeAlert("B"));
  outbox_.reset();
  const auto size = std::filesystem::file_size(dir_ / "alerts.log");
  std::ifstream in(dir_ / "alerts.log", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (size_t cut = 0; cut <= size; ++cut) {
    std::ofstream(dir_ / "alerts.log", std::ios::binary | std::ios::trunc) << bytes.substr(0, cut);
    Open();
    const size_t expected = cut < whole ? 0 : cut < size ? 1 : 2;
    EXPECT_EQ(outbox_->Firing().size(), expected) << cut;
    Publish(MakeAlert("C"));  // and it goes on behind the cut
    Open();
    EXPECT_EQ(outbox_->Firing().size(), expected + 1) << cut;
  }
}

TEST_F(OutboxTest, ADamagedRecordIsLeftOutAndSaid) {
  Open();
  Publish(MakeAlert("A"));
  const auto second = static_cast<std::streamoff>(std::filesystem::file_size(dir_ / "alerts.log"));
  Publish(MakeAlert("B"));
  Publish(MakeAlert("C"));
  outbox_.reset();
  {
    std::fstream file(dir_ / "alerts.log", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(second + 20);
    file.put('\x7f');
  }
  Open();
  EXPECT_EQ(warnings_.size(), 1U);
  EXPECT_EQ(outbox_->Firing().size(), 2U);
}

TEST_F(OutboxTest, AFileThatIsNoAlertLogIsRefusedAndKept) {
  std::ofstream(dir_ / "alerts.log") << "somebody's notes, longer than the magic";
  OutboxOptions options;
  options.directory = dir_;
  options.threads = false;
  const auto outbox = Outbox::Open(options);
  ASSERT_FALSE(outbox.ok());
  EXPECT_EQ(outbox.status().code(), StatusCode::kDataLoss);
  EXPECT_GT(std::filesystem::file_size(dir_ / "alerts.log"), 10U);
}

TEST_F(OutboxTest, TheLogIsRewrittenWhenItHasGrown) {
  Open();
  Alert alert = MakeAlert("A");
  alert.annotations.Set("text", std::string(100'000, 'x'));
  for (int i = 0; i < 100; ++i) Publish(alert);
  EXPECT_LT(outbox_->Stats().log_bytes, kLogRewriteBytes + 300'000);
  Open();
  EXPECT_EQ(outbox_->Firing().size(), 1U);
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

TEST(AlertRecord, HostileBytesAreAnError) {
  std::string good;
  EncodeAlert(MakeAlert("A"), good);
  EXPECT_EQ(*DecodeAlert(good), MakeAlert("A"));
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(DecodeAlert(good.substr(0, n)).ok()) << n;
  EXPECT_FALSE(DecodeAlert(good + "x").ok());
}

}  // namespace
}  // namespace basalt::notify
