// storage/parts/database.h -- the one RocksDB of a data directory. Nothing above storage/parts sees
// its types.
//
// Column families and keys are drawn in storage/docs/keys.md. Samples only ever enter `blocks` as
// finished SSTs; everything small goes through RocksDB's own log in batches whose last one is
// synced (docs/0001-commit.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace rocksdb {
class Env;
}

namespace basalt::storage {

enum class Family : uint8_t {
  kBlocks,
  kRegistry,
  kDictionary,
  kActivity,
  kExemplars,
  kMetadata,
  kMeta
};
inline constexpr size_t kFamilyCount = 7;

// Until the storage format is frozen, a version is not read by the next one.
inline constexpr uint32_t kFormatVersion = 1;

struct DatabaseOptions {
  std::string directory;  // RocksDB's own; created if absent, parents must exist
  uint32_t partitions = 8;
  size_t block_cache_bytes = 512u << 20;
  // Files kept open; an SST's index and filter live as long as its file is open. -1: all.
  int max_open_files = 4096;
  // Opens what is there without writing a byte, whatever its partition count (`partitions` is then
  // ignored); for a look at a directory or checkpoint that no server has open.
  bool read_only = false;
  rocksdb::Env* env = nullptr;  // null: the machine's
};

// One atomic write over families.
class WriteBatch {
 public:
  WriteBatch();
  ~WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;
  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  [[nodiscard]] size_t bytes() const;
  [[nodiscard]] bool empty() const;
  void Clear();

 private:
  friend class Database;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether a block that had to be read from the disk stays in the block cache. A rewrite reads
// everything once, and its files go: it passes by what queries keep there.
enum class CacheUse : uint8_t { kKeep, kPass };

// Bytes pinned in the block cache (or owned); the view holds while this lives. Cheap to move.
class PinnedBytes {
 public:
  PinnedBytes();
  ~PinnedBytes();
  PinnedBytes(PinnedBytes&&) noexcept;
  PinnedBytes& operator=(PinnedBytes&&) noexcept;
  [[nodiscard]] std::string_view view() const;

 private:
  friend class Database;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Thread-safe.
class Database {
 public:
  // Errors: kFailedPrecondition if another process has it, or the format version or the partition
  // count differs (both numbers are named); kDataLoss if RocksDB finds damage; kUnavailable /
  // kResourceExhausted from the disk.
  static Result<std::unique_ptr<Database>> Open(const DatabaseOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // kNotFound if absent.
  Result<std::string> Get(Family family, std::string_view key) const;
  Result<PinnedBytes> GetPinned(Family family, std::string_view key,
                                CacheUse use = CacheUse::kKeep) const;
  // Calls `fn` for every key that starts with `prefix`, in key order, until it fails.
  Status ForEach(
      Family family, std::string_view prefix,
      const std::function<Status(std::string_view key, std::string_view value)>& fn) const;
  // `sync`: durable when this returns, and with it every batch written before.
  Status Write(WriteBatch batch, bool sync);

  // What stands in RocksDB's own log only, uncompressed, moves into tables, if it is worth their
  // files: about half of the bytes.
  Status Flush();

  // A hard-linked copy that Open can open. `directory` must not exist.
  Status Checkpoint(const std::string& directory) const;
  Status Close();
  // Held by RocksDB in memtables, block cache and table readers; its own estimates.
  [[nodiscard]] uint64_t MemoryBytes() const;

  // As many as were fixed at creation.
  [[nodiscard]] uint32_t partitions() const { return partitions_; }
  // Whether writes are taken. After one that met a full or failing disk they are not, until RocksDB
  // could write what it has, which it tries by itself four times a second: kResourceExhausted or
  // kUnavailable meanwhile.
  Status TryWrite();
  // Writes that failed in a flush, a compaction, the MANIFEST or RocksDB's log, since it was
  // opened. When this rises, TryWrite says whether it has stopped.
  [[nodiscard]] uint64_t background_errors() const;

  [[nodiscard]] const DatabaseOptions& options() const { return options_; }

  // RocksDB itself, for the files of this folder that include parts/rocks.h.
  struct Rocks;
  [[nodiscard]] Rocks& rocks() const { return *rocks_; }

 private:
  explicit Database(DatabaseOptions options);
  // Writes format version and partition count into a new database, compares them in an old one.
  Status CheckFormat();
  DatabaseOptions options_;
  uint32_t partitions_ = 0;
  std::unique_ptr<Rocks> rocks_;
};

}  // namespace basalt::storage
