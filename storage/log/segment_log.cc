#include "storage/log/segment_log.h"

#include <algorithm>
#include <utility>

#include "storage/log/record.h"
#include "storage/log/segment_log_impl.h"

namespace basalt::storage {
namespace segment_log_internal {
namespace {

// What filling a group's last sector adds to it at most.
constexpr size_t kMaxFillBytes = kSectorBytes - kFrameAlignment;

}  // namespace

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

}  // namespace segment_log_internal

Result<std::unique_ptr<SegmentLog>> SegmentLog::Open(const SegmentLogOptions& options) {
  if (options.segment_bytes < kSegmentHeaderBytes + kSectorBytes) {
    return InvalidArgument("segment_bytes " + std::to_string(options.segment_bytes) +
                           ": holds no record; at least " +
                           std::to_string(kSegmentHeaderBytes + kSectorBytes));
  }
  Files& files = options.files != nullptr ? *options.files : PosixFiles();
  BASALT_TRY_ASSIGN(SegmentDirectory directory,
                    SegmentDirectory::Open(files, options.directory, options.lane));
  auto log =
      std::make_unique<segment_log_internal::SegmentLogImpl>(options, files, std::move(directory));
  BASALT_TRY(log->Start());
  return std::unique_ptr<SegmentLog>(std::move(log));
}

}  // namespace basalt::storage
