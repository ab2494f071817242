// storage/parts/rocks.h -- RocksDB itself; included by the sources of storage/parts only.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <array>
#include <memory>
#include <string_view>

#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/parts/background_errors.h"
#include "storage/parts/database.h"
#include "storage/parts/resumable_env.h"

namespace basalt::storage {

struct Database::Rocks {
  std::unique_ptr<ResumableEnv> resumable_env;  // dies after the database
  rocksdb::Env* env = nullptr;
  std::shared_ptr<BackgroundErrors> background_errors;
  rocksdb::Options block_options;  // of Family::kBlocks, for files written outside
  std::unique_ptr<rocksdb::DB> db;
  // One change at a time: held for a write, a flush, a checkpoint, and runs that come or go. After
  // a failure RocksDB 7.8 recovers in a thread of its own and does not stand another one meanwhile
  // (assertions in ResumeImpl; an ingestion that gets file number 0). With this held and Ready,
  // only a compaction can fail beside the change, which RocksDB waits for before it recovers, and
  // which runs that come or go must not meet: PausedWork.
  Mutex write_mu;
  uint64_t wal_bytes BASALT_GUARDED_BY(write_mu) = 0;  // written since all families were flushed
  bool keeping_files BASALT_GUARDED_BY(write_mu) = false;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> handles{};

  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles[static_cast<size_t>(family)];
  }
  // Ok, or what RocksDB has not recovered from yet. Before every change.
  [[nodiscard]] rocksdb::Status Ready() const BASALT_REQUIRES(write_mu) {
    return background_errors->recovering_from();
  }
  // Before a write. Ready, and: RocksDB 7.8 recovers from a failed write of its log by flushing the
  // memtables, which begins a new log, but not if all of them are empty; then it goes on with the
  // writer that has failed, which stops the process by an assertion, or fails for ever without
  // them. So one of them is kept from being empty, by a key in the family that has no use, which
  // takes no file to write.
  rocksdb::Status MakeWalReplaceable() BASALT_REQUIRES(write_mu);
  // All families, so that RocksDB's log begins anew.
  rocksdb::Status FlushAll() BASALT_REQUIRES(write_mu);
  // After files came or went, or could not. RocksDB 7.8 wants removal of files to be off when it
  // recovers after a MANIFEST that could not be changed (an assertion in ResumeImpl), and sees to
  // it in a flush, but not in DeleteFilesInRanges, nor where an ingestion takes its file numbers.
  // Recovering turns it on again.
  void KeepFiles(bool until_next) BASALT_REQUIRES(write_mu);
};

// While it lives, no flush and no compaction runs; those that do end first.
class PausedWork {
 public:
  explicit PausedWork(rocksdb::DB& db) : db_(db) { (void)db.PauseBackgroundWork(); }
  ~PausedWork() { (void)db_.ContinueBackgroundWork(); }
  PausedWork(const PausedWork&) = delete;
  PausedWork& operator=(const PausedWork&) = delete;

 private:
  rocksdb::DB& db_;
};

// RocksDB's status as ours, "<context>: <RocksDB's words>"; ok stays ok.
Status FromRocks(const rocksdb::Status& status, std::string_view context);

inline rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

}  // namespace basalt::storage
