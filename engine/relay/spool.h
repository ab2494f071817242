// engine/relay/spool.h -- what a relay has taken and its server has not acknowledged yet, on disk.
//
// Records have numbers that rise by one, from 1, for as long as the directory lives; a record's
// number is its sequence number on the stream, so that a server that is asked where to go on and a
// spool that is opened again mean the same record. Files (<number of the first record>.spool, of
// engine/base/record_file.h) go once all of their records are acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/record_file.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::relay {

struct SpoolOptions {
  std::string directory;
  uint64_t max_bytes = 1u << 30;    // of all files; beyond it Append is refused
  uint64_t file_bytes = 16u << 20;  // a further file is begun beyond it
};

// Thread-safe.
class Spool {
 public:
  // Opens or creates. kFailedPrecondition: another relay has it. kDataLoss: a file in it is none of
  // ours. A torn end is cut off: it was never acknowledged.
  static Result<std::unique_ptr<Spool>> Open(const SpoolOptions& options);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // 16 bytes: who this spool's records are from, to the server.
  [[nodiscard]] const std::string& writer() const { return writer_; }

  // On the disk when this returns; several callers share one fdatasync. Returns the record's
  // number. kResourceExhausted: the spool, or the disk, is full.
  Result<uint64_t> Append(Timestamp now, std::string_view payload) BASALT_EXCLUDES(mu_);

  struct Record {
    uint64_t number = 0;
    Timestamp taken;
    std::string payload;
  };
  // The first record from `number` on that is on the disk; waits for one at most `patience`.
  // nullopt: there is none yet. Damaged records are passed over, and counted.
  Result<std::optional<Record>> Read(uint64_t number, Duration patience) BASALT_EXCLUDES(mu_);
  // Everything up to `number` is acknowledged and may go.
  void Trim(uint64_t number) BASALT_EXCLUDES(mu_);
  // The next record's number is above `number`: the server knows it already.
  void SkipTo(uint64_t number) BASALT_EXCLUDES(mu_);

  struct Stats {
    uint64_t records = 0;  // not acknowledged, not damaged
    uint64_t bytes = 0;    // of all files
    uint64_t oldest = 0;   // number of the oldest record that is not acknowledged
    uint64_t newest = 0;
    std::optional<Timestamp> oldest_taken;  // of it
    uint64_t lost_records = 0;              // damaged: found so since the start
  };
  [[nodiscard]] Stats GetStats() const BASALT_EXCLUDES(mu_);

 private:
  struct Segment {
    uint64_t first = 0;
    std::string path;
    std::shared_ptr<RecordFile> file;
    std::vector<uint64_t> offsets;  // of its records
    Timestamp oldest;               // of its first record
    [[nodiscard]] uint64_t end() const { return first + offsets.size(); }
  };
  explicit Spool(SpoolOptions options) : options_(std::move(options)) {}
  Status Load() BASALT_EXCLUDES(mu_);
  Status LoadWriter() BASALT_REQUIRES(mu_);
  Status BeginFile() BASALT_REQUIRES(mu_);
  [[nodiscard]] uint64_t Bytes() const BASALT_REQUIRES(mu_);
  void Lose(uint64_t number, const std::string& why) BASALT_REQUIRES(mu_);

  const SpoolOptions options_;
  int lock_fd_ = -1;
  std::string writer_;  // set by Open

  mutable Mutex mu_;
  CondVar changed_;  // something was appended, or synced
  std::deque<Segment> segments_ BASALT_GUARDED_BY(mu_);
  uint64_t next_ BASALT_GUARDED_BY(mu_) = 1;
  uint64_t synced_ BASALT_GUARDED_BY(mu_) = 0;  // records up to this are on the disk
  bool syncing_ BASALT_GUARDED_BY(mu_) = false;
  uint64_t acked_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t lost_ BASALT_GUARDED_BY(mu_) = 0;
  std::set<uint64_t> damaged_ BASALT_GUARDED_BY(mu_);  // counted in lost_, and still in a file
  Status failed_ BASALT_GUARDED_BY(mu_);               // a sync that failed: nothing more is taken
};

}  // namespace basalt::relay
