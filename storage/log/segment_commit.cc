// The log's thread: what waits becomes durable together, in order, or is refused.
#include <pthread.h>

#include <thread>
#include <utility>

#include "storage/log/segment_log_impl.h"

namespace basalt::storage::segment_log_internal {
namespace {

using Nanoseconds = std::chrono::nanoseconds;

// Buffers above this are given back after a group instead of being kept for the next one.
constexpr size_t kKeptBufferBytes = 16u << 20;

}  // namespace

void SegmentLogImpl::Run() {
  (void)::pthread_setname_np(::pthread_self(), "basalt-log");
  std::deque<Work> works;
  while (WaitForWork(works)) {
    size_t appends = 0;
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
      appends += works.front().group.done.size();
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
    if (appends > 1 && options_.sync == SyncMode::kAlways) {
      std::this_thread::sleep_for(options_.gather_time);
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

}  // namespace basalt::storage::segment_log_internal
