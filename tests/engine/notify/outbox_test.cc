#include "engine/notify/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/notify/payload.h"

namespace basalt::notify {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_); }
  [[nodiscard]] nanoseconds Monotonic() const override { return milliseconds(now_ms_); }
  void Advance(Duration d) { now_ms_ += d.count(); }

 private:
  std::atomic<int64_t> now_ms_{1'700'000'000'000};
};

// An Alertmanager in memory: answers what the test says, and remembers what it accepted.
struct FakeReceiver {
  std::function<Result<int>(const nlohmann::json&)> answer = [](const nlohmann::json&) {
    return Result<int>(200);
  };
  std::vector<nlohmann::json> posts;  // all
  std::vector<nlohmann::json> accepted;
};

class FakePoster final : public AlertPoster {
 public:
  explicit FakePoster(FakeReceiver& receiver) : receiver_(receiver) {}
  Result<int> Post(std::string_view body) override {
    const nlohmann::json json = nlohmann::json::parse(body);
    receiver_.posts.push_back(json);
    const Result<int> status = receiver_.answer(json);
    if (status.ok() && *status == 200) {
      for (const auto& alert : json) receiver_.accepted.push_back(alert);
    }
    return status;
  }

 private:
  FakeReceiver& receiver_;
};

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
    options.alertmanagers = std::move(urls);
    options.clock = &clock_;
    options.threads = false;
    options.make_poster = [this](const std::string& url) {
      return Result<std::unique_ptr<AlertPoster>>(std::make_unique<FakePoster>(receivers_[url]));
    };
    auto outbox = Outbox::Open(options, &warnings_);
    ASSERT_TRUE(outbox.ok()) << outbox.status().ToString();
    outbox_ = std::move(outbox).value();
  }
  void Publish(const Alert& alert) { ASSERT_TRUE(outbox_->Publish({&alert, 1}).ok()); }

  std::filesystem::path dir_;
  FakeClock clock_;
  std::map<std::string, FakeReceiver> receivers_;
  std::vector<std::string> warnings_;
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
  EXPECT_EQ(outbox_->Stats().deliveries, 1U);
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
  EXPECT_LT(outbox_->Stats().log_bytes, kRewriteBytes + 300'000);
  Open();
  EXPECT_EQ(outbox_->Firing().size(), 1U);
}

TEST_F(OutboxTest, ABadUrlIsSaidAtOnce) {
  OutboxOptions options;
  options.directory = dir_;
  options.alertmanagers = {"https://example.org"};
  options.threads = false;
  const auto outbox = Outbox::Open(options);
  ASSERT_FALSE(outbox.ok());
  EXPECT_THAT(std::string(outbox.status().message()), ::testing::HasSubstr("https://example.org"));
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
