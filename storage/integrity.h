// storage/integrity.h -- whether what is stored is still what was written: scrubbing, and what it
// finds.
//
// Every byte on disk has a checksum that is checked when it is read (DESIGN decision 14). A scrub
// reads everything, so that damage is found while a backup still has the bytes. Online it is
// Store::Scrub; offline, on a directory that no server has open, VerifyDirectory.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "storage/reader.h"

namespace rocksdb {
class Env;
}

namespace basalt::storage {

class Files;  // storage/log/files.h

// Which samples a damaged block held.
struct DamagedBlock {
  uint32_t partition = 0;
  std::string day;  // "2026-11-23"
  uint32_t run = 0;
  // Number of the superblock in the run's directory; nothing if the directory itself is damaged,
  // and with it the whole run cannot be read.
  std::optional<uint64_t> block;
  std::string key;  // hexadecimal: storage/docs/keys.md
  // Series: from this metric to that one, in series order. Empty where the index cannot tell, or
  // the block holds the time columns that the run's series share.
  std::string first_metric;
  std::string last_metric;
  TimeRange range;
  uint64_t samples = 0;  // 0: time columns
};

// One thing that does not check.
struct Damage {
  std::string file;  // relative to the data directory: "db/000123.sst"; empty: not known
  std::string what;  // the block or the offset, and what is wrong with it
  std::optional<DamagedBlock> block;
};

// How far a scrub has come.
struct ScrubProgress {
  uint64_t files_total = 0;
  uint64_t files_done = 0;
  uint64_t bytes_total = 0;  // as of the begin: files come and go meanwhile
  uint64_t bytes_done = 0;
  uint64_t blocks = 0;   // superblocks opened, their own checksum included
  uint64_t records = 0;  // of the log
};

struct ScrubOptions {
  // Reads no faster than this on average; 0: as fast as the disk gives.
  uint64_t bytes_per_second = 0;
  // Once true, the scrub ends with kCancelled within a tenth of a second.
  const std::atomic<bool>* cancel = nullptr;
  // Called now and then, and at the end, on the scrub's thread.
  std::function<void(const ScrubProgress&)> on_progress = nullptr;
};

struct ScrubReport {
  ScrubProgress progress;
  std::vector<Damage> damage;  // at most kMaxDamageShown; `damage_total` counts all
  uint64_t damage_total = 0;
  // Blocks that had been quarantined and are readable again (a file restored from a backup).
  uint64_t released = 0;
  std::vector<std::string> notes;  // what is odd but no damage: a torn end that a crash left

  void Add(Damage found);
};
inline constexpr size_t kMaxDamageShown = 1000;

// Spends a scrub's bytes: sleeps where it would be too fast, tells progress, sees the cancel. One
// thread.
class ScrubPace {
 public:
  // `also`: a second one who may ask to stop.
  explicit ScrubPace(const ScrubOptions& options, const std::atomic<bool>* also = nullptr);
  // kCancelled once asked to stop.
  Status Spend(uint64_t bytes);
  void FileDone();
  void Finish();  // tells progress a last time

  ScrubProgress progress;

 private:
  void Tell();
  const ScrubOptions& options_;
  const std::atomic<bool>* also_;
  std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::time_point told_;
};

// Reads everything in the data directory (or checkpoint) `directory` and writes nothing: the SSTs
// and superblocks with both their checksums, manifest, write-ahead log, index, deletes, exemplars,
// metadata, and the log with every record decoded. Damage is in the report and no error. Errors:
// kFailedPrecondition if a server has it open or it is a later version's; kNotFound if there is no
// such directory or no store in it; kCancelled.
Result<ScrubReport> VerifyDirectory(const std::string& directory, const ScrubOptions& options,
                                    Files* files = nullptr, rocksdb::Env* env = nullptr);

}  // namespace basalt::storage
