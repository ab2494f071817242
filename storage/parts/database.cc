#include "storage/parts/database.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "storage/parts/meta_keys.h"
#include "storage/parts/rocks.h"

namespace basalt::storage {

namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "blocks", "registry", "dictionary", "activity", "exemplars", "metadata", "meta"};

// Superblocks are 16-64 KiB, so a block holds one or two.
constexpr size_t kSuperblockBlockBytes = 32u << 10;
constexpr size_t kSmallBlockBytes = 16u << 10;
// Beyond this all families are flushed, so that RocksDB's log begins anew and memtables stay small.
constexpr uint64_t kMaxWalBytes = 8u << 20;
// Never reached, or RocksDB would begin another log in the middle of a write: MakeWalReplaceable.
constexpr size_t kWriteBufferBytes = 256u << 20;
constexpr size_t kArenaBlockBytes = 1u << 20;
// Less than this in RocksDB's log is left there by Flush.
constexpr uint64_t kLeastFlushedBytes = 256u << 10;
// How often RocksDB tries whether a full or failing disk can be written to again.
constexpr uint64_t kResumeMicros = 250'000;
// How often closing looks whether it has stopped to.
constexpr auto kResumeLookInterval = std::chrono::milliseconds(5);

rocksdb::DBOptions MakeDbOptions(const DatabaseOptions& options, rocksdb::Env& env) {
  rocksdb::DBOptions db;
  db.create_if_missing = !options.read_only;
  db.create_missing_column_families = !options.read_only;
  db.env = &env;
  db.bgerror_resume_retry_interval = kResumeMicros;
  // Its default depends on NDEBUG in *our* build; Debian's header says DEBUG for ours.
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  db.max_open_files = options.max_open_files;
  db.max_background_jobs = 2;
  // Preallocation would hold the blocks of a whole memtable (70 MiB) for a write-ahead log of
  // kilobytes.
  db.allow_fallocate = false;
  db.max_total_wal_size = kWriteBufferBytes;  // never reached: Write flushes before
  // Or closing would flush for the key that keeps a memtable from being empty. The rest is in the
  // log.
  db.avoid_flush_during_shutdown = true;
  db.keep_log_file_num = 4;
  db.max_log_file_size = 4u << 20;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;  // it reads every file; nothing here is compacted by it
  // A torn tail is what a power cut leaves, whatever it looks like. Should damage take a synced
  // commit with it, the store sees that its log no longer reaches back far enough and stops.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  if (options.read_only) {
    // Whoever only looks is to see damage in the middle of it; a torn end is none.
    db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  }
  // Recovering from a failed write of the log flushes the families. One by one, a crash in between
  // leaves files that are ahead of a log that is torn, and RocksDB does not open that.
  db.atomic_flush = true;
  db.bytes_per_sync = 1u << 20;  // no bursts of dirty pages at fsync
  return db;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(Family family,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  // The index of a file lives in the cache's budget, not beside it.
  table.cache_index_and_filter_blocks = true;
  rocksdb::ColumnFamilyOptions cf;
  cf.write_buffer_size = kWriteBufferBytes;
  cf.arena_block_size = kArenaBlockBytes;
  if (family == Family::kBlocks) {
    table.block_size = kSuperblockBlockBytes;
    cf.compression = rocksdb::kNoCompression;
    cf.bottommost_compression = rocksdb::kNoCompression;
    cf.disable_auto_compactions = true;  // runs have ranges of their own: there is nothing to merge
  } else {
    table.block_size = kSmallBlockBytes;
    cf.compression = rocksdb::kZSTD;
    cf.bottommost_compression = rocksdb::kZSTD;
    cf.target_file_size_base = 32u << 20;
  }
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return cf;
}

struct BatchOp {
  Family family;
  bool is_delete;
  std::string key;
  std::string value;
};

}  // namespace

Status FromRocks(const rocksdb::Status& status, std::string_view context) {
  if (status.ok()) return OkStatus();
  const std::string text = std::string(context) + ": " + status.ToString();
  if (status.IsNotFound()) return NotFound(text);
  if (status.IsCorruption()) return DataLoss(text);
  if (status.IsInvalidArgument()) return Internal(text);
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    return ResourceExhausted(text);
  if (status.IsBusy() || status.IsTryAgain() || status.IsIOError()) return Unavailable(text);
  if (status.IsShutdownInProgress()) return Cancelled(text);
  return Internal(text);
}

struct WriteBatch::Impl {
  std::vector<BatchOp> ops;
  size_t bytes = 0;
};

WriteBatch::WriteBatch() : impl_(std::make_unique<Impl>()) {}
WriteBatch::~WriteBatch() = default;
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;

void WriteBatch::Put(Family family, std::string_view key, std::string_view value) {
  impl_->ops.push_back({family, false, std::string(key), std::string(value)});
  impl_->bytes += key.size() + value.size();
}
void WriteBatch::Delete(Family family, std::string_view key) {
  impl_->ops.push_back({family, true, std::string(key), {}});
  impl_->bytes += key.size();
}
size_t WriteBatch::bytes() const { return impl_->bytes; }
bool WriteBatch::empty() const { return impl_->ops.empty(); }
void WriteBatch::Clear() {
  impl_->ops.clear();
  impl_->bytes = 0;
}

struct PinnedBytes::Impl {
  rocksdb::PinnableSlice slice;
};

PinnedBytes::PinnedBytes() = default;
PinnedBytes::~PinnedBytes() = default;
PinnedBytes::PinnedBytes(PinnedBytes&&) noexcept = default;
PinnedBytes& PinnedBytes::operator=(PinnedBytes&&) noexcept = default;
std::string_view PinnedBytes::view() const {
  return impl_ == nullptr ? std::string_view() : ToView(impl_->slice);
}

Database::Database(DatabaseOptions options)
    : options_(std::move(options)), rocks_(std::make_unique<Rocks>()) {}

Database::~Database() {
  // Whoever wants to know calls Close.
  (void)Close();
}

Result<std::unique_ptr<Database>> Database::Open(const DatabaseOptions& options) {
  std::unique_ptr<Database> database(new Database(options));
  Rocks& rocks = *database->rocks_;
  rocks.resumable_env = std::make_unique<ResumableEnv>(
      options.env == nullptr ? *rocksdb::Env::Default() : *options.env, options.directory);
  rocks.env = &rocks.resumable_env->env();
  rocks.background_errors = std::make_shared<BackgroundErrors>();
  rocksdb::DBOptions db_options = MakeDbOptions(options, *rocks.env);
  db_options.listeners.push_back(rocks.background_errors);
  const std::string context = "open " + options.directory;

  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  // RocksDB insists on a family of this name; nothing of use is in it.
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
  for (size_t i = 0; i < kFamilyCount; ++i) {
    families.emplace_back(kFamilyNames[i], MakeFamilyOptions(static_cast<Family>(i), cache));
  }
  rocks.block_options = rocksdb::Options(db_options, families[1].options);

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened =
      options.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options, options.directory, families, &handles, &db)
          : rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
  if (!opened.ok()) {
    const Status status = FromRocks(opened, context);
    if (opened.IsIOError() && opened.ToString().find("lock") != std::string::npos) {
      return FailedPrecondition(std::string(status.message()) + " (another process has it open)");
    }
    if (opened.IsInvalidArgument()) {
      return FailedPrecondition(std::string(status.message()) + " (written by another version?)");
    }
    return status;
  }
  rocks.db.reset(db);
  (void)db->DestroyColumnFamilyHandle(handles[0]);  // the default family's; RocksDB has another
  std::copy(handles.begin() + 1, handles.end(), rocks.handles.begin());

  if (Status status = database->CheckFormat(); !status.ok()) return status.WithContext(context);
  return database;
}

Status Database::CheckFormat() {
  const Result<std::string> version = Get(Family::kMeta, kFormatKey);
  if (!version.ok() && version.status().code() != StatusCode::kNotFound) return version.status();
  if (!version.ok() && options_.read_only) return NotFound("no store was ever opened here");
  partitions_ = options_.partitions;
  if (!version.ok()) {
    WriteBatch batch;
    batch.Put(Family::kMeta, kFormatKey, BigEndian32(kFormatVersion));
    batch.Put(Family::kMeta, kPartitionsKey, BigEndian32(options_.partitions));
    return Write(std::move(batch), true);
  }
  uint64_t found = 0;
  if (!ReadBigEndian(*version, 4, found)) return DataLoss("meta: format version does not parse");
  if (found != kFormatVersion) {
    return FailedPrecondition("the data has format version " + std::to_string(found) +
                              ", this program reads version " + std::to_string(kFormatVersion));
  }
  BASALT_TRY_ASSIGN(const std::string partitions, Get(Family::kMeta, kPartitionsKey));
  if (!ReadBigEndian(partitions, 4, found)) return DataLoss("meta: partition count does not parse");
  partitions_ = static_cast<uint32_t>(found);
  if (found != options_.partitions && !options_.read_only) {
    return FailedPrecondition(
        "the data was created with " + std::to_string(found) + " partitions and is opened with " +
        std::to_string(options_.partitions) + "; the number is fixed at creation: open it with " +
        std::to_string(found));
  }
  return OkStatus();
}

Status Database::Close() {
  if (rocks_->db == nullptr) return OkStatus();
  for (rocksdb::ColumnFamilyHandle*& handle : rocks_->handles) {
    (void)rocks_->db->DestroyColumnFamilyHandle(handle);
    handle = nullptr;
  }
  // No further failures, and so no further trials, but the one that may be under way.
  rocksdb::CancelAllBackgroundWork(rocks_->db.get(), true);
  while (rocks_->db->Resume().IsBusy()) {
    rocks_->resumable_env->Detach();
    std::this_thread::sleep_for(kResumeLookInterval);
  }
  const rocksdb::Status closed = rocks_->db->Close();
  rocks_->db.reset();
  return FromRocks(closed, "close " + options_.directory);
}

uint64_t Database::MemoryBytes() const {
  if (rocks_->db == nullptr) return 0;
  uint64_t bytes = 0;
  for (const auto& property : {rocksdb::DB::Properties::kSizeAllMemTables,
                               rocksdb::DB::Properties::kEstimateTableReadersMem}) {
    uint64_t value = 0;
    if (rocks_->db->GetAggregatedIntProperty(property, &value)) bytes += value;
  }
  uint64_t cached = 0;  // one cache serves all families
  if (rocks_->db->GetIntProperty(rocks_->handles.front(), rocksdb::DB::Properties::kBlockCacheUsage,
                                 &cached)) {
    bytes += cached;
  }
  return bytes;
}

Result<std::string> Database::Get(Family family, std::string_view key) const {
  std::string value;
  const rocksdb::Status status =
      rocks_->db->Get(rocksdb::ReadOptions(), rocks_->handle(family), ToSlice(key), &value);
  if (!status.ok()) {
    return FromRocks(status, std::string("read ") + kFamilyNames[static_cast<size_t>(family)]);
  }
  return value;
}

Result<PinnedBytes> Database::GetPinned(Family family, std::string_view key, CacheUse use) const {
  PinnedBytes bytes;
  bytes.impl_ = std::make_unique<PinnedBytes::Impl>();
  rocksdb::ReadOptions options;
  options.fill_cache = use == CacheUse::kKeep;
  const rocksdb::Status status =
      rocks_->db->Get(options, rocks_->handle(family), ToSlice(key), &bytes.impl_->slice);
  if (!status.ok()) {
    return FromRocks(status, std::string("read ") + kFamilyNames[static_cast<size_t>(family)]);
  }
  return bytes;
}

Status Database::ForEach(
    Family family, std::string_view prefix,
    const std::function<Status(std::string_view key, std::string_view value)>& fn) const {
  const std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db->NewIterator(rocksdb::ReadOptions(), rocks_->handle(family)));
  for (it->Seek(ToSlice(prefix)); it->Valid() && it->key().starts_with(ToSlice(prefix));
       it->Next()) {
    BASALT_TRY(fn(ToView(it->key()), ToView(it->value())));
  }
  return FromRocks(it->status(), std::string("scan ") + kFamilyNames[static_cast<size_t>(family)]);
}

Status Database::Write(WriteBatch batch, bool sync) {
  rocksdb::WriteBatch out(batch.bytes() + batch.impl_->ops.size() * 16 + 16);
  for (const BatchOp& op : batch.impl_->ops) {
    rocksdb::ColumnFamilyHandle* const handle = rocks_->handle(op.family);
    BASALT_TRY(
        FromRocks(op.is_delete ? out.Delete(handle, op.key) : out.Put(handle, op.key, op.value),
                  "build a batch"));
  }
  rocksdb::WriteOptions options;
  options.sync = sync;
  const std::string context = "write to " + options_.directory;
  const MutexLock lock(rocks_->write_mu);
  BASALT_TRY(FromRocks(rocks_->MakeWalReplaceable(), context));
  BASALT_TRY(FromRocks(rocks_->db->Write(options, &out), context));
  rocks_->wal_bytes += out.GetDataSize();
  return OkStatus();
}

Status Database::Flush() {
  const std::string context = "flush " + options_.directory;
  const MutexLock lock(rocks_->write_mu);
  if (rocks_->wal_bytes < kLeastFlushedBytes) return OkStatus();
  BASALT_TRY(FromRocks(rocks_->Ready(), context));
  BASALT_TRY(FromRocks(rocks_->FlushAll(), context));
  return FromRocks(rocks_->MakeWalReplaceable(), context);
}

rocksdb::Status Database::Rocks::FlushAll() {
  std::vector<rocksdb::ColumnFamilyHandle*> all(handles.begin(), handles.end());
  all.push_back(db->DefaultColumnFamily());
  rocksdb::Status flushed = db->Flush(rocksdb::FlushOptions(), all);
  if (flushed.ok()) wal_bytes = 0;
  return flushed;
}

rocksdb::Status Database::Rocks::MakeWalReplaceable() {
  if (rocksdb::Status stopped = Ready(); !stopped.ok()) return stopped;
  if (wal_bytes > kMaxWalBytes) {
    if (rocksdb::Status flushed = FlushAll(); !flushed.ok()) return flushed;
  }
  uint64_t entries = 0;
  if (!db->GetIntProperty(rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries)) {
    return rocksdb::Status::NotSupported("the memtable's entries");
  }
  if (entries != 0) return rocksdb::Status::OK();
  rocksdb::WriteOptions no_log;
  no_log.disableWAL = true;
  return db->Put(no_log, "not empty", "");
}

void Database::Rocks::KeepFiles(bool until_next) {
  if (until_next) {
    (void)db->DisableFileDeletions();
  } else if (keeping_files) {
    (void)db->EnableFileDeletions(/*force=*/true);
  }
  keeping_files = until_next;
}

uint64_t Database::background_errors() const { return rocks_->background_errors->count(); }

Status Database::TryWrite() { return Write(WriteBatch(), false); }

Status Database::Checkpoint(const std::string& directory) const {
  rocksdb::Checkpoint* raw = nullptr;
  BASALT_TRY(FromRocks(rocksdb::Checkpoint::Create(rocks_->db.get(), &raw), "checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  const MutexLock lock(rocks_->write_mu);  // it flushes
  BASALT_TRY(FromRocks(rocks_->Ready(), "checkpoint"));
  return FromRocks(checkpoint->CreateCheckpoint(directory), "checkpoint to " + directory);
}

}  // namespace basalt::storage
