#include "storage/change_log.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace basalt::storage {
namespace {

TEST(ChangeLog, TellsHowFarBackChangesReachSinceAMoment) {
  ChangeLog log;
  const uint64_t before = log.Stamp();
  EXPECT_EQ(log.UnchangedBefore(before), INT64_MAX);
  log.Record(20'000);
  const uint64_t between = log.Stamp();
  log.Record(30'999);
  EXPECT_EQ(log.UnchangedBefore(before), 20'000);
  EXPECT_EQ(log.UnchangedBefore(between), 30'000);  // whole seconds
  EXPECT_EQ(log.UnchangedBefore(log.Stamp()), INT64_MAX);
  log.Record(-1);
  EXPECT_EQ(log.UnchangedBefore(before), -1000);
  EXPECT_EQ(log.UnchangedBefore(between), -1000);
}

TEST(ChangeLog, ForgettingDetailsIsAlwaysOnTheSafeSide) {
  ChangeLog log;
  std::mt19937_64 random(1);
  std::vector<int64_t> changes;  // by moment
  const size_t count = 4 * ChangeLog::kMaxEntries;
  for (size_t i = 0; i < count; ++i) {
    const auto jitter = static_cast<int64_t>(random() % 5000);
    changes.push_back(static_cast<int64_t>(i) * 2000 - jitter);
    log.Record(changes.back());
  }
  int64_t earliest = INT64_MAX;
  for (size_t moment = count; moment-- > 0;) {
    earliest = std::min(earliest, changes[moment]);
    ASSERT_LE(log.UnchangedBefore(moment), earliest) << "since moment " << moment;
  }
  // And what is recent is told to the second.
  EXPECT_GE(log.UnchangedBefore(count - 1), changes[count - 1] - 1000);
}

}  // namespace
}  // namespace basalt::storage
