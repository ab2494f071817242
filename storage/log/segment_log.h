// storage/log/segment_log.h -- a lane of the log in local files. Format:
// storage/docs/log-format.md.
//
// Group commit: one thread takes whatever is waiting, writes it with one call, syncs once, and
// calls back in order; the records that arrive meanwhile form the next group. So the cost of
// fdatasync is shared by as many as wait for it. Who appends alone waits for no timer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "storage/log/files.h"
#include "storage/log/log.h"
#include "storage/store.h"

namespace basalt::storage {

struct SegmentLogOptions {
  std::string directory;  // made if missing; nobody else's files in it. One lane.
  uint16_t lane = 0;
  SyncMode sync = SyncMode::kAlways;
  Duration sync_interval{1000};
  // With kAlways: how long the next group gathers when several records shared the last one. A sync
  // costs much the same CPU whatever it makes durable (README.md).
  Duration gather_time{1};
  // A segment ends before the record that would exceed it, and is preallocated up to it, in steps.
  // A larger record gets a segment of its own.
  size_t segment_bytes = 128u << 20;
  size_t max_bytes_in_flight = 256u << 20;  // appended and not called back yet
  Files* files = nullptr;                   // null: PosixFiles()
  const Clock* clock = &SystemClock();      // for sync_interval and sync_ns
};

// Counters since Open() and gauges of now.
struct LogStats {
  uint64_t records = 0;  // acknowledged
  uint64_t bytes = 0;    // written, frames included
  uint64_t groups = 0;   // writes that were shared by all records waiting
  uint64_t syncs = 0;
  uint64_t sync_ns = 0;          // sum
  uint64_t disk_full = 0;        // groups refused for it
  uint64_t disk_failed = 0;      // groups refused because it failed otherwise
  uint64_t segments = 0;         // gauge: files
  uint64_t segment_bytes = 0;    // gauge: their sizes, preallocation included
  uint64_t in_flight_bytes = 0;  // gauge
  bool failed = false;           // for good
  std::string failure;           // why
};

// What opening found besides whole records.
struct LogRecovery {
  uint64_t torn_bytes = 0;     // cut off the end of the last segment: writes never acknowledged
  uint64_t torn_records = 0;   // of these, whole records that stood behind a torn one
  uint64_t removed_files = 0;  // segments half made
};

// Open() and Close() each begin a new segment, so that after a clean end every record stands in a
// finished one, where damage cannot be taken for a torn end.
//
// A failed write or sync of data is never tried again: what the kernel has dropped cannot be known.
// The waiting appends are refused (kResourceExhausted of a full disk, else kUnavailable), their
// bytes count for nothing whatever a later sync says, and the next append begins a new segment at
// the first refused number. So the log works again as soon as the disk does. Only an acknowledged
// record that may be gone makes the log failed for good, and that takes SyncMode::kInterval: then
// waiting appends get the error, later ones are refused, reading goes on.
class SegmentLog : public Log {
 public:
  // Locks the directory, checks the segments' names and headers, cuts the torn end of the last
  // segment, and begins a new one. Errors: kFailedPrecondition (locked, another lane's, or a later
  // version), kDataLoss (damage that is not a torn end: a hole between segments, a bad header, a
  // bad frame that a later one says was durable).
  static Result<std::unique_ptr<SegmentLog>> Open(const SegmentLogOptions& options);

  [[nodiscard]] virtual LogStats Stats() const = 0;
  [[nodiscard]] virtual LogRecovery Recovery() const = 0;

  // Ends the current segment and gives its unused space back; afterwards Trim(Head().seq) leaves
  // one empty segment. Waits for what was taken before.
  virtual Status Settle() = 0;
  // Settles, then links every segment into `directory`, which must exist: opening it gives this log
  // as of now (what was appended meanwhile may be there too). Syncs the directory.
  virtual Status LinkInto(const std::string& directory) = 0;
  // The first sequence number of the segment that holds `seq` (ids of series are complete from
  // there on).
  [[nodiscard]] virtual uint64_t SegmentFirst(uint64_t seq) const = 0;
};

}  // namespace basalt::storage
