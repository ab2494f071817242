// storage/log/segment_log_impl.h -- the SegmentLog. Private to two sources: segment_log.cc is what
// callers do, on any thread (append, read, trim, copy); segment_commit.cc is the one thread that
// makes what they appended durable, or refuses it. What they share is behind one mutex.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/log/segment.h"
#include "storage/log/segment_directory.h"
#include "storage/log/segment_log.h"
#include "storage/log/segment_writer.h"

namespace basalt::storage {
namespace segment_log_internal {

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

  // On the log's thread: segment_commit.cc.
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
  std::chrono::nanoseconds last_sync_{0};
};

}  // namespace segment_log_internal
}  // namespace basalt::storage
