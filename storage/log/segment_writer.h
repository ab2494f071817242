// storage/log/segment_writer.h -- the segment at the end of a lane: frames go in and become
// durable.
//
// Every write fills whole sectors, so none of them touches a sector that holds acknowledged bytes,
// and the disk takes what was written and not the pages around it (docs/log-format.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/status.h"
#include "storage/log/segment_directory.h"

namespace basalt::storage {

// One thread; borrows the directory. Begin() comes first.
class SegmentWriter {
 public:
  // Segments are preallocated up to `segment_bytes`, in steps.
  SegmentWriter(SegmentDirectory& directory, size_t segment_bytes)
      : directory_(directory), segment_bytes_(segment_bytes) {}

  // A new segment for records from `first_seq` on, all before it being durable. Replaces an empty
  // one of that name. After kResourceExhausted the old segment is still the current one.
  Status Begin(uint64_t first_seq, uint64_t epoch);

  // Writes frames (segment.h) of `records` records that follow those written; the last frame stands
  // at `last`. Fills `frames` up with zeros, and seals each. kResourceExhausted: none of them is in
  // the log, and the segment must be left (Spoiled()).
  Status Write(size_t records, size_t last, std::string& frames);

  // What was written is on the disk when it returns. A failure is never kResourceExhausted: a disk
  // that is full at fdatasync (delayed allocation) is no different from one that fails; pages are
  // lost, and which ones nobody says. What was written since the last sync is not to be believed
  // any more, whatever a later sync says: take it back, or let the log fail.
  Status Sync();

  // Takes back what was written since the last sync: it is not in the log, and the segment must be
  // left (Spoiled()).
  void Withdraw();

  // Gives preallocated space back; Sync() comes next.
  Status Cut();

  [[nodiscard]] uint64_t first_seq() const { return first_seq_; }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] uint64_t end_offset() const { return offset_; }  // behind what is written
  [[nodiscard]] uint64_t file_bytes() const { return file_bytes_; }
  [[nodiscard]] uint64_t written() const { return written_; }  // the last record handed to the file
  [[nodiscard]] bool AllDurable() const { return written_ == durable_; }
  [[nodiscard]] bool Empty() const { return offset_ == kSegmentHeaderBytes; }
  // A write has failed, or was taken back: anything may stand behind the end.
  [[nodiscard]] bool Spoiled() const { return spoiled_; }

 private:
  Status Reserve(size_t bytes);

  SegmentDirectory& directory_;
  const size_t segment_bytes_;
  OpenSegment current_;
  uint64_t first_seq_ = 0;
  uint64_t epoch_ = 0;
  uint64_t offset_ = kSegmentHeaderBytes;
  uint64_t durable_offset_ = kSegmentHeaderBytes;
  uint64_t file_bytes_ = kSegmentHeaderBytes;
  uint64_t written_ = 0;
  uint64_t durable_ = 0;
  bool spoiled_ = false;
};

}  // namespace basalt::storage
