// storage/log/segment_scrub.h -- reads the files of a lane and checks every frame, without opening
// the log: for a directory that nobody writes to, or the finished segments of a log that is open.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/log/files.h"
#include "storage/log/log.h"

namespace basalt::storage {

struct SegmentScrubResult {
  uint64_t first_seq = 0;  // that the segments can give; 0: there is none
  uint64_t next_seq = 0;   // that the next record would get
  uint64_t records = 0;
  struct Bad {
    std::string file;  // name in the directory
    std::string what;
  };
  std::vector<Bad> damage;         // at most one a segment: what stands behind is not looked at
  std::vector<std::string> notes;  // a torn end
};

struct SegmentScrubOptions {
  bool skip_last = false;  // it is being written to
  LogVisitor on_record;    // an error that it returns is damage of that record; kCancelled ends it
  std::function<void(uint64_t files, uint64_t bytes)> on_begin;  // what there is to read
  std::function<Status(uint64_t bytes)> spend;                   // an error ends it
  std::function<void()> on_file;                                 // one is done
};

Result<SegmentScrubResult> ScrubSegments(Files& files, const std::string& directory,
                                         const SegmentScrubOptions& options);

}  // namespace basalt::storage
