#include "storage/replay.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/log/record.h"

namespace basalt::storage {
namespace {

// Reading runs ahead of decoding and applying by at most this much.
constexpr size_t kReplayBytesAhead = 64u << 20;
constexpr uint64_t kReplayProgressRecords = 1u << 14;

// What is read and not applied yet; and the first error.
class ReplayWindow {
 public:
  void Take(size_t bytes) BASALT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (bytes_ > kReplayBytesAhead) fell_.Wait(lock);
    bytes_ += bytes;
  }
  void Give(size_t bytes, Status status) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    bytes_ -= bytes;
    if (!status.ok() && status_.ok()) status_ = std::move(status);
    fell_.NotifyAll();
  }
  Status status() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return status_;
  }

 private:
  Mutex mu_;
  CondVar fell_;
  size_t bytes_ BASALT_GUARDED_BY(mu_) = 0;
  Status status_ BASALT_GUARDED_BY(mu_);
};

// A partition's share of the replay; used on its strand only.
struct PartitionReplay {
  Partition* partition = nullptr;
  uint64_t from = 1;
  SegmentValues values{};
  IngestBatch batch{};  // scratch
};

class Replayer {
 public:
  Replayer(StoreCore& core, const Sealer& sealer) : core_(core) {
    for (const auto& partition : core.partitions) {
      partitions_.push_back(
          {.partition = partition.get(), .from = sealer.ReplayFrom(partition->id)});
    }
  }

  Status Visit(const LogRecord& record) {
    BASALT_TRY(window_.status());
    BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record.bytes));
    if (kind == RecordKind::kAppend) return PostAppend(record);
    if (kind == RecordKind::kDelete) return PostDelete(record);
    return OkStatus();  // the rest belongs to layers above, who read the log themselves
  }

  Status Finish() {
    for (const auto& partition : core_.partitions) partition->strand.Drain();
    return window_.status();
  }

 private:
  // Each section is decoded by the strand that applies it.
  Status PostAppend(const LogRecord& record) {
    BASALT_TRY_ASSIGN(const AppendView view, ViewAppend(record.bytes));
    for (const RecordSection& section : view.sections) {
      const auto p = static_cast<size_t>(section.partition);
      if (p >= partitions_.size()) return DataLoss("a record names partition " + std::to_string(p));
      window_.Take(section.bytes.size());
      (void)partitions_[p].partition->strand.Post([this, p, bytes = std::string(section.bytes),
                                                   position = record.position,
                                                   segment = record.segment_first] {
        window_.Give(bytes.size(), ApplySection(partitions_[p], bytes, position, segment));
      });
    }
    return OkStatus();
  }

  Status ApplySection(PartitionReplay& at, std::string_view bytes, LogPosition position,
                      uint64_t segment) {
    const RecordSection section{.partition = at.partition->id, .bytes = bytes};
    at.values.Begin(segment, at.partition->index.series_count());
    BASALT_TRY(DecodeSection(section, at.batch, &at.values));
    const WriterSequence& writer = at.batch.writer;
    if (writer.writer != Hash128{}) core_.writers.Applied(writer.writer, writer.seq);
    if (position.seq < at.from) return OkStatus();
    SectionResult result;
    core_.ApplySection(at.batch, position, result);
    return OkStatus();
  }

  Status PostDelete(const LogRecord& record) {
    BASALT_TRY_ASSIGN(DeleteRecord decoded, DecodeDelete(record.bytes));
    const auto shared = std::make_shared<const DeleteRecord>(std::move(decoded));
    for (PartitionReplay& at : partitions_) {
      if (record.position.seq < at.from) continue;
      window_.Take(0);
      (void)at.partition->strand.Post(
          [this, shared, partition = at.partition, position = record.position] {
            window_.Give(0, core_.ApplyDelete(*partition, *shared, position));
          });
    }
    return OkStatus();
  }

  StoreCore& core_;
  ReplayWindow window_;
  std::vector<PartitionReplay> partitions_;
};

}  // namespace

Status ReplayLog(StoreCore& core, const Sealer& sealer, uint64_t from, ReplayProgress& progress) {
  Replayer replayer(core, sealer);
  // From the segment's begin: its values are told one against the other. What stands before a
  // partition's own position is decoded and not applied.
  Status read =
      core.log->Read(core.log->SegmentFirst(from), [&](const LogRecord& record) -> Status {
        BASALT_TRY(replayer.Visit(record));
        if (record.position.seq < from) return OkStatus();
        ++core.counters.replayed_records;
        if (++progress.records_done % kReplayProgressRecords == 0 && core.options.on_replay) {
          core.options.on_replay(progress);
        }
        return OkStatus();
      });
  Status applied = replayer.Finish();
  return read.ok() ? applied : read;
}

}  // namespace basalt::storage
