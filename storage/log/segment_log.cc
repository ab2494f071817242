#include "storage/log/segment_log.h"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "engine/base/mutex.h"
#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "storage/log/segment_directory.h"
#include "storage/log/segment_writer.h"

namespace basalt::storage {
namespace {

using Nanoseconds = std::chrono::nanoseconds;

// Buffers above this are given back after a group instead of being kept for the next one.
constexpr size_t kKeptBufferBytes = 16u << 20;

// What filling a group's last sector adds to it at most.
constexpr size_t kMaxFillBytes = kSectorBytes - kFrameAlignment;

// Records of one segment that wait to be written together.
struct Group {
  uint64_t segment = 0;  // its number in this process; 0: none
  uint64_t first_seq = 0;
  std::string bytes;     // frames; sealed when they are written
  size_t last = 0;       // where the last of them begins
  size_t in_flight = 0;  // their bytes before the sector is filled
  std::vector<LogAppended> done;
};

// Something that the log's thread does between groups, for a caller who waits.
struct Request {
  bool new_segment = false;
  uint64_t segment = 0;  // with new_segment: its number in this process
  bool new_epoch = false;
  bool finished = false;
  Status result;
};

// The log's thread does these in order. Order matters for requests too: a segment's number never
// comes back, so one must not begin between records that share it.
struct Work {
  Group group;
  Request* request = nullptr;  // instead of a group
};

// A segment as readers and Trim see it.
struct SegmentInfo {
  uint64_t first_seq = 0;
  uint64_t end_offset =
      kSegmentHeaderBytes;  // behind the last acknowledged record; only kept for the last segment
  uint64_t file_bytes = 0;
};

class SegmentLogImpl final : public SegmentLog {
 public:
  SegmentLogImpl(const SegmentLogOptions& options, Files& files, SegmentDirectory directory)
      : options_(options),
        files_(files),
        directory_(std::move(directory)),
        writer_(directory_, options.segment_bytes) {}
  ~SegmentLogImpl() override {
    if (thread_.joinable()) (void)Close();  // whoever wants its error calls it
  }

  Status Start();

  Result<LogPosition> Append(LogEntry& entry, LogAppended done) override BASALT_EXCLUDES(mu_);
  Status Read(uint64_t from, const LogVisitor& visitor) override BASALT_EXCLUDES(mu_);
  [[nodiscard]] LogPosition Head() const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] LogPosition First() const override BASALT_EXCLUDES(mu_);
  Status Trim(uint64_t upto) override BASALT_EXCLUDES(mu_, files_mu_);
  Result<uint64_t> Fence() override BASALT_EXCLUDES(mu_);
  Status Sync() override BASALT_EXCLUDES(mu_);
  Status Close() override BASALT_EXCLUDES(mu_);
  [[nodiscard]] LogStats Stats() const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] LogRecovery Recovery() const override { return recovery_; }
  Status Settle() override BASALT_EXCLUDES(mu_);
  Status LinkInto(const std::string& directory) override BASALT_EXCLUDES(mu_, files_mu_);
  [[nodiscard]] uint64_t SegmentFirst(uint64_t seq) const override BASALT_EXCLUDES(mu_);

 private:
  // On any thread.
  Status WhyRefused() const BASALT_REQUIRES(mu_);
  Status Ask(bool new_segment, bool new_epoch, bool close = false) BASALT_EXCLUDES(mu_);

  // On the log's thread.
  void Run();
  bool WaitForWork(std::deque<Work>& works) BASALT_EXCLUDES(mu_);
  Status Commit(Group& group) BASALT_EXCLUDES(mu_);
  Status TurnTo(uint64_t number, uint64_t first_seq, bool new_epoch) BASALT_EXCLUDES(mu_);
  Status SyncSegment() BASALT_EXCLUDES(mu_);
  void ShowSegment() BASALT_REQUIRES(mu_);
  Status Serve(Request& request) BASALT_EXCLUDES(mu_);
  void Acknowledge(Group& group) BASALT_EXCLUDES(mu_);
  void Refuse(const Status& why, std::deque<Work>& works) BASALT_EXCLUDES(mu_);
  Status Judge(const Status& why) BASALT_EXCLUDES(mu_);
  Status Fail(const Status& why) BASALT_EXCLUDES(mu_);

  const SegmentLogOptions options_;
  Files& files_;
  // Held while files are listed, linked or removed as a set: Trim and LinkInto exclude each other.
  Mutex files_mu_;
  SegmentDirectory directory_;
  LogRecovery recovery_;
  std::thread thread_;

  mutable Mutex mu_;
  CondVar work_;      // for the log's thread
  CondVar finished_;  // for callers that wait for a request
  std::deque<Work> pending_ BASALT_GUARDED_BY(mu_);
  std::string spare_ BASALT_GUARDED_BY(mu_);  // a buffer to begin the next group with
  uint64_t next_seq_ BASALT_GUARDED_BY(mu_) = 1;
  uint64_t head_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t number_ BASALT_GUARDED_BY(mu_) = 1;  // of the segment that appends go to
  uint64_t planned_bytes_ BASALT_GUARDED_BY(mu_) = kSegmentHeaderBytes;  // how full it will be
  size_t in_flight_ BASALT_GUARDED_BY(mu_) = 0;
  std::vector<SegmentInfo> segments_
      BASALT_GUARDED_BY(mu_);  // oldest first; the last is being written
  bool closing_ BASALT_GUARDED_BY(mu_) = false;
  Status failure_ BASALT_GUARDED_BY(mu_);
  LogStats stats_ BASALT_GUARDED_BY(mu_);
  uint64_t epoch_shown_ BASALT_GUARDED_BY(mu_) = 0;

  // Of the log's thread alone (and of Start, before it runs).
  SegmentWriter writer_;
  uint64_t current_number_ = 1;  // of writer_'s segment
  Nanoseconds last_sync_{0};
};

Status SegmentLogImpl::Start() {
  BASALT_TRY_ASSIGN(const RecoveredSegments recovered, directory_.Recover());
  recovery_ = {.torn_bytes = recovered.torn_bytes,
               .torn_records = recovered.torn_records,
               .removed_files = recovered.removed_files};
  {
    MutexLock lock(mu_);
    for (const RecoveredSegment& segment : recovered.segments) {
      segments_.push_back({.first_seq = segment.first_seq, .file_bytes = segment.bytes});
    }
    next_seq_ = recovered.next_seq;
    head_ = recovered.next_seq - 1;
  }
  BASALT_TRY(writer_.Begin(recovered.next_seq, recovered.last_epoch + 1));
  {
    MutexLock lock(mu_);
    ShowSegment();
  }
  last_sync_ = options_.clock->Monotonic();
  thread_ = std::thread([this] { Run(); });
  return OkStatus();
}

// ---- callers

Status SegmentLogImpl::WhyRefused() const {
  if (!failure_.ok()) return failure_;
  if (closing_) return Unavailable("log: closed");
  return OkStatus();
}

Result<LogPosition> SegmentLogImpl::Append(LogEntry& entry, LogAppended done) {
  const size_t max_bytes = entry.max_bytes();
  if (max_bytes == 0 || max_bytes > kMaxRecordBytes) {
    return InvalidArgument("log record of up to " + std::to_string(max_bytes) +
                           " bytes: allowed are 1 to " + std::to_string(kMaxRecordBytes));
  }
  const size_t max_frame = FrameBytes(max_bytes);
  MutexLock lock(mu_);
  BASALT_TRY(WhyRefused());
  // One record is always let through, or a small budget would refuse a large request for ever.
  if (in_flight_ != 0 && in_flight_ + max_frame > options_.max_bytes_in_flight) {
    return ResourceExhausted("log: " + std::to_string(in_flight_) +
                             " bytes wait for the disk; the limit is " +
                             std::to_string(options_.max_bytes_in_flight));
  }
  if (planned_bytes_ > kSegmentHeaderBytes &&
      planned_bytes_ + max_frame + kMaxFillBytes > options_.segment_bytes) {
    ++number_;
    planned_bytes_ = kSegmentHeaderBytes;
  }
  if (pending_.empty() || pending_.back().request != nullptr ||
      pending_.back().group.segment != number_) {
    Group& fresh = pending_.emplace_back().group;
    fresh.segment = number_;
    fresh.first_seq = next_seq_;
    fresh.bytes = std::exchange(spare_, {});
    planned_bytes_ += kMaxFillBytes;
  }
  Group& group = pending_.back().group;
  const LogPosition position{options_.lane, next_seq_};
  const size_t at = group.last = BeginFrame(group.bytes);
  entry.Write(position, number_, group.bytes);
  const size_t bytes = group.bytes.size() - at - kFrameHeaderBytes;
  BASALT_CHECK(bytes >= 1 && bytes <= max_bytes, "a log entry broke the bound that it gave");
  EndFrame(at, group.bytes);
  const size_t frame = group.bytes.size() - at;
  planned_bytes_ += frame;
  in_flight_ += frame;
  group.in_flight += frame;
  ++next_seq_;
  group.done.push_back(std::move(done));
  work_.NotifyOne();
  return position;
}

LogPosition SegmentLogImpl::Head() const {
  MutexLock lock(mu_);
  return {options_.lane, head_};
}

LogPosition SegmentLogImpl::First() const {
  MutexLock lock(mu_);
  return {options_.lane, segments_.front().first_seq};
}

uint64_t SegmentLogImpl::SegmentFirst(uint64_t seq) const {
  MutexLock lock(mu_);
  const auto after =
      std::upper_bound(segments_.begin(), segments_.end(), seq,
                       [](uint64_t s, const SegmentInfo& info) { return s < info.first_seq; });
  return after == segments_.begin() ? segments_.front().first_seq : std::prev(after)->first_seq;
}

LogStats SegmentLogImpl::Stats() const {
  MutexLock lock(mu_);
  LogStats stats = stats_;
  stats.segments = segments_.size();
  for (const SegmentInfo& segment : segments_) stats.segment_bytes += segment.file_bytes;
  stats.in_flight_bytes = in_flight_;
  stats.failed = !failure_.ok();
  stats.failure = failure_.message();
  return stats;
}

Status SegmentLogImpl::Read(uint64_t from, const LogVisitor& visitor) {
  std::vector<SegmentInfo> segments;
  uint64_t head = 0;
  {
    MutexLock lock(mu_);
    segments = segments_;
    head = head_;
  }
  if (from < segments.front().first_seq) {
    return OutOfRange("log: record " + std::to_string(from) + " was trimmed; the first kept is " +
                      std::to_string(segments.front().first_seq));
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    // A segment ends where the next one begins: what may stand behind that was refused (full disk)
    // and never counted.
    const uint64_t end_seq = last ? head + 1 : segments[i + 1].first_seq;
    if (end_seq <= from || end_seq == segments[i].first_seq) continue;
    const std::string path = directory_.PathOf(segments[i].first_seq);
    auto file = files_.Open(path, OpenMode::kRead);
    if (!file.ok()) {
      if (file.status().code() != StatusCode::kNotFound || from >= First().seq)
        return file.status();
      return OutOfRange("log: record " + std::to_string(from) + " was trimmed while it was read");
    }
    BASALT_TRY_ASSIGN(const uint64_t size, (*file)->Size());
    const uint64_t limit = last ? segments[i].end_offset : size;
    FrameReader reader(**file, kSegmentHeaderBytes, limit);
    Frame frame;
    for (uint64_t seq = segments[i].first_seq; seq < end_seq; ++seq) {
      BASALT_TRY_ASSIGN(const bool good, reader.Next(frame));
      if (!good || frame.seq != seq) {
        return DataLoss("log segment " + path + ": offset " +
                        std::to_string(good ? frame.offset : reader.offset()) + ": record " +
                        std::to_string(seq) + " is damaged or missing");
      }
      if (seq < from) continue;
      BASALT_TRY(visitor({{options_.lane, seq}, frame.bytes, segments[i].first_seq}));
    }
  }
  return OkStatus();
}

Status SegmentLogImpl::Trim(uint64_t upto) {
  MutexLock files_lock(files_mu_);
  for (;;) {
    uint64_t oldest = 0;
    {
      MutexLock lock(mu_);
      // The last segment stays: its name keeps the next number when all records are gone.
      if (segments_.size() < 2 || segments_[1].first_seq > upto + 1) return OkStatus();
      oldest = segments_.front().first_seq;
    }
    BASALT_TRY(directory_.Remove(oldest).WithContext("trim the log"));
    MutexLock lock(mu_);
    segments_.erase(segments_.begin());
  }
}

Status SegmentLogImpl::Ask(bool new_segment, bool new_epoch, bool close) {
  Request request;
  request.new_segment = new_segment;
  request.new_epoch = new_epoch;
  MutexLock lock(mu_);
  if (close && closing_) return OkStatus();
  if (!close) BASALT_TRY(WhyRefused());
  closing_ = closing_ || close;
  if (new_segment) {  // decided here, so that what is appended from now on goes to the new one
    request.segment = ++number_;
    planned_bytes_ = kSegmentHeaderBytes;
  }
  pending_.emplace_back().request = &request;
  work_.NotifyOne();
  while (!request.finished) finished_.Wait(lock);
  return request.result;
}

Status SegmentLogImpl::Sync() { return Ask(/*new_segment=*/false, /*new_epoch=*/false); }
Status SegmentLogImpl::Settle() { return Ask(/*new_segment=*/true, /*new_epoch=*/false); }

Result<uint64_t> SegmentLogImpl::Fence() {
  // The lock on the directory has shut every other writer out already; the new epoch says so to
  // whoever reads.
  BASALT_TRY(Ask(/*new_segment=*/true, /*new_epoch=*/true));
  MutexLock lock(mu_);
  return epoch_shown_;
}

Status SegmentLogImpl::LinkInto(const std::string& directory) {
  BASALT_TRY(Settle());
  MutexLock files_lock(files_mu_);
  std::vector<SegmentInfo> segments;
  uint64_t epoch = 0;
  {
    MutexLock lock(mu_);
    segments = segments_;
    epoch = epoch_shown_;
  }
  // The last segment is being written to, and a link would share what is written; the copy gets an
  // empty one instead.
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    BASALT_TRY(directory_.LinkInto(directory, segments[i].first_seq).WithContext("copy the log"));
  }
  return directory_.CreateIn(directory, segments.back().first_seq, epoch)
      .WithContext("copy the log");
}

Status SegmentLogImpl::Close() {
  Status settled = Ask(/*new_segment=*/true, /*new_epoch=*/false, /*close=*/true);
  MutexLock files_lock(files_mu_);  // two may close at once
  if (thread_.joinable()) thread_.join();
  return settled;
}

// ---- the log's thread

void SegmentLogImpl::Run() {
  (void)::pthread_setname_np(::pthread_self(), "basalt-log");
  std::deque<Work> works;
  while (WaitForWork(works)) {
    while (!works.empty()) {
      if (Request* const request = works.front().request; request != nullptr) {
        works.pop_front();
        Status result = Serve(*request);
        MutexLock lock(mu_);
        request->result = std::move(result);
        request->finished = true;
        finished_.NotifyAll();
        continue;
      }
      if (const Status status = Commit(works.front().group); status.ok()) {
        works.pop_front();
      } else {
        Refuse(Judge(status), works);
      }
    }
    if (options_.sync == SyncMode::kInterval && !writer_.AllDurable() &&
        options_.clock->Monotonic() - last_sync_ >= options_.sync_interval) {
      if (const Status status = SyncSegment(); !status.ok())
        (void)Fail(status);  // the next append tells
    }
  }
}

// Takes all that waits. False when the log is closing and nothing does.
bool SegmentLogImpl::WaitForWork(std::deque<Work>& works) {
  MutexLock lock(mu_);
  while (pending_.empty()) {
    if (closing_) return false;
    if (options_.sync == SyncMode::kInterval && !writer_.AllDurable() && failure_.ok()) {
      const Nanoseconds due = last_sync_ + options_.sync_interval - options_.clock->Monotonic();
      if (due <= Nanoseconds(0) || !work_.WaitFor(lock, due)) break;
    } else {
      work_.Wait(lock);
    }
  }
  works.swap(pending_);
  return true;
}

// An error: nothing of the group is in the log.
Status SegmentLogImpl::Commit(Group& group) {
  {
    MutexLock lock(mu_);
    BASALT_TRY(failure_);
  }
  if (group.segment != current_number_) {
    BASALT_TRY(TurnTo(group.segment, group.first_seq, /*new_epoch=*/false));
  }
  BASALT_TRY(writer_.Write(group.done.size(), group.last, group.bytes));
  if (options_.sync == SyncMode::kAlways) {
    if (const Status status = SyncSegment(); !status.ok()) {
      writer_.Withdraw();
      return status;
    }
  }
  Acknowledge(group);
  return OkStatus();
}

// Everything in the current segment becomes durable before a later one exists; so a segment that is
// not the last one is whole, or damaged. An empty segment serves under the new number, unless a
// write has failed in it: what that write left behind could be taken for records later.
Status SegmentLogImpl::TurnTo(uint64_t number, uint64_t first_seq, bool new_epoch) {
  if (!writer_.Empty()) {
    BASALT_TRY(writer_.Cut());
    BASALT_TRY(SyncSegment());
    MutexLock lock(mu_);
    ShowSegment();
  }
  if (!writer_.Empty() || writer_.Spoiled() || new_epoch) {
    BASALT_TRY(writer_.Begin(first_seq, writer_.epoch() + (new_epoch ? 1 : 0)));
    MutexLock lock(mu_);
    ShowSegment();
  }
  current_number_ = number;
  return OkStatus();
}

Status SegmentLogImpl::SyncSegment() {
  const Nanoseconds begin = options_.clock->Monotonic();
  const Status status = writer_.Sync();
  last_sync_ = options_.clock->Monotonic();
  if (!status.ok()) return status;
  MutexLock lock(mu_);
  ++stats_.syncs;
  stats_.sync_ns += static_cast<uint64_t>((last_sync_ - begin).count());
  return OkStatus();
}

// What readers see of the segment that is being written.
void SegmentLogImpl::ShowSegment() {
  if (segments_.empty() || segments_.back().first_seq != writer_.first_seq()) {
    segments_.push_back({.first_seq = writer_.first_seq()});
  }
  segments_.back().end_offset = writer_.end_offset();
  segments_.back().file_bytes = writer_.file_bytes();
  epoch_shown_ = writer_.epoch();
}

Status SegmentLogImpl::Serve(Request& request) {
  {
    MutexLock lock(mu_);
    BASALT_TRY(failure_);
  }
  const auto serve = [&]() -> Status {
    if (request.new_segment) {
      return TurnTo(request.segment, writer_.written() + 1, request.new_epoch);
    }
    return writer_.AllDurable() ? OkStatus() : SyncSegment();
  };
  const Status status = serve();
  return status.ok() ? status : Judge(status);
}

void SegmentLogImpl::Acknowledge(Group& group) {
  {
    MutexLock lock(mu_);
    head_ = writer_.written();
    ShowSegment();
    in_flight_ -= group.in_flight;
    stats_.records += group.done.size();
    stats_.bytes += group.bytes.size();
    ++stats_.groups;
    if (group.bytes.capacity() <= kKeptBufferBytes && spare_.capacity() < group.bytes.capacity()) {
      spare_ = std::move(group.bytes);
      spare_.clear();
    }
  }
  for (const LogAppended& done : group.done) done(OkStatus());
}

// Everything that was taken and is not in the log. Numbers go back to the first of these, and
// appends from now on to a segment of their own: its first uses (record.h) must not rest on records
// that were refused, and the bytes that the disk did take lie behind the old segment's end.
void SegmentLogImpl::Refuse(const Status& why, std::deque<Work>& works) {
  std::vector<Group> refused;
  std::deque<Work> requests;
  {
    MutexLock lock(mu_);
    for (std::deque<Work>* queue : {&works, &pending_}) {
      for (Work& work : *queue) {
        if (work.request != nullptr) {
          requests.push_back(std::move(work));
        } else {
          refused.push_back(std::move(work.group));
        }
      }
    }
    pending_.clear();
    next_seq_ = refused.front().first_seq;
    ++number_;
    planned_bytes_ = kSegmentHeaderBytes;
    for (const Group& group : refused) in_flight_ -= group.in_flight;
    if (failure_.ok()) {
      (why.code() == StatusCode::kResourceExhausted ? stats_.disk_full : stats_.disk_failed) +=
          refused.size();
    }
  }
  works = std::move(requests);
  for (const Group& group : refused) {
    for (const LogAppended& done : group.done) done(why);
  }
}

// Whether the log can go on, after an error. It can while every acknowledged record is durable:
// nothing that the disk has dropped was promised to anybody, and what comes next goes to another
// file. With `interval` there may be such a record, in a segment that cannot be trusted any more.
Status SegmentLogImpl::Judge(const Status& why) {
  if (why.code() == StatusCode::kResourceExhausted) return why;
  {
    MutexLock lock(mu_);
    if (!failure_.ok()) return failure_;
  }
  if (!writer_.AllDurable()) return Fail(why);
  return Unavailable("the disk fails: " + std::string(why.message()));
}

// DATA_LOSS if the device said so; INTERNAL otherwise: never a code that invites a retry.
Status SegmentLogImpl::Fail(const Status& why) {
  MutexLock lock(mu_);
  if (failure_.ok()) {
    failure_ =
        Status(why.code() == StatusCode::kDataLoss ? StatusCode::kDataLoss : StatusCode::kInternal,
               "the log has failed and takes no more: " + std::string(why.message()));
  }
  return failure_;
}

}  // namespace

Result<std::unique_ptr<SegmentLog>> SegmentLog::Open(const SegmentLogOptions& options) {
  if (options.segment_bytes < kSegmentHeaderBytes + kSectorBytes) {
    return InvalidArgument("segment_bytes " + std::to_string(options.segment_bytes) +
                           ": holds no record; at least " +
                           std::to_string(kSegmentHeaderBytes + kSectorBytes));
  }
  Files& files = options.files != nullptr ? *options.files : PosixFiles();
  BASALT_TRY_ASSIGN(SegmentDirectory directory,
                    SegmentDirectory::Open(files, options.directory, options.lane));
  auto log = std::make_unique<SegmentLogImpl>(options, files, std::move(directory));
  BASALT_TRY(log->Start());
  return std::unique_ptr<SegmentLog>(std::move(log));
}

}  // namespace basalt::storage
