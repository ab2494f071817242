#include "engine/ingest/otlp/delta_totals.h"

#include <algorithm>
#include <string>

#include "engine/base/labels.h"
#include "engine/base/log.h"
#include "engine/base/stale.h"
#include "engine/ingest/batch_surgery.h"
#include "engine/ingest/newest_sample.h"
#include "engine/ingest/otlp/histogram_sum.h"

namespace basalt::ingest::otlp {
namespace {

using storage::IngestBatch;
using storage::kNoStartMs;

enum class Verdict : uint8_t { kAdds, kBegins, kRepeats, kOverlaps };

Labels LabelsOfSeries(const storage::Store& store, const IngestBatch& batch, uint32_t series) {
  const storage::BatchSeries& one = batch.series[series];
  if (one.ordinal != kUnknownOrdinal) return store.LabelsOf(batch.partition, one.ordinal);
  return LabelsFromCanonical(LabelsOf(batch, series)).value_or({});
}

// The same before and after the series is known (IngestBatch::ids_from_index).
Hash128 KeyOf(const storage::Store& store, const IngestBatch& batch, uint32_t series) {
  const storage::BatchSeries& one = batch.series[series];
  return (one.ordinal == kUnknownOrdinal ? one.id : store.IdOf(batch.partition, one.ordinal)).hash;
}

}  // namespace

// Works on the totals' ends, which its maker has the lock of.
class DeltaTotals::Conversion {
 public:
  Conversion(const storage::Store& store, const Ends& found, Ends& ends, Report& report)
      : store_(store), found_(found), ends_(ends), report_(report) {}

  // Makes totals of the deltas of a batch, in place.
  void Convert(IngestBatch& batch) {
    size_t n = 0;
    if (batch.sample_start_ms.empty()) batch.sample_start_ms.resize(batch.sample_ms.size());
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      const uint32_t series = batch.sample_series[i];
      int64_t start_ms = batch.sample_start_ms[i];
      double value = batch.sample_value[i];
      if (!Add(batch, series, batch.sample_ms[i], start_ms, value)) continue;
      batch.sample_series[n] = series;
      batch.sample_ms[n] = batch.sample_ms[i];
      batch.sample_value[n] = value;
      batch.sample_start_ms[n] = start_ms;
      ++n;
    }
    batch.sample_series.resize(n);
    batch.sample_ms.resize(n);
    batch.sample_value.resize(n);
    batch.sample_start_ms.resize(n);
    n = 0;
    for (storage::HistogramSample& sample : batch.histograms) {
      if (!AddHistogram(batch, sample)) continue;
      if (&batch.histograms[n] != &sample) batch.histograms[n] = std::move(sample);
      ++n;
    }
    batch.histograms.resize(n);
  }

  // As if it had never been.
  void Undo() {
    for (auto change = undo_.rbegin(); change != undo_.rend(); ++change) {
      if (change->second.has_value()) {
        ends_[change->first] = *std::move(change->second);
      } else {
        ends_.erase(change->first);
      }
    }
  }

 private:
  // False: the sample goes.
  bool Add(const IngestBatch& batch, uint32_t series, int64_t time_ms, int64_t& start_ms,
           double& value) {
    if (IsStaleMarker(value)) return true;  // ends nothing that could not go on
    End* const end = EndOf(batch, series);
    const Verdict verdict = Judge(*end, start_ms, time_ms);
    if (verdict == Verdict::kOverlaps) {
      --report_.samples;
      Refuse(batch, series, *end, start_ms, time_ms);
      return false;
    }
    if (verdict == Verdict::kRepeats && end->histogram == nullptr) {
      // Stored once more, which changes nothing: what is acknowledged must be durable, and the
      // first one may still be on its way.
      value = end->total;
      start_ms = end->start_ms;
      return true;
    }
    Remember(batch, series, *end);
    if (verdict == Verdict::kBegins || end->histogram != nullptr)
      *end = {.start_ms = start_ms, .histogram = nullptr};
    end->total += value;
    end->end_ms = time_ms;
    end->last_start_ms = start_ms;
    value = end->total;
    start_ms = end->start_ms;
    return true;
  }

  bool AddHistogram(const IngestBatch& batch, storage::HistogramSample& sample) {
    if (IsStaleMarker(sample.histogram.sum)) return true;
    End* const end = EndOf(batch, sample.series);
    const Verdict verdict = Judge(*end, sample.start_ms, sample.time_ms);
    if (verdict == Verdict::kOverlaps) {
      --report_.histograms;
      Refuse(batch, sample.series, *end, sample.start_ms, sample.time_ms);
      return false;
    }
    if (verdict == Verdict::kRepeats && end->histogram != nullptr) {
      sample.histogram = *end->histogram;
      sample.start_ms = end->start_ms;
      return true;
    }
    Remember(batch, sample.series, *end);
    if (verdict == Verdict::kAdds && end->histogram != nullptr) {
      // Of other bounds: it begins anew, as a process that was started with other bounds does.
      Result<NativeHistogram> sum = AddHistograms(*end->histogram, sample.histogram);
      if (sum.ok()) {
        sample.histogram = *std::move(sum);
        sample.histogram.reset_hint = ResetHint::kNo;
        end->end_ms = sample.time_ms;
        end->last_start_ms = sample.start_ms;
        sample.start_ms = end->start_ms;
        end->histogram = std::make_shared<const NativeHistogram>(sample.histogram);
        return true;
      }
    }
    sample.histogram.reset_hint = ResetHint::kUnknown;
    *end = {.start_ms = sample.start_ms,
            .last_start_ms = sample.start_ms,
            .end_ms = sample.time_ms,
            .total = 0,
            .histogram = std::make_shared<const NativeHistogram>(sample.histogram)};
    return true;
  }

  static Verdict Judge(const End& end, int64_t start_ms, int64_t time_ms) {
    if (end.end_ms == INT64_MIN || time_ms - end.end_ms > kMaxGap.count()) return Verdict::kBegins;
    if (time_ms > end.end_ms)
      return start_ms != kNoStartMs && start_ms < end.end_ms ? Verdict::kOverlaps : Verdict::kAdds;
    // The newest one again. Of what was read back only the end is known.
    const bool same_start = end.last_start_ms == kNoStartMs || start_ms == end.last_start_ms;
    return time_ms == end.end_ms && same_start ? Verdict::kRepeats : Verdict::kOverlaps;
  }

  void Refuse(const IngestBatch& batch, uint32_t series, const End& end, int64_t start_ms,
              int64_t time_ms) {
    report_.Reject(Reason::kDelta, 1, [&] {
      return LabelsOfSeries(store_, batch, series).ToString() + ": the delta from " +
             std::to_string(start_ms) + " to " + std::to_string(time_ms) +
             " ms overlaps what is counted up to " + std::to_string(end.end_ms) + " ms";
    });
  }

  void Remember(const IngestBatch& batch, uint32_t series, const End& end) {
    undo_.emplace_back(KeyOf(store_, batch, series),
                       end.end_ms == INT64_MIN ? std::nullopt : std::optional(end));
  }

  // By what is remembered, or else by what the store has said.
  End* EndOf(const IngestBatch& batch, uint32_t series) {
    const Hash128 key = KeyOf(store_, batch, series);
    const auto [at, is_new] = ends_.try_emplace(key);
    if (!is_new) return &at->second;
    if (const auto found = found_.find(key); found != found_.end()) at->second = found->second;
    return &at->second;
  }

  const storage::Store& store_;
  const Ends& found_;
  Ends& ends_;
  Report& report_;
  std::vector<std::pair<Hash128, std::optional<End>>> undo_;
};

Result<DeltaTotals::End> DeltaTotals::ReadEnd(TenantId tenant, const IngestBatch& batch,
                                              uint32_t series, int64_t time_ms) const {
  const Labels labels = LabelsOfSeries(store_, batch, series);
  std::vector<LabelView> views;
  for (const Label& label : labels) views.push_back({label.name, label.value});
  auto newest =
      FindNewestSample(store_, tenant, views, ToMs(clock_.Now()), time_ms - kMaxGap.count());
  if (!newest.ok()) return newest.status().WithContext("the newest total of " + labels.ToString());
  End end;
  if (!newest->has_value()) return end;
  NewestSample& sample = **newest;
  end = {.start_ms = sample.start_ms,
         .last_start_ms = kNoStartMs,
         .end_ms = sample.time_ms,
         .total = sample.value,
         .histogram = nullptr};
  if (sample.histogram.has_value())
    end.histogram = std::make_shared<const NativeHistogram>(*std::move(sample.histogram));
  return end;
}

Result<DeltaTotals::Found> DeltaTotals::FindUnknown(TenantId tenant,
                                                    const std::vector<IngestBatch>& deltas) {
  struct Asked {
    const IngestBatch* batch;
    uint32_t series;
    int64_t time_ms;  // of its first delta
  };
  Found found;
  absl::flat_hash_map<Hash128, Asked, Hash128Hash> unknown;
  {
    const MutexLock lock(mu_);
    BASALT_TRY(Settle());
    found.generation = generation_;
    const auto ask = [this, &unknown, known = &ends_](const IngestBatch& batch, uint32_t series,
                                                      int64_t time_ms) {
      if (batch.series[series].ordinal == kUnknownOrdinal) return;
      const Hash128 key = KeyOf(store_, batch, series);
      if (!known->contains(key)) unknown.try_emplace(key, Asked{&batch, series, time_ms});
    };
    for (const IngestBatch& batch : deltas) {
      for (size_t i = 0; i < batch.sample_ms.size(); ++i)
        ask(batch, batch.sample_series[i], batch.sample_ms[i]);
      for (const storage::HistogramSample& sample : batch.histograms)
        ask(batch, sample.series, sample.time_ms);
    }
  }
  for (const auto& [key, asked] : unknown) {
    BASALT_TRY_ASSIGN(found.ends[key], ReadEnd(tenant, *asked.batch, asked.series, asked.time_ms));
  }
  return found;
}

Status DeltaTotals::Settle() {
  UnderWay& under_way = *under_way_;
  const MutexLock lock(under_way.mu);
  if (!under_way.failed && ends_.size() < kMaxSeries) return OkStatus();
  // What is stored is only what is remembered once nothing is on its way.
  if (under_way.appends > 0)
    return Unavailable("totals of deltas: an append before has failed and others are under way");
  under_way.failed = false;
  ends_.clear();
  ++generation_;
  return OkStatus();
}

Status DeltaTotals::Pass(TenantId tenant, std::vector<IngestBatch> deltas, Report& report,
                         const Append& append) {
  for (;;) {
    Result<Found> found = FindUnknown(tenant, deltas);
    if (!found.ok()) return Unavailable(std::string(found.status().message()));
    const MutexLock lock(mu_);
    BASALT_TRY(Settle());
    // Otherwise all was forgotten meanwhile, and what was read may be of before that: again.
    if (found->generation == generation_)
      return PassFound(std::move(deltas), found->ends, report, append);
  }
}

Status DeltaTotals::PassFound(std::vector<IngestBatch> deltas, const Ends& found, Report& report,
                              const Append& append) {
  Conversion conversion(store_, found, ends_, report);
  for (IngestBatch& batch : deltas) conversion.Convert(batch);
  std::erase_if(deltas, [](const IngestBatch& batch) { return batch.empty(); });
  {
    const MutexLock under_way_lock(under_way_->mu);
    ++under_way_->appends;
  }
  const auto stored = [under_way = under_way_](bool is_stored) {
    const MutexLock under_way_lock(under_way->mu);
    --under_way->appends;
    if (!is_stored) under_way->failed = true;
  };
  if (!append(std::move(deltas), stored)) {
    stored(true);  // nothing of it was under way
    conversion.Undo();
  }
  return OkStatus();
}

size_t DeltaTotals::series() const {
  const MutexLock lock(mu_);
  return ends_.size();
}

}  // namespace basalt::ingest::otlp
