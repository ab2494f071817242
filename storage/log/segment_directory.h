// storage/log/segment_directory.h -- the segments of a lane as files: found at open, created,
// forgotten.
//
// The order of calls to the disk here is what makes every crash recoverable; each step says why it
// stands where it does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/log/files.h"
#include "storage/log/segment.h"

namespace basalt::storage {

// A segment that is open for writing.
struct OpenSegment {
  SegmentHeader header;
  std::string path;
  std::unique_ptr<File> file;
};

// What is in the directory, oldest first. Whether each ends where the next begins is seen when it
// is read.
struct RecoveredSegment {
  uint64_t first_seq = 0;
  uint64_t bytes = 0;  // of the file
};
struct RecoveredSegments {
  std::vector<RecoveredSegment> segments;  // without an empty last one, which is to be replaced
  uint64_t next_seq = 1;                   // the number that the next record gets
  uint64_t last_epoch = 0;
  uint64_t torn_bytes = 0;
  uint64_t torn_records = 0;
  uint64_t removed_files = 0;
};

// Thread-compatible; locks the directory as long as it lives.
class SegmentDirectory {
 public:
  // Makes the directory if need be. kFailedPrecondition if another process has it.
  static Result<SegmentDirectory> Open(Files& files, std::string path, uint16_t lane);

  // Removes what was half made, checks every header, cuts the torn end of the last segment.
  Result<RecoveredSegments> Recover();

  // Makes a segment that holds no record yet; it, and its name, are durable. Replaces an empty one
  // of the same name. kResourceExhausted leaves nothing behind and may be tried again.
  Result<OpenSegment> Create(uint64_t first_seq, uint64_t epoch);
  // The same in another directory, without keeping it open.
  Status CreateIn(const std::string& directory, uint64_t first_seq, uint64_t epoch);

  // Forgets the oldest segment, durably. After an error it may be called again.
  Status Remove(uint64_t first_seq);
  // Links a segment that is no longer written to.
  Status LinkInto(const std::string& directory, uint64_t first_seq);

  [[nodiscard]] std::string PathOf(uint64_t first_seq) const {
    return path_ + "/" + SegmentName(first_seq);
  }

 private:
  SegmentDirectory(Files& files, std::string path, uint16_t lane, std::unique_ptr<FileLock> lock)
      : files_(&files), path_(std::move(path)), lane_(lane), lock_(std::move(lock)) {}
  // Also the file's size.
  Result<SegmentHeader> ReadHeader(uint64_t first_seq, uint64_t& bytes) const;
  Status CutTornEnd(RecoveredSegments& recovered);
  Result<OpenSegment> CreateAt(const std::string& directory, const SegmentHeader& header);

  Files* files_;
  std::string path_;
  uint16_t lane_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace basalt::storage
