// The way in: check, log, apply, answer.
#include <algorithm>
#include <future>
#include <utility>

#include "engine/base/log.h"
#include "storage/codec/histogram_column.h"
#include "storage/codec/keys.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

std::string BatchName(const IngestBatch& batch) {
  return "partition " + std::to_string(static_cast<uint32_t>(batch.partition));
}

// What a batch holds in memory while it waits, roughly.
size_t BytesOf(const IngestBatch& batch) {
  size_t bytes = sizeof(batch) + batch.series.size() * sizeof(BatchSeries) + batch.labels.size() +
                 batch.sample_ms.size() * (sizeof(uint32_t) + sizeof(int64_t) + sizeof(double)) +
                 batch.sample_start_ms.size() * sizeof(int64_t);
  for (const HistogramSample& h : batch.histograms) {
    bytes += sizeof(h) + (h.histogram.positive_deltas.size() + h.histogram.negative_deltas.size() +
                          h.histogram.positive_counts.size() + h.histogram.negative_counts.size()) *
                             sizeof(int64_t);
  }
  for (const ExemplarSample& e : batch.exemplars) bytes += sizeof(e) + e.labels.size();
  for (const MetadataEntry& m : batch.metadata) bytes += sizeof(m) + m.help.size();
  return bytes;
}

constexpr int64_t kMaxSampleMs = (int64_t{kMaxDay} + 1) * kMsPerDay - 1;

Status CheckTime(const IngestBatch& batch, int64_t time_ms) {
  if (time_ms >= kMinSampleMs && time_ms <= kMaxSampleMs) return OkStatus();
  return InvalidArgument(BatchName(batch) + ": sample time " + std::to_string(time_ms) +
                         " ms lies outside 1970-01-01..2149-06-06");
}

// The same for a column, without a branch a sample.
bool AllTimesFit(std::span<const int64_t> times_ms) {
  static_assert(kMinSampleMs == 0);
  uint64_t misfits = 0;  // in the sign's place: below 0, or above the last
  for (const int64_t time_ms : times_ms) {
    const auto t = static_cast<uint64_t>(time_ms);
    misfits |= t | (static_cast<uint64_t>(kMaxSampleMs) - t);
  }
  return static_cast<int64_t>(misfits) >= 0;
}

// Whether all series have an ordinal below `known`.
bool AllBelow(std::span<const BatchSeries> series, uint32_t known) {
  static_assert(kUnknownOrdinal == SeriesOrdinal{0xFFFF'FFFF});
  uint32_t largest = 0;
  for (const BatchSeries& one : series)
    largest = std::max(largest, static_cast<uint32_t>(one.ordinal));
  return series.empty() || largest < known;
}

}  // namespace

// A request on its way. The log asks it for its bytes; the strands apply its batches.
struct StoreImpl::PendingAppend final : LogEntry {
  [[nodiscard]] size_t max_bytes() const override { return record->max_bytes(); }
  void Write(LogPosition at, uint64_t segment, std::string& out) override {
    position = at;
    record->Finish(segment, *segment_series, out, ids);
  }

  std::vector<IngestBatch> batches;
  std::vector<SectionResult> results;    // by batch
  const AppendRecord* record = nullptr;  // while it is being appended
  SegmentSeries* segment_series = nullptr;
  const SeriesFinder* ids = nullptr;
  LogPosition position;
  AppendDone done;
  size_t bytes = 0;
  uint64_t too_old = 0;         // samples left out before
  std::atomic<size_t> left{0};  // batches not applied yet
};

Status StoreImpl::Enter(size_t bytes) {
  const MutexLock lock(state_mu_);
  if (closing_) return Unavailable("store: closing");
  if (bytes_in_flight_ + bytes > core_.options.max_append_bytes_in_flight && bytes_in_flight_ > 0) {
    return ResourceExhausted("append: " + std::to_string(bytes_in_flight_) +
                             " bytes are waiting for the disk; the bound is " +
                             std::to_string(core_.options.max_append_bytes_in_flight));
  }
  ++under_way_;
  bytes_in_flight_ += bytes;
  return OkStatus();
}

void StoreImpl::Leave(size_t bytes) {
  const MutexLock lock(state_mu_);
  bytes_in_flight_ -= bytes;
  if (--under_way_ == 0) state_changed_.NotifyAll();
}

void StoreImpl::NoteLog(const Status& status) {
  NoteMayPass(status);
  // Of what else the log says, only that it has failed concerns those who come after.
  if (status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kInternal) {
    disk_.Failed(status);
  }
}

Status StoreImpl::CheckSeries(const IngestBatch& batch) const {
  const PartitionIndex& index = core_.partitions[static_cast<size_t>(batch.partition)]->index;
  const uint32_t known = index.series_count();
  if (batch.ids_from_index && AllBelow(batch.series, known)) return OkStatus();
  for (size_t i = 0; i < batch.series.size(); ++i) {
    const BatchSeries& series = batch.series[i];
    if (series.ordinal != kUnknownOrdinal) {
      // Apply compares the id of an ordinal that exists; one that does not is seen here, before it
      // is logged.
      if (static_cast<uint32_t>(series.ordinal) >= known ||
          (!batch.ids_from_index && index.id(series.ordinal) != series.id)) {
        return InvalidArgument(BatchName(batch) + ": series " + std::to_string(i) + ": ordinal " +
                               std::to_string(static_cast<uint32_t>(series.ordinal)) +
                               " is not the series that its id says");
      }
      continue;
    }
    const std::string_view labels =
        std::string_view(batch.labels).substr(series.labels_offset, series.labels_bytes);
    const Result<std::vector<LabelView>> views = ParseCanonical(labels);
    if (!views.ok()) {
      return InvalidArgument(BatchName(batch) + ": series " + std::to_string(i) +
                             ": labels do not parse");
    }
    for (size_t l = 0; l < views->size(); ++l) {
      const LabelView& label = (*views)[l];
      if (label.name.empty() || label.value.empty() ||
          (l > 0 && (*views)[l - 1].name >= label.name)) {
        return InvalidArgument(BatchName(batch) + ": series " + std::to_string(i) + ": label \"" +
                               std::string(label.name) + "\" is empty, repeated or not in order");
      }
    }
    if (MakeSeriesId(batch.tenant, labels) != series.id) {
      return InvalidArgument(BatchName(batch) + ": series " + std::to_string(i) +
                             ": id is not that of its labels");
    }
    if (PlacementPartition(batch.tenant, *views, static_cast<uint32_t>(core_.partitions.size())) !=
        batch.partition) {
      return InvalidArgument(BatchName(batch) + ": series " + std::to_string(i) +
                             ": belongs to another partition");
    }
  }
  return OkStatus();
}

Status StoreImpl::CheckBatches(const std::vector<IngestBatch>& batches) const {
  std::string scratch;
  for (const IngestBatch& batch : batches) {
    if (static_cast<size_t>(batch.partition) >= core_.partitions.size()) {
      return InvalidArgument(BatchName(batch) + ": there are only " +
                             std::to_string(core_.partitions.size()));
    }
    BASALT_TRY(CheckSeries(batch));
    if (!AllTimesFit(batch.sample_ms)) {
      for (const int64_t time_ms : batch.sample_ms) BASALT_TRY(CheckTime(batch, time_ms));
    }
    for (const HistogramSample& h : batch.histograms) {
      BASALT_TRY(CheckTime(batch, h.time_ms));
      scratch.clear();
      HistogramPoint point;
      point.histogram = h.histogram;
      BASALT_TRY(EncodeHistograms({&point, 1}, scratch).WithContext(BatchName(batch)));
    }
  }
  return OkStatus();
}

void StoreImpl::Append(std::vector<IngestBatch> batches, AppendDone done) {
  const uint64_t too_old = LeaveOutTooOld(batches);
  std::erase_if(batches, [](const IngestBatch& batch) { return batch.empty(); });
  const WriterSequence writer = batches.empty() ? WriterSequence{} : batches.front().writer;
  const bool repeated = writer.writer != Hash128{} && writer.seq != 0 &&
                        writer.seq <= core_.writers.Last(writer.writer);
  if (batches.empty() || repeated) {
    // Nothing to do that is not done: answered with a position that covers it.
    AppendResult nothing;
    nothing.token = {.lane = 0, .seq = core_.applied.watermark()};
    nothing.samples_too_old = too_old;
    done(nothing);
    return;
  }

  if (Status status = disk_.Check(); !status.ok()) {
    done(status.WithContext("append"));
    return;
  }
  auto pending = std::make_shared<PendingAppend>();
  pending->batches = std::move(batches);
  pending->segment_series = &segment_series_;
  pending->ids = &core_;
  pending->too_old = too_old;
  pending->results.resize(pending->batches.size());
  pending->left = pending->batches.size();
  for (const IngestBatch& batch : pending->batches) pending->bytes += BytesOf(batch);
  if (Status status = Enter(pending->bytes); !status.ok()) {
    done(status);
    return;
  }
  // The log has the record's bytes when its Append returns, so a thread can keep the buffers.
  thread_local AppendRecord record;
  pending->record = &record;
  Status status = record.Prepare(pending->batches);
  if (status.ok()) status = CheckBatches(pending->batches);
  if (status.ok() && sealer_.sample_bytes() > 2 * core_.options.head_budget_bytes) {
    status = ResourceExhausted("append: the head holds twice its budget of " +
                               std::to_string(core_.options.head_budget_bytes) +
                               " bytes; sealing is behind");
  }
  if (!status.ok()) {
    record.Forget();
    Leave(pending->bytes);
    done(status.WithContext("append"));
    return;
  }
  pending->done = std::move(done);
  const Result<LogPosition> taken = core_.log->Append(
      *pending, [this, pending](const Status& logged) { Logged(pending, logged); });
  record.Forget();
  if (!taken.ok()) {
    // Of Append itself, kResourceExhausted is its queue and kUnavailable its end, and no word about
    // the disk.
    if (const StatusCode code = taken.status().code();
        code != StatusCode::kResourceExhausted && code != StatusCode::kUnavailable) {
      NoteLog(taken.status());
    }
    Leave(pending->bytes);
    pending->done(taken.status().WithContext("append"));
  }
}

// On the log's thread, in log order: posting to the strands here keeps that order in every
// partition.
void StoreImpl::Logged(const std::shared_ptr<PendingAppend>& pending, const Status& status) {
  NoteLog(status);
  if (!status.ok()) {
    Leave(pending->bytes);
    pending->done(status.WithContext("append"));
    return;
  }
  for (size_t i = 0; i < pending->batches.size(); ++i) {
    Partition& partition = core_.at(pending->batches[i].partition);
    (void)partition.strand.Post([this, pending, i] {
      core_.ApplySection(pending->batches[i], pending->position, pending->results[i]);
      if (pending->left.fetch_sub(1) != 1) return;
      AppendResult result;
      result.token = pending->position;
      result.samples_too_old = pending->too_old;
      for (const SectionResult& section : pending->results) {
        result.samples_accepted += section.counts.accepted;
        result.samples_identical += section.counts.identical;
        result.samples_overwritten += section.counts.overwritten;
        result.samples_late += section.counts.late;
        result.series_created += section.counts.created.size();
        result.exemplars_accepted += section.exemplars;
      }
      const WriterSequence writer = pending->batches.front().writer;
      if (writer.writer != Hash128{}) core_.writers.Applied(writer.writer, writer.seq);
      if (result.series_created > 0)
        core_.churn.Add(core_.options.clock->Now(), result.series_created);
      core_.applied.Finish(pending->position.seq);
      pending->done(result);
      Leave(pending->bytes);
    });
  }
}

Result<AppendResult> Store::Append(std::vector<IngestBatch> batches) {
  // Shared with the callback: it may still be inside set_value when get() returns here.
  auto promise = std::make_shared<std::promise<Result<AppendResult>>>();
  std::future<Result<AppendResult>> future = promise->get_future();
  Append(std::move(batches),
         [promise](const Result<AppendResult>& result) { promise->set_value(result); });
  return future.get();
}

// A delete on its way.
struct StoreImpl::PendingDelete final : LogEntry {
  [[nodiscard]] size_t max_bytes() const override { return bytes.size(); }
  void Write(LogPosition at, uint64_t /*segment*/, std::string& out) override {
    position = at;
    out.append(bytes);
  }
  std::string bytes;
  DeleteRecord record;
  LogPosition position;
  std::atomic<size_t> left{0};
  Mutex mu;
  Status failed BASALT_GUARDED_BY(mu);
  std::promise<Status> finished;
};

Result<LogPosition> StoreImpl::Delete(const DeleteRequest& request) {
  for (const MatcherSet& set : request.any_of) {
    // Told here, since apply could only ignore a bad expression.
    BASALT_TRY(core_.partitions[0]
                   ->index.Select(request.tenant, set, {.min_ms = 0, .max_ms = 0}, SIZE_MAX)
                   .status());
  }
  if (request.range.min_ms > request.range.max_ms)
    return InvalidArgument("delete: the range ends before it begins");
  auto pending = std::make_shared<PendingDelete>();
  pending->record = {.tenant = request.tenant, .any_of = request.any_of, .range = request.range};
  BASALT_TRY(EncodeDelete(pending->record, pending->bytes).WithContext("delete"));
  pending->left = core_.partitions.size();
  // Until it is applied no rewrite may take samples away that it counts on.
  const ReaderLock whole(core_.downsampling);
  BASALT_TRY(CheckWholeBuckets(request));
  BASALT_TRY(Enter(0));
  const Step step(core_.options, StoreStep::kDelete);
  std::future<Status> finished = pending->finished.get_future();
  const Result<LogPosition> taken =
      core_.log->Append(*pending, [this, pending](const Status& logged) {
        NoteLog(logged);
        if (!logged.ok()) return pending->finished.set_value(logged);
        for (const auto& partition : core_.partitions) {
          (void)partition->strand.Post([this, pending, p = partition.get()] {
            Status status = core_.ApplyDelete(*p, pending->record, pending->position);
            {
              const MutexLock lock(pending->mu);
              if (!status.ok()) pending->failed = std::move(status);
            }
            if (pending->left.fetch_sub(1) != 1) return;
            core_.applied.Finish(pending->position.seq);
            Status all;
            {
              const MutexLock lock(pending->mu);
              all = pending->failed;
            }
            pending->finished.set_value(all);
          });
        }
      });
  if (!taken.ok()) {
    Leave(0);
    return taken.status().WithContext("delete");
  }
  Status status = finished.get();
  Leave(0);
  BASALT_TRY(status.WithContext("delete"));
  return pending->position;
}

void StoreImpl::Observe(ApplyObserver* observer, const std::function<void(PartitionId)>& at_cut) {
  std::vector<std::future<void>> finished;
  for (const auto& partition : core_.partitions) {
    auto promise = std::make_shared<std::promise<void>>();
    finished.push_back(promise->get_future());
    (void)partition->strand.Post([observer, &at_cut, promise, p = partition.get()] {
      p->head->Observe(observer);
      if (observer != nullptr && at_cut) at_cut(p->id);
      promise->set_value();
    });
  }
  for (auto& f : finished) f.get();
}

}  // namespace basalt::storage
