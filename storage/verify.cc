// VerifyDirectory: a data directory that no server has open, read and checked.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "storage/backup.h"
#include "storage/damage.h"
#include "storage/index/index.h"
#include "storage/integrity.h"
#include "storage/log/files.h"
#include "storage/log/segment_scrub.h"
#include "storage/parts/database.h"
#include "storage/parts/deletes.h"
#include "storage/parts/index_source.h"
#include "storage/parts/runs.h"
#include "storage/parts/scrub.h"
#include "storage/parts/side_store.h"
#include "storage/purge_receipts.h"

namespace basalt::storage {
namespace {

// Small: every block is read once.
constexpr size_t kCacheBytes = 8u << 20;

class DirectoryVerifier {
 public:
  DirectoryVerifier(const std::string& directory, const ScrubOptions& options, Files& files,
                    rocksdb::Env* env)
      : directory_(directory), files_(files), env_(env), pace_(options) {}

  Result<ScrubReport> Run() {
    BASALT_TRY(Enter());
    const Status opened = OpenDatabase();
    if (opened.code() == StatusCode::kFailedPrecondition ||
        opened.code() == StatusCode::kNotFound) {
      return opened;
    }
    if (opened.ok()) {
      BASALT_TRY(CheckDatabase());
    } else {
      // What stands in the files can still be told, one by one.
      Found("db", opened);
      BASALT_TRY(ScrubDatabaseFiles(directory_ + "/db", env_, pace_, report_));
    }
    BASALT_TRY(CheckLog());
    pace_.Finish();
    report_.progress = pace_.progress;
    return std::move(report_);
  }

 private:
  // Keeps servers out, where there ever was one.
  Status Enter() {
    const auto names = files_.List(directory_);
    if (!names.ok()) return names.status();
    const auto has = [&](const char* name) {
      return std::find(names->begin(), names->end(), name) != names->end();
    };
    if (has(kRestoringMarker)) {
      return FailedPrecondition(directory_ +
                                ": a restore into it has not finished; run 'basalt restore' again");
    }
    if (!has("db") || !has("log")) return NotFound(directory_ + ": there is no store in it");
    if (!has("LOCK")) return OkStatus();
    auto lock = files_.Lock(directory_ + "/LOCK");
    if (lock.status().code() == StatusCode::kFailedPrecondition) {
      return FailedPrecondition(directory_ +
                                ": a server has it open; verify it through the server (basalt "
                                "verify --url), or stop it first");
    }
    BASALT_TRY(lock.status());
    lock_ = *std::move(lock);
    return OkStatus();
  }

  Status OpenDatabase() {
    BASALT_TRY_ASSIGN(database_, Database::Open({.directory = directory_ + "/db",
                                                 .partitions = 0,
                                                 .block_cache_bytes = kCacheBytes,
                                                 .read_only = true,
                                                 .env = env_}));
    BASALT_TRY_ASSIGN(runs_, RunStore::Open(*database_));
    return OkStatus();
  }

  Status CheckDatabase() {
    const uint32_t partitions = database_->partitions();
    const std::unique_ptr<IndexSource> source = MakeIndexSource(*database_);
    for (uint32_t p = 0; p < partitions; ++p) {
      const auto id = static_cast<PartitionId>(p);
      auto index = std::make_unique<PartitionIndex>(id);
      if (const Status loaded = index->Load(*source, runs_->Counts(id)); !loaded.ok()) {
        Found("db", loaded.WithContext("index of partition " + std::to_string(p)));
        index.reset();
      }
      indexes_.push_back(std::move(index));
    }
    Found("db", DeleteMasks::Open(*database_).status().WithContext("deletes"));
    Found("db", PurgeReceipts::Open(*database_, SystemClock()).status().WithContext("receipts"));
    Found("db", MetadataStore::Open(*database_).status().WithContext("metadata"));
    Found("db", runs_->Writers().status());
    BASALT_TRY(ScrubDatabase(
        *database_, *runs_, pace_, report_,
        [this](const class Run& run, size_t block, const std::string& file, const Status& why) {
          report_.Add(DescribeBlock(run, block, file, std::string(why.message()),
                                    indexes_[static_cast<size_t>(run.info().partition)].get()));
        }));
    for (const auto& run : runs_->Snapshot()->runs()) CompareWithManifest(*run);
    return OkStatus();
  }

  // What the manifest says of a run and what the run says of itself.
  void CompareWithManifest(const class Run& run) {
    const auto directory = run.Directory();
    if (!directory.ok()) return;  // said already
    uint64_t samples = 0;
    uint64_t bytes = 0;
    for (const SuperblockRef& ref : **directory) {
      samples += ref.samples;
      bytes += ref.bytes;
    }
    const RunInfo& info = run.info();
    if ((*directory)->size() != info.superblocks || samples != info.samples ||
        bytes != info.bytes) {
      Found("db/" + runs_->FileOf(info),
            DataLoss(run.Describe(kDirectoryBlock) + ": differs from the manifest"));
    }
  }

  Status CheckLog() {
    SegmentScrubOptions options;
    const uint32_t partitions = database_ != nullptr ? database_->partitions() : 65'536;
    options.on_record = [partitions](const LogRecord& record) {
      return CheckRecord(record, partitions);
    };
    options.on_begin = [this](uint64_t files, uint64_t bytes) {
      pace_.progress.files_total += files;
      pace_.progress.bytes_total += bytes;
    };
    options.spend = [this](uint64_t bytes) { return pace_.Spend(bytes); };
    options.on_file = [this] { pace_.FileDone(); };
    BASALT_TRY_ASSIGN(const SegmentScrubResult log,
                      ScrubSegments(files_, directory_ + "/log", options));
    pace_.progress.records += log.records;
    for (const auto& bad : log.damage) Found("log/" + bad.file, DataLoss(bad.what));
    for (const std::string& note : log.notes) report_.notes.push_back("log/" + note);
    if (runs_ == nullptr) return OkStatus();
    for (const LogPosition& from : runs_->ReplayFrom()) {
      if (from.lane == 0 && (from.seq < log.first_seq || from.seq > log.next_seq)) {
        Found("log", DataLoss("the manifest wants the log from record " + std::to_string(from.seq) +
                              ", but it holds " + std::to_string(log.first_seq) + " to " +
                              std::to_string(log.next_seq - 1)));
      }
    }
    return OkStatus();
  }

  void Found(const std::string& file, const Status& status) {
    if (status.ok()) return;
    report_.Add({.file = file, .what = std::string(status.message()), .block = {}});
  }

  const std::string& directory_;
  Files& files_;
  rocksdb::Env* const env_;
  ScrubPace pace_;
  ScrubReport report_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<RunStore> runs_;
  std::vector<std::unique_ptr<PartitionIndex>> indexes_;
};

}  // namespace

Result<ScrubReport> VerifyDirectory(const std::string& directory, const ScrubOptions& options,
                                    Files* files, rocksdb::Env* env) {
  Result<ScrubReport> report =
      DirectoryVerifier(directory, options, files != nullptr ? *files : PosixFiles(), env).Run();
  if (!report.ok()) return report.status().WithContext("verify");
  return report;
}

}  // namespace basalt::storage
