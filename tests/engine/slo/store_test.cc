// The evaluator over the real store: log, head, seals, restarts, and two threads at once.
#include "storage/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "engine/base/stale.h"
#include "engine/slo/slo_files.h"
#include "storage/resolver.h"
#include "tests/engine/slo/scenario.h"
#include "tests/engine/slo/small_store.h"
#include "tests/support/temporary_directory.h"

namespace basalt::slo {
namespace {

constexpr int64_t kScrapeMs = 15'000;
constexpr int64_t kMinuteMs = 60'000;

struct Written {
  std::string series;
  int64_t t_ms;
  double value;
};

class SloOverStore : public ::testing::Test {
 protected:
  void TearDown() override {
    evaluator_.reset();
    samples_.reset();
    store_.reset();
  }
  void Open(const Clock& clock, const std::string& group_by = "") {
    evaluator_.reset();
    samples_.reset();
    if (store_ != nullptr) {
      ASSERT_TRUE(store_->Close().ok());
    }
    store_.reset();
    auto store = storage::Store::Open(SmallStore(directory_.path("data"), clock));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(store).value();
    samples_ = std::make_unique<StoreSamples>(*store_);
    EvaluatorOptions slo_options;
    slo_options.clock = &clock;
    slo_options.sweep_interval = std::chrono::milliseconds(1);
    evaluator_ = std::make_unique<Evaluator>(*samples_, sink_, slo_options);
    const Status status = evaluator_->SetDefinitions(ShopSlo(group_by, more_));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Write(const std::vector<Written>& samples) {
    storage::BatchBuilder builder(store_->resolver(), kDefaultTenant);
    for (const Written& sample : samples) {
      Select(builder, Scenario::LabelsOf(sample.series));
      builder.AddSample(sample.t_ms, sample.value);
      oracle::Series& one = truth_.series[sample.series];
      one.target = sample.series.substr(sample.series.find(' ') + 1);
      one.bad = sample.series.starts_with("errors") ? 1 : 0;
      one.total = sample.series.starts_with("requests") ? 1 : 0;
      one.samples[sample.t_ms] = {sample.value, 0, IsStaleMarker(sample.value)};
    }
    const auto result = store_->Append(builder.Finish());
    ASSERT_TRUE(result.ok()) << result.status().ToString();
  }
  // Scrapes of "a" one `step_ms` apart, of 100 more requests and one more error each, and swept.
  // Returns when the next one would come.
  int64_t Scrapes(int count, int64_t t, int64_t step_ms = kScrapeMs) {
    for (int i = 0; i < count; ++i, t += step_ms) {
      Write({{"requests a", t, 100.0 * i}, {"errors a", t, 1.0 * i}});
      SweepAt(t + 200);
    }
    return t;
  }
  void SweepAt(int64_t now_ms) {
    clock_.Set(now_ms);
    const Status status = evaluator_->Sweep();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  GroupView View() {
    const auto slo = evaluator_->Slo(kDefaultTenant, "shop-requests");
    return slo.has_value() && !slo->groups.empty() ? slo->groups[0] : GroupView();
  }
  void ExpectWindows(int64_t at_ms) {
    truth_.Recount();
    const GroupView view = View();
    ASSERT_TRUE(view.as_of.has_value());
    ASSERT_EQ(ToMs(*view.as_of), at_ms);
    for (const WindowView& window : view.windows) {
      const oracle::Sums sums = truth_.Window(at_ms, window.length.count());
      EXPECT_NEAR(window.bad, static_cast<double>(sums.bad), 0.01) << window.length.count();
      EXPECT_NEAR(window.total, static_cast<double>(sums.total), 0.01) << window.length.count();
      EXPECT_TRUE(window.exact);
    }
  }

  std::string more_;  // further keys of the SLO
  const TemporaryDirectory directory_;
  FakeClock clock_{kStartMs};  // outlives the store, which looks at it while it closes
  RecordingSink sink_;
  oracle::Oracle truth_{1, 1000};
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<StoreSamples> samples_;
  std::unique_ptr<Evaluator> evaluator_;
};

TEST_F(SloOverStore, AgreesWithBruteForceThroughSealsRestartsAndDeletes) {
  FakeClock& clock = clock_;
  Open(clock);
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 300; ++i) {
    const int64_t t = kStartMs + i * kScrapeMs;
    clock.Set(t);
    if (i == 60 || i == 200) {
      ASSERT_TRUE(store_->Settle().ok());
    }
    if (i == 90 || i == 91 || i == 210) Open(clock);
    if (i == 150) requests = errors = 0;  // the process restarts
    requests += 100;
    errors += i > 220 ? 40 : 0;
    if (i % 29 == 28) continue;
    Write({{"requests a", t, requests}, {"errors a", t, errors}});
    if (i == 120) Write({{"errors b", t, 3}, {"requests b", t, 30}});
    if (i % 41 == 40) {
      Write({{"requests a", t - 7'000, requests - 50}});  // late
    }
    clock.Set(t + 200);
    ASSERT_TRUE(evaluator_->Sweep().ok());
    if (ToMs(*View().as_of) != t) {
      clock.Set(t + 7'000);
      ASSERT_TRUE(evaluator_->Sweep().ok());
    }
    ASSERT_TRUE(evaluator_->Sweep().ok());
    truth_.Recount();
    truth_.Round(t);
    EXPECT_EQ(View().severities[0].state != SeverityState::kInactive, truth_.page.firing) << i;
    if (truth_.page.firing) {
      EXPECT_EQ(ToMs(*View().severities[0].starts_at), truth_.page.starts_ms);
    }
    if (i % 7 == 0 || i > 290) ExpectWindows(t);
    if (HasFailure()) return;
  }
  EXPECT_TRUE(truth_.page.firing);

  const int64_t last = kStartMs + 299 * kScrapeMs;
  storage::DeleteRequest request;
  request.any_of = {{{storage::MatchType::kEqual, "__name__", "errors_total"},
                     {storage::MatchType::kEqual, "instance", "a"}}};
  request.range = {last - 40 * kScrapeMs, last - 20 * kScrapeMs};
  ASSERT_TRUE(store_->Delete(request).ok());
  auto& samples = truth_.series["errors a"].samples;
  samples.erase(samples.lower_bound(request.range.min_ms),
                samples.upper_bound(request.range.max_ms));
  ASSERT_TRUE(evaluator_->Sweep().ok());
  ExpectWindows(last);
}

// A store that was closed has all series in files: whether a sample is newer than what is there is
// not known to it.
TEST_F(SloOverStore, AScrapeThatACleanRestartCutsInTwoIsOneRound) {
  for (const bool ended : {false, true}) {
    SCOPED_TRACE(ended ? "its target was away before" : "its target was there");
    const int64_t begin = kStartMs + (ended ? 100 * kScrapeMs : 0);
    clock_.Set(begin);
    Open(clock_);
    int64_t t = Scrapes(10, begin);
    if (ended) {
      Write({{"requests a", t, kStaleMarker}, {"errors a", t, kStaleMarker}});
      t += kScrapeMs;
    }
    clock_.Set(t + 100);
    Write({{"errors a", t, 11}});
    Open(clock_);
    Write({{"requests a", t, 1100}});
    SweepAt(t + 200);
    ASSERT_NO_FATAL_FAILURE(ExpectWindows(t)) << "it is waited for, or decided without";
  }
}

TEST_F(SloOverStore, ASampleThatIsReplacedAfterItWasSealedIsCountedFrom) {
  Open(clock_);
  const int64_t t = Scrapes(10, kStartMs);
  ASSERT_TRUE(store_->Settle().ok());
  Write({{"errors a", t - kScrapeMs, 12}});
  SweepAt(t - 100);
  Write({{"requests a", t, 1000}, {"errors a", t, 13}});
  SweepAt(t + 200);
  ExpectWindows(t);
}

// A budget of an hour, and tiers that look back for three days.
TEST_F(SloOverStore, WindowsLongerThanThePeriodAreThereAfterARestart) {
  more_ = "    period: 1h\n    tiers: [{severity: ticket, long: 6h, short: 30m, factor: 1}]\n";
  Open(clock_);
  const int64_t t = Scrapes(100, kStartMs, kMinuteMs);
  ExpectWindows(t - 60'000);
  Open(clock_);
  ASSERT_TRUE(evaluator_->Sweep().ok());
  ExpectWindows(t - 60'000);
}

// Two SLOs over the same events: one by counters, one by what the test says. `write` gives the
// other one's samples of a step with that many more events and errors, or since the process began.
struct Twin {
  std::string error_query;
  std::string total_query;
  std::function<void(storage::BatchBuilder&, int64_t t, double events, double errors,
                     double all_events, double all_errors)>
      write;
};

class StreamedTwin : public SloOverStore {
 protected:
  void Reopen(const Clock& clock, const Twin& twin) {
    Open(clock);
    CheckedSlos checked = CheckSloText(R"(version: basalt/v1
service: twin
owner: team-checkout
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: )" + twin.error_query +
                                           R"(
        total_query: )" + twin.total_query +
                                           R"(
    alerting: {name: Twin}
)",
                                       "twin.yml");
    ASSERT_TRUE(checked.ok()) << ToString(checked.problems[0]);
    ASSERT_FALSE(checked.definitions[0].polled.has_value()) << checked.definitions[0].polled->why;
    std::vector<Definition> all = ShopSlo();
    all.push_back(checked.definitions[0]);
    ASSERT_TRUE(evaluator_->SetDefinitions(std::move(all)).ok());
  }
  void ExpectTwins(int step) {
    const auto counters = evaluator_->Slo(kDefaultTenant, "shop-requests");
    const auto twin = evaluator_->Slo(kDefaultTenant, "twin-requests");
    ASSERT_TRUE(counters && twin && counters->groups.size() == 1 && twin->groups.size() == 1);
    const GroupView& a = counters->groups[0];
    const GroupView& b = twin->groups[0];
    ASSERT_EQ(a.as_of, b.as_of) << step;
    for (size_t w = 0; w < a.windows.size(); ++w) {
      EXPECT_NEAR(a.windows[w].bad, b.windows[w].bad, 0.01) << step << " window " << w;
      EXPECT_NEAR(a.windows[w].total, b.windows[w].total, 0.01) << step << " window " << w;
    }
    for (size_t s = 0; s < a.severities.size(); ++s) {
      EXPECT_EQ(a.severities[s].state, b.severities[s].state) << step;
      EXPECT_EQ(a.severities[s].starts_at, b.severities[s].starts_at) << step;
    }
  }
  void Play(const Twin& twin, bool resets) {
    FakeClock& clock = clock_;
    Reopen(clock, twin);
    double events = 0;
    double errors = 0;
    for (int i = 0; i < 260 && !HasFailure(); ++i) {
      const int64_t t = kStartMs + i * kScrapeMs;
      if (i == 90 || i == 205) Reopen(clock, twin);
      if (i == 60) {
        ASSERT_TRUE(store_->Settle().ok());
      }
      if (resets && i == 150) events = errors = 0;
      const double more = resets ? 100 : 1;
      const double bad = i > 180 && i < 230 ? more : (i % 40 == 7 ? 1 : 0);
      events += more;
      errors += bad;
      storage::BatchBuilder builder(store_->resolver(), kDefaultTenant);
      if (i == 0) {
        Select(builder, Scenario::LabelsOf("up a"));
        builder.AddSample(t - 5'000, 1);
        ASSERT_TRUE(store_->Append(builder.Finish()).ok());
      }
      Select(builder, Scenario::LabelsOf("requests a"));
      builder.AddSample(t, events);
      Select(builder, Scenario::LabelsOf("errors a"));
      builder.AddSample(t, errors);
      twin.write(builder, t, more, bad, events, errors);
      ASSERT_TRUE(store_->Append(builder.Finish()).ok());
      clock.Set(t + 7'000);
      ASSERT_TRUE(evaluator_->Sweep().ok());
      ExpectTwins(i);
    }
    EXPECT_FALSE(sink_.published.empty());
  }
};

TEST_F(StreamedTwin, BoolGaugesCountLikeCounters) {
  Play({"sum(count_over_time(probe_success[{{.window}}])) - "
        "sum(sum_over_time(probe_success[{{.window}}]))",
        "sum(count_over_time(probe_success[{{.window}}]))",
        [](storage::BatchBuilder& builder, int64_t t, double, double errors, double, double) {
          Select(builder,
                 Labels{{"__name__", "probe_success"}, {"instance", "a"}, {"job", "shop"}});
          builder.AddSample(t, errors > 0 ? 0 : 1);
        }},
       false);
}

TEST_F(StreamedTwin, NativeHistogramsCountLikeCounters) {
  // Observations in (0.5, 1] are good, those in (1, 2] are not.
  const std::string of = "sum(rate(latency_seconds[{{.window}}]))";
  const std::string count = "histogram_count(" + of + ")";
  Play(
      {count + " * (1 - histogram_fraction(0, 1, " + of + "))", count,
       [](storage::BatchBuilder& builder, int64_t t, double, double, double events, double errors) {
         Select(builder,
                Labels{{"__name__", "latency_seconds"}, {"instance", "a"}, {"job", "shop"}});
         NativeHistogram h;
         h.count = static_cast<uint64_t>(events);
         h.sum = events;
         h.positive_spans = {{0, 2}};
         const auto good = static_cast<int64_t>(events - errors);
         h.positive_deltas = {good, static_cast<int64_t>(errors) - good};
         builder.AddHistogram(t, h);
       }},
      true);
}

TEST_F(SloOverStore, NothingIsMissedOrCountedTwiceWhileLoadingAndSweepingRunBesideWrites) {
  Open(SystemClock());
  const int64_t begin = ToMs(SystemClock().Now()) - 2'000'000;
  evaluator_->Start();
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      (void)View();
      (void)evaluator_->AlertRules(kDefaultTenant);
    }
  });
  constexpr int kSteps = 400;
  constexpr int kTargets = 6;
  for (int i = 0; i <= kSteps; ++i) {
    std::vector<Written> batch;
    for (int target = 0; target < kTargets; ++target) {
      const std::string name(1, static_cast<char>('a' + target));
      batch.push_back({"requests " + name, begin + i * 5'000, 100.0 * i});
      batch.push_back({"errors " + name, begin + i * 5'000, 1.0 * i});
    }
    Write(batch);
    // Loads again and again while samples arrive.
    if (i % 80 == 40) {
      ASSERT_TRUE(evaluator_->SetDefinitions(ShopSlo()).ok());
    }
  }
  const int64_t last = begin + kSteps * 5'000;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < until) {
    const GroupView view = View();
    if (view.as_of.has_value() && ToMs(*view.as_of) == last) break;
    std::this_thread::yield();
  }
  done = true;
  reader.join();
  evaluator_->Stop();
  ASSERT_TRUE(evaluator_->Sweep().ok());
  ExpectWindows(last);
}

}  // namespace
}  // namespace basalt::slo
