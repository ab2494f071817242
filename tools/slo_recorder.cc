#include "tools/slo_recorder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/stale.h"
#include "engine/slo/recorded_series.h"
#include "storage/resolver.h"

namespace basalt::cli {
SloRecorder::SloRecorder(slo::Evaluator& slos, storage::Store& store, const Clock& clock,
                         slo::SliQueries* sloth_mean)
    : slos_(slos),
      store_(store),
      clock_(clock),
      sloth_mean_(sloth_mean),
      samples_(store),
      counters_(slos, samples_),
      thread_([this] { Run(); }) {}

SloRecorder::~SloRecorder() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

// Collects samples of many series for one append.
class SloRecorder::Batch {
 public:
  explicit Batch(storage::Store& store)
      : store_(store), builder_(store.resolver(), kDefaultTenant) {}
  void Add(const Labels& labels, int64_t time_ms, double value) {
    canonical_.clear();
    AppendCanonical(labels, canonical_);
    const Hash128 fingerprint = HashBytes128("slo:" + canonical_);
    if (!builder_.SelectKnown(fingerprint)) {
      views_.clear();
      for (const Label& label : labels) views_.push_back({label.name, label.value});
      builder_.SelectLabels(fingerprint, views_);
    }
    builder_.AddSample(time_ms, value);
    is_empty_ = false;
  }
  Status Append() {
    if (is_empty_) return OkStatus();
    return store_.Append(builder_.Finish()).status();
  }

 private:
  storage::Store& store_;
  storage::BatchBuilder builder_;
  std::string canonical_;
  std::vector<LabelView> views_;
  bool is_empty_ = true;
};

Status SloRecorder::RecordOnce() {
  const int64_t now_ms = ToMs(clock_.Now());
  const slo::PeriodRatio period =
      sloth_mean_ == nullptr ? slo::PeriodRatio::kEvents : slo::PeriodRatio::kSloth;
  const std::vector<slo::SloView> views = slos_.Slos(kDefaultTenant, kRecordedGroups);
  Batch batch(store_);
  std::vector<Labels> recorded;
  for (const slo::SloView& view : views) {
    for (slo::RecordedSample& sample : slo::RecordedSeries(view, period)) {
      batch.Add(sample.labels, now_ms, sample.value);
      recorded.push_back(std::move(sample.labels));
    }
  }
  BASALT_TRY(batch.Append());
  Batch rest(store_);
  Status status;
  if (sloth_mean_ != nullptr) status = RecordSlothMeans(views, now_ms, rest, recorded);
  if (Status counted = RecordCounters(recorded); !counted.ok()) status = std::move(counted);
  // What could not be asked for has not ended.
  if (!status.ok()) recorded.insert(recorded.end(), recorded_.begin(), recorded_.end());
  std::sort(recorded.begin(), recorded.end());
  recorded.erase(std::unique(recorded.begin(), recorded.end()), recorded.end());
  for (const Labels& labels : recorded_) {
    if (!std::binary_search(recorded.begin(), recorded.end(), labels)) {
      rest.Add(labels, now_ms, kStaleMarker);
    }
  }
  BASALT_TRY(rest.Append());
  recorded_ = std::move(recorded);
  return status;
}

// After the ratios of now are stored, as sloth's rule runs after those: they count.
Status SloRecorder::RecordSlothMeans(const std::vector<slo::SloView>& views, int64_t now_ms,
                                     Batch& batch, std::vector<Labels>& recorded) {
  Status status;
  for (const slo::SloView& view : views) {
    const std::string query = slo::SlothPeriodQuery(view);
    if (query.empty()) continue;
    const auto answer = sloth_mean_->Range(kDefaultTenant, query, now_ms, now_ms, 1000);
    if (!answer.ok()) {
      status = answer.status().WithContext("the mean ratio of slo " + view.id);
      continue;
    }
    for (slo::RecordedSample& sample : slo::SlothPeriodSeries(view, *answer)) {
      batch.Add(sample.labels, now_ms, sample.value);
      recorded.push_back(std::move(sample.labels));
    }
  }
  return status;
}

Status SloRecorder::RecordCounters(std::vector<Labels>& recorded) {
  std::vector<slo::EventCounters::Sample> samples;
  const Status status = counters_.Next(kDefaultTenant, kRecordedGroups, samples, recorded);
  Batch batch(store_);
  for (const slo::EventCounters::Sample& sample : samples) {
    batch.Add(sample.labels, sample.time_ms, sample.value);
  }
  BASALT_TRY(batch.Append());
  counters_.Written();
  return status;
}

void SloRecorder::Run() {
  std::string last_error;
  MutexLock lock(mu_);
  while (!stopping_) {
    wake_.WaitFor(lock, kRecordInterval);
    if (stopping_) break;
    lock.Unlock();
    const Status status = RecordOnce();
    const std::string error(status.message());
    if (!status.ok() && error != last_error) {
      BASALT_LOG(kWarn, "what SLOs record is not stored", {"error", error});
    }
    last_error = error;
    lock.Lock();
  }
}

}  // namespace basalt::cli
