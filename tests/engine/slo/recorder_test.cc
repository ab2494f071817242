// What SLOs record (tools/slo_recorder.h) over the real store.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/stale.h"
#include "engine/slo/sli_queries.h"
#include "query/engine.h"
#include "storage/resolver.h"
#include "storage/store.h"
#include "tests/engine/slo/scenario.h"
#include "tests/engine/slo/small_store.h"
#include "tests/support/temporary_directory.h"
#include "tools/slo_recorder.h"

namespace basalt::slo {
namespace {

using MatchType = storage::MatchType;

class RecorderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = storage::Store::Open(SmallStore(directory_.path("data"), clock_));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(store).value();
    samples_ = std::make_unique<StoreSamples>(*store_);
    EvaluatorOptions slo_options;
    slo_options.clock = &clock_;
    evaluator_ = std::make_unique<Evaluator>(*samples_, sink_, slo_options);
    ASSERT_TRUE(evaluator_->SetDefinitions(ShopSlo("instance")).ok());
    recorder_ = std::make_unique<cli::SloRecorder>(*evaluator_, *store_, clock_);
  }
  void TearDown() override {
    recorder_.reset();
    evaluator_.reset();
    samples_.reset();
    store_.reset();
  }
  void Write(const std::string& series, int64_t t_ms, double value) {
    storage::BatchBuilder builder(store_->resolver(), kDefaultTenant);
    Select(builder, Scenario::LabelsOf(series));
    builder.AddSample(t_ms, value);
    ASSERT_TRUE(store_->Append(builder.Finish()).ok());
  }
  // A round of 100 requests, of which 30 fail.
  void Round(const std::string& target, int n) {
    const int64_t t = kStartMs + n * 15'000;
    clock_.Set(t);
    Write("requests " + target, t, 100.0 * n);
    Write("errors " + target, t, 30.0 * n);
    clock_.Set(t + 200);
    ASSERT_TRUE(evaluator_->Sweep().ok());
  }
  // What is stored under that name: by `instance`, in order of time.
  std::map<std::string, std::vector<double>> Stored(const std::string& name) {
    std::map<std::string, std::vector<double>> out;
    const auto snapshot = store_->reader().TakeSnapshot();
    EXPECT_TRUE(snapshot.ok());
    for (uint32_t p = 0; p < (*snapshot)->partition_count(); ++p) {
      const storage::MatcherSet matchers = {{MatchType::kEqual, std::string(kMetricName), name}};
      const auto selection =
          (*snapshot)->Select(kDefaultTenant, PartitionId{static_cast<uint16_t>(p)}, matchers,
                              {INT64_MIN, INT64_MAX}, 100);
      EXPECT_TRUE(selection.ok());
      const auto cursor = (*selection)->Read(0, (*selection)->size(), {});
      storage::SeriesColumns columns;
      while (*cursor->Next(columns)) {
        auto& values = out[std::string((*selection)->labels(columns.series).Get("instance"))];
        values.insert(values.end(), columns.values.begin(), columns.values.end());
      }
    }
    return out;
  }

  const TemporaryDirectory directory_;
  FakeClock clock_{kStartMs};
  RecordingSink sink_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<StoreSamples> samples_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<cli::SloRecorder> recorder_;
};

TEST_F(RecorderTest, StoresWhatSlosSayOfEachGroup) {
  for (int n = 1; n <= 10; ++n) {
    Round("a", n);
    if (n % 2 == 0) {
      ASSERT_TRUE(recorder_->RecordOnce().ok());
    }
  }
  const auto ratios = Stored("slo:sli_error:ratio_rate5m");
  ASSERT_EQ(ratios.size(), 1U);
  ASSERT_EQ(ratios.at("a").size(), 5U) << "once each time";
  EXPECT_NEAR(ratios.at("a").back(), 0.3, 1e-9);
  EXPECT_EQ(Stored("slo:objective:ratio").at("").size(), 5U);
  EXPECT_FALSE(Stored("ALERTS").empty()) << "it pages";
}

TEST_F(RecorderTest, WhatIsNoLongerRecordedEndsWithAMarkerOnce) {
  for (int n = 1; n <= 10; ++n) Round("a", n);
  ASSERT_TRUE(recorder_->RecordOnce().ok());
  ASSERT_TRUE(evaluator_->SetDefinitions({}).ok());
  clock_.Advance(30'000);
  ASSERT_TRUE(recorder_->RecordOnce().ok());
  clock_.Advance(30'000);
  ASSERT_TRUE(recorder_->RecordOnce().ok());
  for (const char* name : {"slo:sli_error:ratio_rate5m", "slo:objective:ratio", "ALERTS"}) {
    const auto stored = Stored(name);
    ASSERT_EQ(stored.size(), 1U) << name;
    const std::vector<double>& values = stored.begin()->second;
    // A page and a ticket fire.
    ASSERT_EQ(values.size(), std::string(name) == "ALERTS" ? 4U : 2U) << name;
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(IsStaleMarker(values[i]), i % 2 == 1) << name;
    }
  }
}

TEST_F(RecorderTest, EventsAreCountedOnOverRestartsAndLateSamplesAreStoredAnew) {
  for (int n = 1; n <= 60; ++n) {
    if (n == 30) {
      recorder_.reset();
      evaluator_.reset();
      EvaluatorOptions options;
      options.clock = &clock_;
      evaluator_ = std::make_unique<Evaluator>(*samples_, sink_, options);
      ASSERT_TRUE(evaluator_->SetDefinitions(ShopSlo("instance")).ok());
      recorder_ = std::make_unique<cli::SloRecorder>(*evaluator_, *store_, clock_);
    }
    if (n != 22) Round("a", n);
    if (n == 50) {  // the last round of a minute comes only now
      Write("requests a", kStartMs + 22 * 15'000, 2200);
      Write("errors a", kStartMs + 22 * 15'000, 660);
    }
    if (n % 2 == 0) {
      ASSERT_TRUE(recorder_->RecordOnce().ok());
    }
  }
  const auto bad = Stored("basalt_slo_bad_events_total");
  const auto total = Stored("basalt_slo_total_events_total");
  ASSERT_EQ(bad.size(), 1U) << "and none of the total";
  ASSERT_EQ(total.at("a").size(), 16U);
  for (size_t minute = 0; minute < 16; ++minute) {
    // kStartMs is 23 s after a full minute, so the first minute ends with the second round; of the
    // first nothing is known but where it began.
    const double rounds = minute == 0 ? 0 : 4.0 * static_cast<double>(minute) - 3;
    EXPECT_EQ(bad.at("a")[minute], 30 * rounds) << minute;
    EXPECT_EQ(total.at("a")[minute], 100 * rounds) << minute;
  }
}

TEST_F(RecorderTest, SlothsMeanIsWhatItsRuleGivesOverWhatIsStored) {
  const query::Engine engine{query::EngineOptions{}};
  EngineQueries queries(engine, *samples_);
  recorder_.reset();
  recorder_ = std::make_unique<cli::SloRecorder>(*evaluator_, *store_, clock_, &queries);
  const std::string selector =
      "slo:sli_error:ratio_rate5m{sloth_id=\"shop-requests\", sloth_service=\"shop\", "
      "sloth_slo=\"requests\"}[30d]";
  const std::string rule =
      "sum_over_time(" + selector + ") / ignoring(sloth_window) count_over_time(" + selector + ")";
  double requests = 0;
  double errors = 0;
  for (int n = 1; n <= 240; ++n) {
    const int64_t t = kStartMs + n * 15'000;
    // Much traffic without errors, then little with many; in between none at all.
    const double more = n < 80 ? 1000 : (n < 120 ? 0 : 7);
    requests += more;
    errors += n < 120 ? 0 : 2;
    clock_.Set(t);
    Write("requests a", t, requests);
    Write("errors a", t, errors);
    clock_.Set(t + 200);
    ASSERT_TRUE(evaluator_->Sweep().ok());
    if (n % 2 != 0) continue;
    ASSERT_TRUE(recorder_->RecordOnce().ok());
    const auto ratios = Stored("slo:sli_error:ratio_rate5m");
    const auto means = Stored("slo:sli_error:ratio_rate30d");
    ASSERT_EQ(means.size(), ratios.size());
    if (means.empty()) continue;
    const auto answer = queries.Range(kDefaultTenant, rule, t + 200, t + 200, 1000);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    ASSERT_EQ(answer->size(), 1U);
    EXPECT_EQ(means.at("a").back(), answer->front().points.back().second) << n;
    double sum = 0;
    double count = 0;
    for (const double ratio : ratios.at("a")) {
      if (IsStaleMarker(ratio)) continue;
      sum += ratio;
      ++count;
    }
    const double mean = means.at("a").back();
    EXPECT_NEAR(mean, sum / count, 1e-12) << n;
    EXPECT_DOUBLE_EQ(Stored("slo:period_burn_rate:ratio").at("a").back(), mean / 0.001) << n;
    EXPECT_DOUBLE_EQ(Stored("slo:period_error_budget_remaining:ratio").at("a").back(),
                     1 - mean / 0.001)
        << n;
  }
  // 0.28 for half of the time that had events, which the events themselves hardly show.
  EXPECT_GT(Stored("slo:sli_error:ratio_rate30d").at("a").back(), 0.1);
  EXPECT_LT(evaluator_->Slo(kDefaultTenant, "shop-requests")->groups[0].windows.back().ratio, 0.01);
}

TEST_F(RecorderTest, WithoutSlosNothingIsStored) {
  ASSERT_TRUE(evaluator_->SetDefinitions({}).ok());
  ASSERT_TRUE(recorder_->RecordOnce().ok());
  EXPECT_EQ(store_->Stats().samples_appended, 0U);
}

}  // namespace
}  // namespace basalt::slo
