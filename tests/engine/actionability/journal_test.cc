#include "engine/actionability/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/actionability/metrics.h"
#include "engine/actionability/webhook_in.h"
#include "engine/notify/webhook.h"
#include "tests/engine/notify/fake_clock.h"

namespace basalt::actionability {
namespace {

using notify::Alert;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(::testing::TempDir()) /
           ("journal_" + std::to_string(::getpid()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    Open();
  }
  void TearDown() override {
    journal_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Open(size_t max_records = kMaxRecords) {
    journal_.reset();
    JournalOptions options;
    options.directory = dir_;
    options.clock = &clock_;
    options.max_records = max_records;
    auto journal = Journal::Open(options, &warnings_);
    ASSERT_TRUE(journal.ok()) << journal.status().ToString();
    journal_ = std::move(journal).value();
  }
  Alert MakeAlert(const std::string& name, bool page = true) {
    Alert alert;
    alert.identity =
        Labels{{"alertname", name}, {"sloth_id", "shop-" + name}, {"sloth_service", "shop"}};
    alert.labels = Labels{{"team", "payments"}};
    alert.starts_at = clock_.Now();
    alert.urgent = page;
    return alert;
  }
  void Fire(const Alert& alert) { journal_->OnPublished({&alert, 1}, clock_.Now()); }
  void Accept(const Alert& alert, const std::string& receiver = "am") {
    journal_->OnAccepted({&alert, 1}, receiver, clock_.Now());
  }
  Alert Resolve(Alert alert) {
    alert.ends_at = clock_.Now();
    Fire(alert);
    return alert;
  }
  AlertRecord Only() {
    const auto all = journal_->List({});
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? AlertRecord() : all[0];
  }
  Totals TotalsOf(const TotalsKey& key = {"payments", "shop", true}) {
    return journal_->AllTotals()[key];
  }

  std::filesystem::path dir_;
  notify::FakeClock clock_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, AnAlertsLifeIsWrittenDownAndSurvives) {
  const Alert alert = MakeAlert("A");
  Fire(alert);
  clock_.Advance(Duration(300));
  Accept(alert);
  clock_.Advance(minutes(4));
  Accept(alert, "another");  // the first one counts
  const std::string id = std::to_string(Only().id);
  ASSERT_TRUE(journal_->Acknowledge(id, "ann").ok());
  clock_.Advance(minutes(1));
  ASSERT_TRUE(journal_->Acknowledge(id, "bob").ok());  // likewise
  Resolve(alert);
  ASSERT_TRUE(journal_->Give(id, {Verdict::kActionable, 25, "ann", "T-1", "disk full", {}}).ok());
  const AlertRecord before = Only();
  EXPECT_EQ(before.delivered_at, before.starts_at + Duration(300));
  EXPECT_EQ(before.delivered_to, "am");
  EXPECT_EQ(before.acknowledged_by, "ann");
  EXPECT_EQ(before.ends_at, clock_.Now());
  EXPECT_EQ(before.team(), "payments");
  EXPECT_EQ(before.service(), "shop");
  EXPECT_EQ(before.slo(), "shop-A");
  EXPECT_EQ(before.feedback->ticket, "T-1");
  const auto totals = journal_->AllTotals();
  EXPECT_EQ(TotalsOf().acknowledge_seconds, 240);
  Open();
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(Only(), before);
  EXPECT_EQ(journal_->AllTotals(), totals);
}

TEST_F(JournalTest, WhatTheOutboxTellsAgainAtStartUpIsNoNewAlert) {
  const Alert firing = MakeAlert("A");
  Fire(firing);
  const Alert resolved = Resolve(MakeAlert("B"));
  for (int i = 0; i < 2; ++i) {
    Open();
    Fire(firing);
    Fire(resolved);
  }
  EXPECT_EQ(journal_->List({}).size(), 2U);
  EXPECT_EQ(TotalsOf().fired, 2U);
  EXPECT_EQ(TotalsOf().resolved, 1U);
}

TEST_F(JournalTest, WhatOnlyTheOutboxKnewAfterACrashIsMadeUpFor) {
  const Alert alert = Resolve(MakeAlert("A"));
  EXPECT_TRUE(Only().undelivered());
  EXPECT_EQ(TotalsOf().undelivered, 1U);
  EXPECT_EQ(TotalsOf().fired, 1U);
}

TEST_F(JournalTest, AStartMayMoveBackAndIsTheSameAlert) {
  Alert alert = MakeAlert("A");
  Fire(alert);
  alert.starts_at -= seconds(15);
  Fire(alert);
  EXPECT_EQ(Only().starts_at, alert.starts_at);
}

TEST_F(JournalTest, FiringAgainWithinTheHourIsAFlap) {
  Resolve(MakeAlert("A"));
  clock_.Advance(hours(1) - Duration(1));
  Fire(MakeAlert("A"));
  Resolve(MakeAlert("A"));
  clock_.Advance(hours(1));
  Fire(MakeAlert("A"));
  const auto all = journal_->List({});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_FALSE(all[0].flap) << "an hour later";
  EXPECT_TRUE(all[1].flap);
  EXPECT_FALSE(all[2].flap);
  EXPECT_EQ(TotalsOf().flaps, 1U);
}

TEST_F(JournalTest, AWebhookAcknowledgesWhatFiresAndIsNamed) {
  Fire(MakeAlert("A"));
  Fire(MakeAlert("B"));
  Resolve(MakeAlert("C"));
  const auto alerts = FiringInWebhook(R"({"version": "4", "receiver": "ops", "alerts": [
    {"status": "firing", "labels": {"alertname": "A", "sloth_id": "shop-A", "sloth_service": "shop", "region": "eu"}},
    {"status": "firing", "labels": {"alertname": "C", "sloth_id": "shop-C", "sloth_service": "shop"}},
    {"status": "resolved", "labels": {"alertname": "B", "sloth_id": "shop-B", "sloth_service": "shop"}}]})");
  ASSERT_TRUE(alerts.ok()) << alerts.status().ToString();
  const auto matched = journal_->AcknowledgeMatching(*alerts, "ops");
  ASSERT_TRUE(matched.ok());
  EXPECT_EQ(*matched, 1U);
  for (const AlertRecord& record : journal_->List({}))
    EXPECT_EQ(record.acknowledged_at.has_value(), record.slo() == "shop-A");
}

TEST(WebhookIn, ErrorsNameTheField) {
  EXPECT_EQ(FiringInWebhook("{").status().message(), "the body is not JSON");
  EXPECT_EQ(FiringInWebhook("{}").status().message(), "version: is not \"4\"");
  EXPECT_EQ(FiringInWebhook(R"({"version":"4","alerts":{}})").status().message(),
            "alerts: needs a list");
  EXPECT_EQ(FiringInWebhook(R"({"version":"4","alerts":[{"status":"on"}]})").status().message(),
            "alerts[0].status: is neither firing nor resolved");
  EXPECT_EQ(FiringInWebhook(R"({"version":"4","alerts":[{"status":"firing","labels":{"a":1}}]})")
                .status()
                .message(),
            "alerts[0].labels.a: needs a string");
}

TEST_F(JournalTest, AnAlertIsFoundByIdAndByBothFingerprints) {
  Resolve(MakeAlert("A"));
  clock_.Advance(minutes(1));
  Fire(MakeAlert("A"));
  const auto all = journal_->List({});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(journal_->Find(std::to_string(all[1].id))->id, all[1].id);
  EXPECT_EQ(journal_->Find(FingerprintText(all[0].fingerprint))->id, all[0].id) << "the latest";
  EXPECT_EQ(journal_->Find(notify::AlertmanagerFingerprint(all[0].labels))->id, all[0].id);
  for (const char* text : {"", "7", "x", "1x", "00000000000000000000000000000000"})
    EXPECT_EQ(journal_->Find(text).status().code(), StatusCode::kNotFound) << text;
}

TEST_F(JournalTest, FeedbackIsCheckedAndMayBeCorrected) {
  Fire(MakeAlert("A"));
  const auto give = [&](Feedback feedback) { return journal_->Give("1", std::move(feedback)); };
  EXPECT_EQ(give({.minutes = -1}).status().message(), "minutes: must be 0 to 100000");
  EXPECT_FALSE(give({.minutes = kMaxMinutes + 1}).ok());
  EXPECT_TRUE(give({.minutes = kMaxMinutes}).ok());
  Feedback long_note;
  long_note.note = std::string(kMaxTextBytes + 1, 'x');
  EXPECT_EQ(give(long_note).status().message(), "note: above 4096 bytes");
  Feedback bad_text;
  bad_text.by = "\xff";
  EXPECT_EQ(give(bad_text).status().message(), "by: is not UTF-8");
  ASSERT_TRUE(give({.verdict = Verdict::kNotActionable, .minutes = 5}).ok());
  EXPECT_EQ(Only().feedback->verdict, Verdict::kNotActionable);
  const Totals totals = TotalsOf();
  EXPECT_EQ(totals.verdicts[static_cast<size_t>(Verdict::kActionable)], 1U);
  EXPECT_EQ(totals.verdicts[static_cast<size_t>(Verdict::kNotActionable)], 1U);
  EXPECT_EQ(totals.minutes, kMaxMinutes) << "counters never fall";
}

TEST_F(JournalTest, TheOldestResolvedOnesAreForgottenAndStayCounted) {
  Open(3);
  Fire(MakeAlert("stays"));
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(seconds(1));
    Resolve(MakeAlert("A" + std::to_string(i)));
  }
  const auto all = journal_->List({});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].slo(), "shop-A4");
  EXPECT_EQ(all[1].slo(), "shop-A3");
  EXPECT_EQ(all[2].slo(), "shop-stays") << "what fires is never forgotten";
  EXPECT_EQ(TotalsOf().fired, 6U);
  EXPECT_EQ(journal_->stats().forgotten, 3U);
  clock_.Advance(kKeepRecords + seconds(2));
  Fire(MakeAlert("new"));
  EXPECT_EQ(journal_->List({}).size(), 2U);
}

TEST_F(JournalTest, ListsWhatIsAskedFor) {
  Fire(MakeAlert("A"));
  clock_.Advance(minutes(1));
  Alert other = MakeAlert("B", false);
  other.labels = Labels{{"owner", "search"}};
  other.ends_at = clock_.Now();
  Fire(other);
  const auto names = [&](RecordFilter filter) {
    std::string out;
    for (const AlertRecord& record : journal_->List(filter)) out += record.slo() + " ";
    return out;
  };
  EXPECT_EQ(names({}), "shop-B shop-A ");
  EXPECT_EQ(names({.team = "search"}), "shop-B ");
  EXPECT_EQ(names({.page = true}), "shop-A ");
  EXPECT_EQ(names({.firing = false}), "shop-B ");
  EXPECT_EQ(names({.from = clock_.Now()}), "shop-B ");
  EXPECT_EQ(names({.to = clock_.Now()}), "shop-A ");
  EXPECT_EQ(names({.limit = 1}), "shop-B ");
  EXPECT_EQ(names({.service = "none"}), "");
}

TEST_F(JournalTest, SeriesAreByTeam) {
  Fire(MakeAlert("A"));
  metrics::Registry registry;
  RegisterMetrics(registry, *journal_);
  const std::string text = metrics::RenderText(registry.Collect());
  EXPECT_THAT(text, testing::HasSubstr("basalt_alerts_fired_total{service=\"shop\",severity="
                                       "\"page\",team=\"payments\"} 1\n"));
  EXPECT_THAT(text, testing::HasSubstr("basalt_alerts_feedback_total{actionable=\"self_healed\""));
}

TEST_F(JournalTest, AFileCutAnywhereKeepsWhatIsWhole) {
  for (int i = 0; i < 3; ++i) Fire(MakeAlert("A" + std::to_string(i)));
  journal_.reset();
  std::ifstream in(dir_ / "alert_history.log", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  size_t last = 0;
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    std::ofstream(dir_ / "alert_history.log", std::ios::binary | std::ios::trunc)
        << bytes.substr(0, cut);
    Open();
    EXPECT_TRUE(warnings_.empty());
    EXPECT_GE(journal_->List({}).size(), last);
    last = journal_->List({}).size();
  }
  EXPECT_EQ(last, 3U);
}

TEST(AlertRecordBytes, HostileOnesAreAnError) {
  AlertRecord record;
  record.id = 7;
  record.identity = Labels{{"alertname", "A"}};
  record.labels = Labels{{"alertname", "A"}, {"team", "t"}};
  record.ends_at = FromMs(5);
  record.delivered_at = FromMs(4);
  record.acknowledged_at = FromMs(3);
  record.feedback = Feedback{Verdict::kVendor, 1.5, "a", "b", "c", FromMs(9)};
  std::string good;
  EncodeRecord(record, good);
  auto back = DecodeRecord(good);
  ASSERT_TRUE(back.ok());
  record.fingerprint = back->fingerprint;
  EXPECT_EQ(*back, record);
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(DecodeRecord(good.substr(0, n)).ok()) << n;
  EXPECT_FALSE(DecodeRecord(good + "x").ok());
}

}  // namespace
}  // namespace basalt::actionability
