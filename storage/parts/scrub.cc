#include "storage/parts/scrub.h"

#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/codec/keys.h"
#include "storage/codec/superblock.h"
#include "storage/parts/rocks.h"
#include "storage/parts/rocks_log.h"
#include "storage/parts/run_format.h"

namespace basalt::storage {
namespace {

constexpr size_t kReadAheadBytes = 1u << 20;
constexpr const char* kBlocksFamily = "blocks";

rocksdb::ReadOptions Reading() {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  read.fill_cache = false;
  read.readahead_size = kReadAheadBytes;
  return read;
}

// One SST, opened beside RocksDB. A block in the cache says nothing about the disk, so there is
// none here.
class SstScrub {
 public:
  explicit SstScrub(rocksdb::Env* env) : reader_(MakeOptions(env)) {}

  // kDataLoss if its footer, index or properties do not check; kNotFound if it has gone.
  Status Open(const std::string& path) {
    const rocksdb::Status opened = reader_.Open(path);
    if (opened.IsPathNotFound() || opened.IsNotFound()) return NotFound(path);
    return AsDamage(opened);
  }
  [[nodiscard]] bool holds_blocks() const {
    return reader_.GetTableProperties()->column_family_name == kBlocksFamily;
  }

  // Reads all of it; `fn` sees each key and value. The first error ends it.
  Status ReadAll(const std::function<Status(std::string_view, std::string_view)>& fn) {
    const std::unique_ptr<rocksdb::Iterator> it(reader_.NewIterator(Reading()));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      BASALT_TRY(fn(ToView(it->key()), ToView(it->value())));
    }
    return AsDamage(it->status());
  }

  // One value; by its exact key, so that damage elsewhere does not matter.
  Result<std::string> ReadOne(std::string_view key) {
    const std::unique_ptr<rocksdb::Iterator> it(reader_.NewIterator(Reading()));
    it->Seek(ToSlice(key));
    BASALT_TRY(AsDamage(it->status()));
    if (!it->Valid() || ToView(it->key()) != key) return DataLoss("it is not in its file");
    return it->value().ToString();
  }

 private:
  static rocksdb::Options MakeOptions(rocksdb::Env* env) {
    rocksdb::Options options;
    options.env = env;
    rocksdb::BlockBasedTableOptions table;
    table.no_block_cache = true;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
  }
  // Whatever RocksDB says of a file that it cannot read is damage: the disk does not give its
  // bytes.
  static Status AsDamage(const rocksdb::Status& status) {
    return status.ok() ? OkStatus() : DataLoss(status.ToString());
  }

  rocksdb::SstFileReader reader_;
};

bool IsDirectoryKey(std::string_view key) {
  return key.size() == kBlockKeyBytes &&
         key.find_first_not_of('\xFF', kRunPrefixBytes) == std::string_view::npos;
}

Status CheckValue(std::string_view key, std::string_view value) {
  if (IsDirectoryKey(key)) return DecodeDirectory(value).status();
  return Superblock::Open(value).status();
}

class DatabaseScrub {
 public:
  DatabaseScrub(const Database& database, const RunStore& runs, ScrubPace& pace,
                ScrubReport& report, const BlockDamaged& damaged)
      : database_(database),
        env_(database.rocks().env),
        snapshot_(runs.Snapshot()),
        pace_(pace),
        report_(report),
        damaged_(damaged) {
    for (const auto& run : snapshot_->runs()) runs_[run->info().number] = run;
  }

  Status Run() {
    std::vector<rocksdb::LiveFileMetaData> files;
    database_.rocks().db->GetLiveFilesMetaData(&files);
    for (const rocksdb::LiveFileMetaData& file : files) pace_.progress.bytes_total += file.size;
    pace_.progress.files_total += files.size();
    for (const rocksdb::LiveFileMetaData& file : files) {
      BASALT_TRY(Check(file));
      pace_.FileDone();
    }
    return CheckLogs();
  }

 private:
  [[nodiscard]] std::string PathOf(const std::string& name) const {
    return database_.options().directory + "/" + name;
  }

  Status Check(const rocksdb::LiveFileMetaData& file) {
    const std::string name = file.name.substr(file.name.rfind('/') + 1);
    const bool blocks = file.column_family_name == kBlocksFamily;
    std::shared_ptr<const storage::Run> run;
    if (blocks) {
      const auto first = DecodeBlockKey(file.smallestkey);
      const auto found = first.ok() ? runs_.find(first->run.run) : runs_.end();
      // Not of the manifest: dropped, and about to go.
      if (found == runs_.end()) return pace_.Spend(file.size);
      run = found->second;
    }
    SstScrub sst(env_);
    Status status = sst.Open(PathOf(name));
    if (status.code() == StatusCode::kNotFound && !run) return pace_.Spend(file.size);
    uint64_t spent = 0;
    if (status.ok()) {
      status = sst.ReadAll([&](std::string_view key, std::string_view value) -> Status {
        if (!blocks) return OkStatus();
        ++pace_.progress.blocks;
        spent += key.size() + value.size();
        BASALT_TRY(pace_.Spend(key.size() + value.size()));
        return CheckValue(key, value);
      });
    }
    if (status.code() == StatusCode::kCancelled) return status;
    BASALT_TRY(pace_.Spend(file.size - std::min<uint64_t>(spent, file.size)));
    if (run) return Judge(sst, *run, name, status);
    if (!status.ok()) report_.Add({.file = "db/" + name, .what = Words(status), .block = {}});
    return OkStatus();
  }

  // Block by block where a file does not read as a whole, or some of it did not before.
  Status Judge(SstScrub& sst, const storage::Run& run, const std::string& name,
               const Status& whole) {
    const std::map<size_t, std::string> before = run.Quarantined();
    if (whole.ok()) {
      for (const auto& [block, why] : before) report_.released += run.Release(block) ? 1 : 0;
      return OkStatus();
    }
    bool named = false;
    const std::string file = "db/" + name;
    const auto judge = [&](size_t block, const Status& status) {
      if (status.ok()) {
        report_.released += run.Release(block) ? 1 : 0;
        return;
      }
      named = true;
      damaged_(run, block, file, run.Quarantine(block, status));
    };
    const auto check = [&](const std::string& key) -> Status {
      BASALT_TRY_ASSIGN(const std::string value, sst.ReadOne(key));
      return CheckValue(key, value);
    };
    judge(kDirectoryBlock, check(DirectoryKey(run.info())));
    const auto directory = run.Directory();
    for (size_t i = 0; directory.ok() && i < (*directory)->size(); ++i) {
      BASALT_TRY(pace_.Spend(0));
      const SuperblockRef& ref = (**directory)[i];
      judge(i, check(SuperblockKey(run.info(), ref.place, ref.row)));
    }
    if (!named) report_.Add({.file = file, .what = Words(whole), .block = {}});
    return OkStatus();
  }

  Status CheckLogs();

  static std::string Words(const Status& status) { return std::string(status.message()); }

  const Database& database_;
  rocksdb::Env* const env_;
  const std::shared_ptr<const RunsSnapshot> snapshot_;
  std::map<uint32_t, std::shared_ptr<const storage::Run>> runs_;
  ScrubPace& pace_;
  ScrubReport& report_;
  const BlockDamaged& damaged_;
};

bool IsRocksLog(std::string_view name) {
  return name.starts_with("MANIFEST-") ||
         (name.ends_with(".log") && name.find_first_not_of("0123456789.log") == name.npos);
}

// RocksDB's own logs below `directory`. `opens`: RocksDB takes them as they are, so one that is
// torn is so at its end; otherwise it is what RocksDB stumbled over.
Status CheckRocksLogs(const std::string& directory, rocksdb::Env* env, bool opens, ScrubPace& pace,
                      ScrubReport& report) {
  std::vector<std::string> names;
  BASALT_TRY(FromRocks(env->GetChildren(directory, &names), "list " + directory));
  for (const std::string& name : names) {
    if (!IsRocksLog(name)) continue;
    const auto check = CheckRocksLog(*env, directory + "/" + name);
    if (check.status().code() == StatusCode::kNotFound) continue;
    ++pace.progress.files_total;
    if (!check.ok()) {
      report.Add(
          {.file = "db/" + name, .what = std::string(check.status().message()), .block = {}});
    } else {
      pace.progress.bytes_total += check->bytes;
      BASALT_TRY(pace.Spend(check->bytes));
      if (!check->damage.empty()) {
        report.Add({.file = "db/" + name, .what = check->damage, .block = {}});
      } else if (!check->torn.empty() && !opens) {
        report.Add({.file = "db/" + name, .what = check->torn + " does not check", .block = {}});
      } else if (!check->torn.empty()) {
        report.notes.push_back("db/" + name +
                               ": ends in the middle of a record, as a crash leaves it");
      }
    }
    pace.FileDone();
  }
  return OkStatus();
}

Status DatabaseScrub::CheckLogs() {
  return CheckRocksLogs(database_.options().directory, env_, /*opens=*/true, pace_, report_);
}

}  // namespace

Status ScrubDatabase(const Database& database, const RunStore& runs, ScrubPace& pace,
                     ScrubReport& report, const BlockDamaged& damaged) {
  return DatabaseScrub(database, runs, pace, report, damaged).Run();
}

Status ScrubDatabaseFiles(const std::string& directory, rocksdb::Env* env, ScrubPace& pace,
                          ScrubReport& report) {
  if (env == nullptr) env = rocksdb::Env::Default();
  std::vector<std::string> names;
  BASALT_TRY(FromRocks(env->GetChildren(directory, &names), "list " + directory));
  for (const std::string& name : names) {
    if (!name.ends_with(".sst")) continue;
    const std::string path = directory + "/" + name;
    uint64_t bytes = 0;
    if (!env->GetFileSize(path, &bytes).ok()) continue;
    ++pace.progress.files_total;
    pace.progress.bytes_total += bytes;
    SstScrub sst(env);
    Status status = sst.Open(path);
    if (status.ok()) {
      const bool blocks = sst.holds_blocks();
      status = sst.ReadAll([&](std::string_view key, std::string_view value) {
        BASALT_TRY(pace.Spend(0));
        return blocks ? CheckValue(key, value) : OkStatus();
      });
    }
    if (status.code() == StatusCode::kCancelled) return status;
    if (!status.ok()) {
      report.Add({.file = "db/" + name, .what = std::string(status.message()), .block = {}});
    }
    BASALT_TRY(pace.Spend(bytes));
    pace.FileDone();
  }
  return CheckRocksLogs(directory, env, /*opens=*/false, pace, report);
}

}  // namespace basalt::storage
