// tools/slo_recorder.h -- stores what SLOs record (engine/slo/recorded_series.h, event_counters.h)
// as ordinary series.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/labels.h"
#include "engine/base/mutex.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/event_counters.h"
#include "engine/slo/sample_store.h"
#include "engine/slo/sli_queries.h"
#include "storage/store.h"

namespace basalt::cli {

// How often: half of sloth's usual interval, so that a range of a minute holds two.
inline constexpr Duration kRecordInterval = std::chrono::seconds(30);
// Groups of one SLO that are recorded; the rest is counted in groupsOmitted. Ratios are recorded of
// firing ones first, counters in order of their labels, so that they go on.
inline constexpr size_t kRecordedGroups = 1000;

// Every kRecordInterval, in a thread of its own. An append that fails is logged once per change of
// reason. A series that is no longer recorded ends with a stale marker.
class SloRecorder {
 public:
  // All borrowed. `sloth_mean`: the period's ratio is sloth's mean of recorded ratios, asked here;
  // null: it is of events.
  SloRecorder(slo::Evaluator& slos, storage::Store& store, const Clock& clock,
              slo::SliQueries* sloth_mean = nullptr);
  ~SloRecorder();  // stops
  SloRecorder(const SloRecorder&) = delete;
  SloRecorder& operator=(const SloRecorder&) = delete;

  // One recording now, waiting until it is durable. One thread.
  Status RecordOnce();

 private:
  class Batch;
  Status RecordCounters(std::vector<Labels>& recorded);
  Status RecordSlothMeans(const std::vector<slo::SloView>& views, int64_t now_ms, Batch& batch,
                          std::vector<Labels>& recorded);
  void Run();

  slo::Evaluator& slos_;
  storage::Store& store_;
  const Clock& clock_;
  slo::SliQueries* const sloth_mean_;
  const slo::StoreSamples samples_;
  slo::EventCounters counters_;
  std::vector<Labels> recorded_;  // the last time, sorted
  Mutex mu_;
  CondVar wake_;
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace basalt::cli
