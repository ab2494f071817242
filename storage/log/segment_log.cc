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

namespace basalt::storage {
namespace {

using Nanoseconds = std::chrono::nanoseconds;

// Buffers above this are given back after a group instead of being kept for the next one.
constexpr size_t kKeptBufferBytes = 16u << 20;
// What a segment is preallocated to by its first record, if it may be that long.
constexpr size_t kLeastPreallocated = 1u << 20;

// Records of one segment that wait to be written together.
struct Group {
  uint64_t segment = 0;  // its number in this process; 0: none
  uint64_t first_seq = 0;
  std::string bytes;  // frames; sealed by the log's thread
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
      : options_(options), files_(files), directory_(std::move(directory)) {}
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
  Status WriteGroup(Group& group);
  Status UseSegment(const Group& group);
  Status BeginSegment(uint64_t number, uint64_t first_seq);
  Status FinishSegment();
  Status SyncSegment() BASALT_EXCLUDES(mu_);
  Status Serve(Request& request) BASALT_EXCLUDES(mu_);
  void Acknowledge(Group& group) BASALT_EXCLUDES(mu_);
  void Refuse(const Status& why, std::deque<Work>& works) BASALT_EXCLUDES(mu_);
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
  OpenSegment current_;
  uint64_t current_number_ = 0;
  uint64_t offset_ = kSegmentHeaderBytes;
  uint64_t current_size_ = kSegmentHeaderBytes;  // preallocation included
  bool spoiled_ = false;  // a write failed: anything may stand behind offset_
  uint64_t epoch_ = 0;
  uint64_t written_ = 0;  // last record handed to the file
  uint64_t durable_ = 0;  // last record known to be on the disk
  Nanoseconds last_sync_{0};
};

Status SegmentLogImpl::Start() {
  BASALT_TRY_ASSIGN(const RecoveredSegments recovered, directory_.Recover());
  recovery_ = {.torn_bytes = recovered.torn_bytes,
               .torn_records = recovered.torn_records,
               .removed_files = recovered.removed_files};
  epoch_ = recovered.last_epoch + 1;
  written_ = durable_ = recovered.next_seq - 1;
  {
    MutexLock lock(mu_);
    for (const RecoveredSegment& segment : recovered.segments) {
      segments_.push_back({.first_seq = segment.first_seq, .file_bytes = segment.bytes});
      stats_.segment_bytes += segment.bytes;
    }
    next_seq_ = recovered.next_seq;
    head_ = recovered.next_seq - 1;
  }
  BASALT_TRY(BeginSegment(1, recovered.next_seq));
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
  if (planned_bytes_ > kSegmentHeaderBytes && planned_bytes_ + max_frame > options_.segment_bytes) {
    ++number_;
    planned_bytes_ = kSegmentHeaderBytes;
  }
  if (pending_.empty() || pending_.back().request != nullptr ||
      pending_.back().group.segment != number_) {
    Group& fresh = pending_.emplace_back().group;
    fresh.segment = number_;
    fresh.first_seq = next_seq_;
    fresh.bytes = std::exchange(spare_, {});
  }
  Group& group = pending_.back().group;
  const LogPosition position{options_.lane, next_seq_};
  const size_t at = BeginFrame(group.bytes);
  entry.Write(position, number_, group.bytes);
  const size_t bytes = group.bytes.size() - at - kFrameHeaderBytes;
  BASALT_CHECK(bytes >= 1 && bytes <= max_bytes, "a log entry broke the bound that it gave");
  EndFrame(at, group.bytes);
  const size_t frame = group.bytes.size() - at;
  planned_bytes_ += frame;
  in_flight_ += frame;
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
    stats_.segment_bytes -= segments_.front().file_bytes;
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
        Refuse(status.code() == StatusCode::kResourceExhausted ? status : Fail(status), works);
      }
    }
    if (options_.sync == SyncMode::kInterval && written_ != durable_ &&
        options_.clock->Monotonic() - last_sync_ >= options_.sync_interval) {
      if (const Status status = SyncSegment(); !status.ok())
        (void)Fail(status);  // the next append tells
    }
  }
  current_.file.reset();
}

// Takes all that waits. False when the log is closing and nothing does.
bool SegmentLogImpl::WaitForWork(std::deque<Work>& works) {
  MutexLock lock(mu_);
  while (pending_.empty()) {
    if (closing_) return false;
    if (options_.sync == SyncMode::kInterval && written_ != durable_ && failure_.ok()) {
      const Nanoseconds due = last_sync_ + options_.sync_interval - options_.clock->Monotonic();
      if (due <= Nanoseconds(0) || !work_.WaitFor(lock, due)) break;
    } else {
      work_.Wait(lock);
    }
  }
  works.swap(pending_);
  return true;
}

// kResourceExhausted: nothing of the group is in the log, and the log can go on. Other errors are
// for good.
Status SegmentLogImpl::Commit(Group& group) {
  {
    MutexLock lock(mu_);
    BASALT_TRY(failure_);
  }
  BASALT_TRY(UseSegment(group));
  BASALT_TRY(WriteGroup(group));
  if (options_.sync == SyncMode::kAlways) BASALT_TRY(SyncSegment());
  Acknowledge(group);
  return OkStatus();
}

Status SegmentLogImpl::UseSegment(const Group& group) {
  if (group.segment != current_number_) {
    // An empty segment serves under the new number, unless a write has failed in it: what that
    // write left behind could be taken for records later, so the file is replaced.
    if (offset_ != kSegmentHeaderBytes) BASALT_TRY(FinishSegment());
    if (offset_ != kSegmentHeaderBytes || spoiled_)
      BASALT_TRY(BeginSegment(group.segment, group.first_seq));
    current_number_ = group.segment;
  }
  const uint64_t need = offset_ + group.bytes.size();
  if (need <= current_size_) return OkStatus();
  // In doubling steps: a log that is hardly written to does not hold a whole segment's blocks, and
  // a busy one grows seven times a segment. (Growing costs one metadata commit in the next sync.)
  const uint64_t step = std::clamp<uint64_t>(2 * current_size_, kLeastPreallocated,
                                             std::max(options_.segment_bytes, kLeastPreallocated));
  const uint64_t size = std::max(need, std::min<uint64_t>(step, options_.segment_bytes));
  BASALT_TRY(current_.file->Preallocate(size).WithContext("log"));
  MutexLock lock(mu_);
  stats_.segment_bytes += size - current_size_;
  segments_.back().file_bytes = size;
  current_size_ = size;
  return OkStatus();
}

Status SegmentLogImpl::WriteGroup(Group& group) {
  uint64_t seq = group.first_seq;
  for (size_t at = 0; at < group.bytes.size(); ++seq)
    at = SealFrame(at, seq, durable_, group.bytes);
  BASALT_CHECK(seq == group.first_seq + group.done.size());
  const auto bytes = std::as_bytes(std::span(group.bytes));
  spoiled_ = true;
  BASALT_TRY(current_.file->Write(offset_, bytes).WithContext("log"));
  spoiled_ = false;
  offset_ += group.bytes.size();
  written_ = seq - 1;
  return OkStatus();
}

// A disk that is full at fdatasync (delayed allocation) is no different from one that fails: pages
// are lost, and which ones nobody says. So its code is changed, lest it be taken for recoverable.
Status SegmentLogImpl::SyncSegment() {
  const Nanoseconds begin = options_.clock->Monotonic();
  Status status = current_.file->SyncData();
  last_sync_ = options_.clock->Monotonic();
  if (!status.ok()) return DataLoss("log: " + std::string(status.message()));
  durable_ = written_;
  MutexLock lock(mu_);
  ++stats_.syncs;
  stats_.sync_ns += static_cast<uint64_t>((last_sync_ - begin).count());
  return OkStatus();
}

// Everything in the current segment becomes durable before a later one exists; so a segment that is
// not the last one is whole, or damaged.
Status SegmentLogImpl::FinishSegment() {
  if (current_size_ > offset_) {
    if (const Status status = current_.file->Truncate(offset_); !status.ok()) {
      return DataLoss("log: " + std::string(status.message()));
    }
  }
  BASALT_TRY(SyncSegment());
  MutexLock lock(mu_);
  stats_.segment_bytes -= current_size_ - offset_;
  current_size_ = offset_;
  segments_.back().file_bytes = offset_;
  return OkStatus();
}

Status SegmentLogImpl::BeginSegment(uint64_t number, uint64_t first_seq) {
  BASALT_TRY_ASSIGN(OpenSegment segment, directory_.Create(first_seq, epoch_));
  current_ = std::move(segment);
  current_number_ = number;
  spoiled_ = false;
  offset_ = kSegmentHeaderBytes;
  current_size_ = kSegmentHeaderBytes;
  MutexLock lock(mu_);
  epoch_shown_ = epoch_;
  stats_.segment_bytes += kSegmentHeaderBytes;
  if (!segments_.empty() && segments_.back().first_seq == first_seq) {  // replaced an empty one
    stats_.segment_bytes -= segments_.back().file_bytes;
    segments_.pop_back();
  }
  segments_.push_back({first_seq, kSegmentHeaderBytes, kSegmentHeaderBytes});
  return OkStatus();
}

Status SegmentLogImpl::Serve(Request& request) {
  {
    MutexLock lock(mu_);
    BASALT_TRY(failure_);
  }
  if (request.new_epoch) ++epoch_;
  const auto serve = [&]() -> Status {
    if (!request.new_segment) return written_ != durable_ ? SyncSegment() : OkStatus();
    BASALT_TRY(FinishSegment());
    if (offset_ != kSegmentHeaderBytes || spoiled_ || request.new_epoch) {
      BASALT_TRY(BeginSegment(request.segment, written_ + 1));
    }
    current_number_ = request.segment;
    return OkStatus();
  };
  const Status status = serve();
  return status.ok() || status.code() == StatusCode::kResourceExhausted ? status : Fail(status);
}

void SegmentLogImpl::Acknowledge(Group& group) {
  {
    MutexLock lock(mu_);
    head_ = written_;
    segments_.back().end_offset = offset_;
    in_flight_ -= group.bytes.size();
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
// that were refused, and the bytes that the full disk did take lie behind the old segment's end.
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
    for (const Group& group : refused) in_flight_ -= group.bytes.size();
    if (failure_.ok()) stats_.disk_full += refused.size();
  }
  works = std::move(requests);
  for (const Group& group : refused) {
    for (const LogAppended& done : group.done) done(why);
  }
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
  if (options.segment_bytes < kSegmentHeaderBytes + FrameBytes(1)) {
    return InvalidArgument("segment_bytes " + std::to_string(options.segment_bytes) +
                           ": holds no record");
  }
  Files& files = options.files != nullptr ? *options.files : PosixFiles();
  BASALT_TRY_ASSIGN(SegmentDirectory directory,
                    SegmentDirectory::Open(files, options.directory, options.lane));
  auto log = std::make_unique<SegmentLogImpl>(options, files, std::move(directory));
  BASALT_TRY(log->Start());
  return std::unique_ptr<SegmentLog>(std::move(log));
}

}  // namespace basalt::storage
