// Tenants' limits, turns, and what is told of refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "engine/ingest/fair_queue.h"
#include "engine/ingest/rejection_log.h"
#include "engine/ingest/tenants.h"
#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr TenantId kGreedy{1};
constexpr TenantId kModest{2};

class ManualClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(1'700'000'000'000 + ms); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::milliseconds(ms);
  }
  int64_t ms = 1000;
};

// ---- FairQueue

// Runs nothing until told to.
class HeldPool final : public Executor {
 public:
  [[nodiscard]] bool Post(Task task) override {
    if (refuses) return false;
    tasks.push_back(std::move(task));
    return true;
  }
  void RunAll() {
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i]();
    tasks.clear();
  }
  std::vector<Task> tasks;
  bool refuses = false;
};

TEST(FairQueue, ServesTenantsInTurnsHoweverMuchOneHasPosted) {
  HeldPool pool;
  FairQueue queue(pool, 100);
  std::vector<std::string> order;
  const auto post = [&](TenantId tenant, const char* name) {
    ASSERT_TRUE(queue.Post(tenant, [&order, name] { order.emplace_back(name); }));
  };
  post(kGreedy, "g1");
  post(kGreedy, "g2");
  post(kGreedy, "g3");
  post(kModest, "m1");
  post(kModest, "m2");
  pool.RunAll();
  EXPECT_THAT(order, ElementsAre("g1", "m1", "g2", "m2", "g3"));
  EXPECT_EQ(queue.queued(), 0U);
}

TEST(FairQueue, LeavesRoomForWhoeverComesNext) {
  HeldPool pool;
  FairQueue queue(pool, 12);
  const auto fill = [&](TenantId tenant) {
    int taken = 0;
    while (queue.Post(tenant, [] {})) ++taken;
    return taken;
  };
  EXPECT_EQ(fill(kGreedy), 6);  // as many as are left free
  EXPECT_EQ(fill(kGreedy), 0);
  EXPECT_EQ(fill(kModest), 3);
  EXPECT_EQ(fill(TenantId{3}), 2);
  pool.RunAll();
  EXPECT_EQ(fill(kGreedy), 6);
}

TEST(FairQueue, DropsNothingItHasTakenWhenThePoolRefuses) {
  HeldPool pool;
  FairQueue queue(pool, 10);
  int ran = 0;
  ASSERT_TRUE(queue.Post(kGreedy, [&] { ++ran; }));
  pool.refuses = true;
  EXPECT_FALSE(queue.Post(kModest, [&] { ran += 100; }));
  pool.RunAll();
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(queue.queued(), 0U);
}

TEST(FairQueue, RunsEverythingOnceOnManyThreads) {
  ThreadPool pool("fair", 3, 4096);
  FairQueue queue(pool, 4096);
  std::atomic<int> ran = 0;
  int posted = 0;
  for (uint32_t i = 0; i < 3000; ++i) {
    if (queue.Post(TenantId{i % 7}, [&ran] { ran.fetch_add(1); })) ++posted;
  }
  pool.Stop();
  EXPECT_EQ(ran.load(), posted);
  EXPECT_GT(posted, 1000);
}

// ---- Tenants

class TenantLimits : public testing::Test {
 protected:
  void SetLimits(const std::string& text) {
    const auto parsed = ParseTenantLimits(text, Limits());
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    LimitTable table;
    table.tenants.insert(*parsed);
    tenants.SetLimits(table);
  }
  // A batch of `fresh` new series with a sample each, and one known series with `known` samples.
  std::vector<storage::IngestBatch> Request(size_t fresh, size_t known = 0) {
    storage::IngestBatch batch;
    const auto add = [&](uint32_t series) {
      batch.sample_series.push_back(series);
      batch.sample_ms.push_back(1);
      batch.sample_value.push_back(static_cast<double>(series));
    };
    for (size_t i = 0; i < fresh; ++i) {
      std::string labels;
      const std::string name = "new" + std::to_string(i);
      const std::vector<LabelView> views = {{"__name__", name}};
      AppendCanonical(views, labels);
      batch.series.push_back({.id = storage::MakeSeriesId(kGreedy, labels),
                              .labels_offset = static_cast<uint32_t>(batch.labels.size()),
                              .labels_bytes = static_cast<uint32_t>(labels.size())});
      batch.labels += labels;
      add(static_cast<uint32_t>(i));
    }
    if (known > 0) batch.series.push_back({.ordinal = SeriesOrdinal{5}, .id = {}});
    for (size_t i = 0; i < known; ++i) add(static_cast<uint32_t>(fresh));
    report.Reset();
    report.samples = fresh + known;
    return {batch};
  }

  uint64_t active = 0;
  int counted = 0;
  ManualClock clock;
  Tenants tenants{[this](TenantId) -> Result<uint64_t> {
                    ++counted;
                    return active;
                  },
                  clock, LimitTable()};
  Report report;
};

TEST_F(TenantLimits, WithoutLimitsEverythingPassesAndNothingIsCounted) {
  auto batches = Request(3, 2);
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok());
  EXPECT_EQ(batches[0].series.size(), 4U);
  EXPECT_EQ(counted, 0);
  ASSERT_EQ(tenants.Uses().size(), 1U);
  EXPECT_EQ(tenants.Uses()[0].samples, 5U);
}

TEST_F(TenantLimits, ARateAllowsABurstAndThenItself) {
  SetLimits("1 max_samples_per_second=10");
  auto batches = Request(0, 100);
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok()) << "ten seconds' worth";
  const Tenants::Admission refused = tenants.Admit(kGreedy, batches, report);
  EXPECT_EQ(refused.status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status.message()), HasSubstr("10 samples/s"));
  EXPECT_EQ(refused.retry_after_seconds, 1);
  EXPECT_TRUE(tenants.Admit(kModest, batches, report).status.ok()) << "another tenant's rate";
  clock.ms += 1000;
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok());
  EXPECT_EQ(tenants.Admit(kGreedy, batches, report).retry_after_seconds, 9)
      << "90 samples are owed";
}

TEST_F(TenantLimits, SeriesBeyondTheLimitAreLeftOutAndTheRestIsStored) {
  SetLimits("1 max_active_series=10");
  active = 8;
  auto batches = Request(4, 3);
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok());
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].series.size(), 3U) << "two new ones and the known one";
  EXPECT_EQ(batches[0].sample_series, (std::vector<uint32_t>{0, 1, 2, 2, 2}));
  EXPECT_THAT(batches[0].sample_value, ElementsAre(0, 1, 4, 4, 4));
  EXPECT_EQ(report.rejected(Reason::kSeriesLimit), 2U);
  EXPECT_EQ(report.samples, 5U);
  ASSERT_EQ(report.details().size(), 1U);
  EXPECT_EQ(report.details()[0],
            "2 new series, the first new2: the tenant has 8 active series, the limit is 10 "
            "(max_active_series)");
  // The room is gone, though nobody has counted again.
  batches = Request(1);
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok());
  EXPECT_TRUE(batches.empty());
  EXPECT_EQ(counted, 1);
  // Series that went idle make room.
  clock.ms += Tenants::kRecount.count();
  active = 9;
  batches = Request(1);
  EXPECT_TRUE(tenants.Admit(kGreedy, batches, report).status.ok());
  EXPECT_EQ(batches.size(), 1U);
  EXPECT_EQ(report.rejected(), 0U);
}

TEST(ParseTenantLimits, NamesTheWordThatIsWrong) {
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"", "begin with its number"},
           {"x", "\"x\" is no whole number"},
           {"1 rate=5", "\"rate\" is none of"},
           {"1 max_labels", "is no key=number"},
           {"1 max_labels=-1", "\"-1\" is no whole number"}}) {
    const auto parsed = ParseTenantLimits(text, Limits());
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(error));
  }
  Limits all;
  all.max_labels = 7;
  const auto parsed = ParseTenantLimits("3 max_body=100  max_label_value=9", all);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->first, TenantId{3});
  EXPECT_EQ(parsed->second.max_body_bytes, 100U);
  EXPECT_EQ(parsed->second.max_label_value_bytes, 9U);
  EXPECT_EQ(parsed->second.max_labels, 7U) << "what is not said stays";
}

// ---- RejectionLog

TEST(RejectionLog, CountsByReasonAndKeepsTheLatestWithAnExample) {
  RejectionLog log;
  Report report;
  report.Reject(Reason::kTimestamp, 3, [] { return std::string("timeseries[0]: too late"); });
  report.Reject(Reason::kLabels, 1, [] { return std::string("timeseries[1]: no name"); });
  log.Add(FromMs(5), kModest, Protocol::kOtlp, report);
  log.Add(FromMs(6), kGreedy, Protocol::kRemoteWrite1, Refusal::kMalformed,
          std::string(RejectionLog::kMaxExampleBytes - 1, 'x') + "\xC3\xA4");
  const RejectionLog::Summary summary = log.Summarize();
  const auto& timestamp = summary.items[static_cast<size_t>(Reason::kTimestamp)];
  EXPECT_EQ(timestamp.reason, "timestamp");
  EXPECT_EQ(timestamp.count, 3U);
  ASSERT_TRUE(timestamp.last.has_value());
  EXPECT_EQ(timestamp.last->example, "timeseries[0]: too late");
  EXPECT_EQ(timestamp.last->tenant, kModest);
  EXPECT_FALSE(summary.items[static_cast<size_t>(Reason::kExemplar)].last.has_value());
  EXPECT_EQ(summary.requests[static_cast<size_t>(Refusal::kMalformed)].count, 1U);
  ASSERT_EQ(summary.recent.size(), 3U);
  EXPECT_EQ(summary.recent[0].example, std::string(RejectionLog::kMaxExampleBytes - 1, 'x') + "...")
      << "cut before the character that does not fit";
  EXPECT_EQ(summary.recent[1].example, "timeseries[1]: no name");
}

TEST(RejectionLog, ForgetsTheOldest) {
  RejectionLog log;
  for (size_t i = 0; i <= RejectionLog::kKept; ++i) {
    log.Add(FromMs(static_cast<int64_t>(i)), kModest, Protocol::kPush, Refusal::kOverload,
            std::to_string(i));
  }
  const RejectionLog::Summary summary = log.Summarize();
  EXPECT_EQ(summary.requests[static_cast<size_t>(Refusal::kOverload)].count,
            RejectionLog::kKept + 1);
  ASSERT_EQ(summary.recent.size(), RejectionLog::kKept);
  EXPECT_EQ(summary.recent.back().example, "1");
}

}  // namespace
}  // namespace basalt::ingest
