// storage/parts/resumable_env.h -- files as RocksDB 7.8 must see them, so that a failed write ends
// with the failure and not with the database.
#pragma once

#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace basalt::storage {

// The files of another Env, told differently in three places where RocksDB 7.8 goes wrong:
//
// - A full disk is kSpaceLimit and retryable instead of kNoSpace. After kNoSpace, recovered or
//   resumed, the handler of errors forgets to take back "stopped" (ErrorHandler::ClearBGError
//   leaves is_db_stopped_ set). From then on each flush is taken for done before it is, and the
//   next IngestExternalFile gets file number 0: an assertion in Debian's build, a file written over
//   in one without assertions. The way of retryable errors takes it back; it tries again by itself.
// - Any other failed change (EIO, a file system gone read-only) is retryable, too; otherwise the
//   database would have to be opened again. Trying again is sound, since RocksDB then writes other
//   files: memtables hold what its log may have lost, and a new MANIFEST is whole. A failed sync is
//   never believed by a second one.
// - While it is not known what the MANIFEST on the disk says (a write or a sync of it failed), no
//   table file is removed. A failed ingestion removes its files although the MANIFEST may name them
//   already, and then the database does not open again. They are removed once a MANIFEST is in
//   place that was written whole, or by the next opening.
//
// Threads and clocks are the process's. Thread-safe. It must outlive the database.
class ResumableEnv {
 public:
  // `base` must outlive it; `directory` is the database's.
  ResumableEnv(rocksdb::Env& base, std::string directory);
  ~ResumableEnv();

  [[nodiscard]] rocksdb::Env& env() const { return *env_; }
  // From now on nothing reaches the disk, and every change "succeeds": the disk stays as a crash at
  // this moment would leave it. For a database that is to be closed while it tries again and again:
  // closed, it would wait for ever (ErrorHandler::RecoverFromRetryableBGIOError, told to end,
  // leaves recovery_in_prog_ set), so its trial must come to an end first, as DB::Resume tells with
  // Busy.
  void Detach();

 private:
  class Files;
  const std::shared_ptr<Files> files_;
  const std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace basalt::storage
