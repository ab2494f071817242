// Retention, rewrite, rollup and purge killed at each of their steps: nothing acknowledged is lost,
// nothing stays half done. The child is this executable again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "storage/codec/keys.h"
#include "storage/store.h"
#include "tests/storage/store_model.h"

namespace basalt::storage {
namespace {

using std::chrono::hours;

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr Duration kOneDay = hours(24);

// Runs to its end or until `point` is met for the `nth` time; then the process is gone.
void Scenario(const std::string& directory, const std::string& point, int nth, int say) {
  log::Configure(log::Level::kError, log::Format::kLogfmt);
  ManualClock clock(kBegin);
  std::atomic<int> met{0};
  StoreOptions options;
  options.directory = directory;
  options.partitions = 2;
  options.segment_bytes = 64u << 10;
  options.clock = &clock;
  options.purge_delay = Duration(0);
  options.on_step = [&](const StepEvent& event) {
    if (ToString(event) == point && ++met == nth) kill(getpid(), SIGKILL);
  };
  auto store = Store::Open(options).value();
  const auto done = [&](char what) {
    if (write(say, &what, 1) != 1) _exit(3);
  };
  const auto write_day = [&](const char* name, int64_t day) {
    std::vector<ModelWrite> writes;
    for (int i = 0; i < 3; ++i) {
      for (int64_t t = 0; t < 20; ++t) {
        writes.push_back({{{"__name__", name}, {"instance", "i" + std::to_string(i)}, {"job", "n"}},
                          day * kMsPerDay + 1000 + t * 900'000,
                          static_cast<double>(t * i)});
      }
    }
    if (!store->Append(MakeBatches(*store, writes)).ok()) _exit(4);
  };
  const int64_t day = kBegin / kMsPerDay;
  for (int64_t d = 0; d < 4; ++d) {
    // Two seals of a day, so that there is something to merge.
    for (const char* const name : {"a", "b"}) {
      write_day(name, day - 3 + d);
      if (d % 2 == 1 && !store->Settle().ok()) _exit(5);
    }
  }
  done('w');
  if (!store
           ->Delete({.any_of = {{{MatchType::kEqual, "__name__", "b"}}},
                     .range = {(day - 3) * kMsPerDay, (day - 1) * kMsPerDay}})
           .ok())
    _exit(6);
  done('d');
  if (!store->CleanTombstones().ok()) _exit(7);
  RetentionPolicy policy;
  policy.keep = 3 * kOneDay;
  policy.rules.push_back({.tenant = std::nullopt,
                          .matchers = {{MatchType::kEqual, "__name__", "a"}},
                          .raw = kOneDay,
                          .five_minutes = 2 * kOneDay,
                          .hours = 300 * kOneDay});
  if (!store->SetRetention(policy).ok()) _exit(8);
  done('r');
  for (int i = 0; i < 3; ++i) {
    if (!store->Settle().ok()) _exit(9);
    clock.Advance(kOneDay);
  }
  done('e');
  store.reset();
  _exit(0);
}

// The child's half: it needs a process of its own from the start, since RocksDB's threads do not
// survive a fork.
TEST(InterruptedScenario, RunsWhereItIsToldTo) {
  const char* const directory = std::getenv("BASALT_SCENARIO_DIRECTORY");
  if (directory == nullptr) GTEST_SKIP() << "the child of the tests below";
  Scenario(directory, std::getenv("BASALT_SCENARIO_POINT"),
           std::atoi(std::getenv("BASALT_SCENARIO_NTH")), 3);
}

class Interrupted : public ::testing::TestWithParam<const char*> {};

TEST_P(Interrupted, NothingAcknowledgedIsLostAndNothingStaysHalfDone) {
  const std::string point = GetParam();
  const int times = std::getenv("BASALT_TEST_ROUNDS") != nullptr ? 20 : 1;
  int stopped = 0;
  for (int nth = 1; nth <= times; ++nth) {
    SCOPED_TRACE(point + " for the " + std::to_string(nth) + ". time");
    TemporaryDirectory temp;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const std::string directory = "BASALT_SCENARIO_DIRECTORY=" + temp.path("data");
    const std::string at_point = "BASALT_SCENARIO_POINT=" + point;
    const std::string at_nth = "BASALT_SCENARIO_NTH=" + std::to_string(nth);
    const char* const arguments[] = {"retention_test", "--gtest_filter=InterruptedScenario.*",
                                     nullptr};
    const char* const environment[] = {directory.c_str(), at_point.c_str(), at_nth.c_str(),
                                       nullptr};
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      dup2(ends[1], 3);
      dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
      _exit(127);
    }
    close(ends[1]);
    std::string said;
    char c = 0;
    while (read(ends[0], &c, 1) == 1) said += c;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0) << said;
      continue;  // it does not come so often
    }
    ++stopped;
    ManualClock clock(kBegin + 3 * kMsPerDay);
    StoreOptions options;
    options.directory = temp.path("data");
    options.partitions = 2;
    options.segment_bytes = 64u << 10;
    options.clock = &clock;
    options.purge_delay = Duration(0);
    const bool rules = said.find('r') != std::string::npos;
    if (rules) {
      options.retention_policy.keep = 3 * kOneDay;
      options.retention_policy.rules.push_back({.tenant = std::nullopt,
                                                .matchers = {{MatchType::kEqual, "__name__", "a"}},
                                                .raw = kOneDay,
                                                .five_minutes = 2 * kOneDay,
                                                .hours = 300 * kOneDay});
    }
    auto opened = Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    Store& store = **opened;
    ASSERT_TRUE(store.Settle().ok());
    ASSERT_TRUE(store.CleanTombstones().ok());
    const auto snapshot = *store.reader().TakeSnapshot();
    const int64_t day = kBegin / kMsPerDay;
    if (said.find('w') != std::string::npos) {
      // Hours outlive everything: all twenty samples of each series and day are in them.
      std::map<std::string, uint64_t> counts;
      for (uint32_t p = 0; p < 2; ++p) {
        const auto selection =
            snapshot->Select(kDefaultTenant, static_cast<PartitionId>(p), {}, {}, SIZE_MAX).value();
        auto cursor = selection->ReadRollup(0, selection->size(), Resolution::kHour, {}).value();
        RollupColumns columns;
        while (cursor->Next(columns).value()) {
          for (const RollupBucket& b : columns.buckets)
            counts[std::string(selection->labels(columns.series).Get("__name__"))] += b.count;
        }
      }
      EXPECT_EQ(counts["a"], 3U * 20 * 4);
      const auto raw = ReadState(*snapshot).value();
      uint64_t b = 0;
      for (const auto& [labels, series] : raw) {
        for (const auto& [t, s] : series) {
          if (labels.Get("__name__") == "a" && rules) {
            EXPECT_GE(t / kMsPerDay, day + 2) << "a's samples are buckets by now";
          }
          b += labels.Get("__name__") == "b" ? 1 : 0;
        }
      }
      const bool deleted = said.find('d') != std::string::npos;
      if (rules) {
        EXPECT_EQ(b, 3U * 20) << "of b, the last day is kept";
      } else if (deleted) {
        EXPECT_EQ(b, 3U * 20 * 2);
      } else {
        EXPECT_TRUE(b == 3U * 20 * 4 || b == 3U * 20 * 2) << b;
      }
    }
    for (const PurgeReceipt& receipt : store.PurgeReceipts()) {
      EXPECT_EQ(receipt.series, 3U);
      EXPECT_EQ(receipt.samples, 3U * 20 * 2);
    }
  }
  EXPECT_GT(stopped, 0) << "the point is never met";
  RecordProperty("stopped", stopped);
  std::cout << point << ": stopped " << stopped << " times\n";
}

INSTANTIATE_TEST_SUITE_P(
    Points, Interrupted,
    ::testing::Values("seal: ingest ends", "seal: meta commit ends", "rewrite: rewrite begins",
                      "rewrite: ingest begins", "rewrite: ingest ends", "rewrite: meta commit ends",
                      "purge: rewrite begins", "purge: ingest begins", "purge: ingest ends",
                      "purge: meta commit ends", "purge: receipt begins", "rollup: rewrite begins",
                      "rollup: ingest begins", "rollup: ingest ends", "rollup: meta commit ends",
                      "retention: retention begins", "retention: meta commit ends"),
    [](const auto& param) {
      std::string name = param.param;
      std::erase(name, ':');
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

}  // namespace
}  // namespace basalt::storage
