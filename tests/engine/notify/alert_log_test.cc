// What a restart finds of alerts: the log, cut, damaged, strange and grown.
#include "engine/notify/alert_log.h"

#include <fstream>
#include <iterator>

#include "tests/engine/notify/outbox_fixture.h"

namespace basalt::notify {
namespace {

using std::chrono::minutes;

using AlertLogTest = OutboxTest;

TEST_F(AlertLogTest, ARestartSendsEverythingAgainWithItsStart) {
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

TEST_F(AlertLogTest, AnAlertLogCutAnywhereKeepsWhatIsWhole) {
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

TEST_F(AlertLogTest, ADamagedRecordIsLeftOutAndSaid) {
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

TEST_F(AlertLogTest, AFileThatIsNoAlertLogIsRefusedAndKept) {
  std::ofstream(dir_ / "alerts.log") << "somebody's notes, longer than the magic";
  OutboxOptions options;
  options.directory = dir_;
  options.threads = false;
  const auto outbox = Outbox::Open(options);
  ASSERT_FALSE(outbox.ok());
  EXPECT_EQ(outbox.status().code(), StatusCode::kDataLoss);
  EXPECT_GT(std::filesystem::file_size(dir_ / "alerts.log"), 10U);
}

TEST_F(AlertLogTest, TheLogIsRewrittenWhenItHasGrown) {
  Open();
  Alert alert = MakeAlert("A");
  alert.annotations.Set("text", std::string(100'000, 'x'));
  for (int i = 0; i < 100; ++i) Publish(alert);
  EXPECT_LT(outbox_->Stats().log_bytes, kLogRewriteBytes + 300'000);
  Open();
  EXPECT_EQ(outbox_->Firing().size(), 1U);
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
