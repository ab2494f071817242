#include "tools/slo_recorder.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/slo/recorded_series.h"
#include "storage/resolver.h"

namespace basalt::cli {
namespace {

const double kStale = std::bit_cast<double>(uint64_t{0x7ff0000000000002});

}  // namespace

SloRecorder::SloRecorder(slo::Evaluator& slos, storage::Store& store, const Clock& clock)
    : slos_(slos), store_(store), clock_(clock), thread_([this] { Run(); }) {}

SloRecorder::~SloRecorder() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

Status SloRecorder::RecordOnce() {
  const int64_t now_ms = ToMs(clock_.Now());
  storage::BatchBuilder builder(store_.resolver(), kDefaultTenant);
  std::string canonical;
  std::vector<LabelView> views;
  const auto add = [&](const Labels& labels, double value) {
    canonical.clear();
    AppendCanonical(labels, canonical);
    const Hash128 fingerprint = HashBytes128("slo:" + canonical);
    if (!builder.SelectKnown(fingerprint)) {
      views.clear();
      for (const Label& label : labels) views.push_back({label.name, label.value});
      builder.SelectLabels(fingerprint, views);
    }
    builder.AddSample(now_ms, value);
  };
  std::vector<Labels> recorded;
  for (const slo::SloView& view : slos_.Slos(kDefaultTenant, kRecordedGroups)) {
    for (slo::RecordedSample& sample : slo::RecordedSeries(view)) {
      add(sample.labels, sample.value);
      recorded.push_back(std::move(sample.labels));
    }
  }
  std::sort(recorded.begin(), recorded.end());
  for (const Labels& labels : recorded_) {
    if (!std::binary_search(recorded.begin(), recorded.end(), labels)) add(labels, kStale);
  }
  if (recorded.empty() && recorded_.empty()) return OkStatus();
  BASALT_TRY(store_.Append(builder.Finish()).status());
  recorded_ = std::move(recorded);
  return OkStatus();
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
