// tests/engine/notify/outbox_fixture.h -- an outbox over receivers in memory, stepped by a test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/notify/outbox.h"
#include "tests/engine/notify/fake_clock.h"

namespace basalt::notify {

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

inline Alert MakeAlert(const std::string& name, bool urgent = true) {
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

}  // namespace basalt::notify
