// storage/parts/background_errors.h -- hears of writes of RocksDB's that failed: in a flush, a
// compaction, the MANIFEST, its log; and of its recovery. Included by the sources of storage/parts
// only.
#pragma once

#include <rocksdb/listener.h>
#include <rocksdb/status.h>

#include <cstdint>

#include "engine/base/mutex.h"

namespace basalt::storage {

// Says in the log what failed, and when it is over. Thread-safe.
class BackgroundErrors final : public rocksdb::EventListener {
 public:
  // How many there were.
  [[nodiscard]] uint64_t count() const BASALT_EXCLUDES(mu_);
  // Ok, or what RocksDB has not recovered from yet.
  [[nodiscard]] rocksdb::Status recovering_from() const BASALT_EXCLUDES(mu_);

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override
      BASALT_EXCLUDES(mu_);
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override
      BASALT_EXCLUDES(mu_);

 private:
  mutable Mutex mu_;
  uint64_t count_ BASALT_GUARDED_BY(mu_) = 0;
  rocksdb::Status recovering_from_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
