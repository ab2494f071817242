// storage/log/log.h -- the log: what makes "acknowledged means durable" true (DESIGN decision 6).
//
// A lane is one order of records with dense sequence numbers from 1. Local segments (segment_log.h)
// now; numbered objects in an S3 store later, which is why this is all there is: append, read,
// head, trim, fence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine/base/ids.h"
#include "engine/base/status.h"

namespace basalt::storage {

// What is appended. The log asks for the bytes when it knows where they go, because a record's
// bytes depend on the segment (record.h) and a segment may end between any two records. Asking
// under the append mutex makes position, segment and bytes one decision; encoding before and again
// if the segment changed meanwhile would need a loop and a roll-back of "first use" marks. It costs
// ~2 ns a series under the mutex, since all columns are encoded before.
class LogEntry {
 public:
  virtual ~LogEntry() = default;
  // Bound of what Write() appends; at most kMaxRecordBytes (record.h), at least 1.
  [[nodiscard]] virtual size_t max_bytes() const = 0;
  // Appends the record. Called once at most, by the thread inside Append(), in log order, one at a
  // time for the whole log. `segment` differs for any two segments that this Log object makes. Must
  // not call the log, nor block.
  virtual void Write(LogPosition position, uint64_t segment, std::string& out) = 0;
};

// How an append ended; called exactly once for each append that was taken, in log order, on the
// log's thread. Must not block or call Append: post to a strand. Not ok: the record is not in the
// log as far as this process is concerned, its position is given out again (unless the log has
// failed for good), and after a crash it may or may not be found.
using LogAppended = std::function<void(const Status&)>;

struct LogRecord {
  LogPosition position;
  std::string_view bytes;      // valid during the visit
  uint64_t segment_first = 0;  // the sequence number that its segment begins with
};
// An error ends the reading and becomes its result.
using LogVisitor = std::function<Status(const LogRecord&)>;

// Thread-safe.
class Log {
 public:
  virtual ~Log() = default;

  // Takes `entry` as the next record; the position is given in the order of the calls. `done` comes
  // later, unless this returns an error: kResourceExhausted (too many bytes in flight, or the disk
  // was full a moment ago: try again later), kInvalidArgument (record too big), kUnavailable
  // (closed), kAborted (fenced off), or the error for which the log has failed for good. In
  // `done`, a full disk is kResourceExhausted, one that fails otherwise kUnavailable: try again.
  virtual Result<LogPosition> Append(LogEntry& entry, LogAppended done) = 0;

  // Visits the records [from, Head()] as of the call, in order. kOutOfRange if `from` was trimmed;
  // kDataLoss names the file and the offset of damage, after everything before it has been visited.
  virtual Status Read(uint64_t from, const LogVisitor& visitor) = 0;

  // The last acknowledged record; seq 0 if there never was one. Trimming does not change it.
  [[nodiscard]] virtual LogPosition Head() const = 0;
  // The first record that Read() can give, or one past the head.
  [[nodiscard]] virtual LogPosition First() const = 0;

  // Allows everything up to `upto` inclusive to be forgotten; forgets by whole segments, so rather
  // less.
  virtual Status Trim(uint64_t upto) = 0;

  // Makes this object the lane's only writer: unacknowledged appends of any other will fail.
  // Returns the new epoch.
  virtual Result<uint64_t> Fence() = 0;

  // Returns when everything taken before the call is on the disk, whatever the sync mode.
  virtual Status Sync() = 0;

  // Finishes what was taken, syncs, calls what is left to call, and refuses the rest. Idempotent.
  virtual Status Close() = 0;
};

}  // namespace basalt::storage
