// Taking, listing, pruning and checking backups.
#include "storage/backup.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "storage/backup/backup_directory.h"
#include "storage/backup/content.h"
#include "storage/backup/manifest.h"
#include "storage/log/files.h"

namespace basalt::storage {
namespace {

Files& FilesOf(Files* files) { return files != nullptr ? *files : PosixFiles(); }

// What is no part of the data: locks, RocksDB's chatter, what a running server is about to make,
// and copies of the data itself.
bool IsSkipped(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name == "LOCK" || name == "lost+found" || name.ends_with(".new") ||
         name.ends_with(".tmp") || name.ends_with(".part") || path == "snapshots" ||
         path == "db/incoming" || path == "db/LOG" || path.starts_with("db/LOG.old.");
}

// "20261123T040000.000Z-1a2b3c4d": sorts by time; the hash tells the sources apart.
std::string NameOf(Timestamp taken, const std::string& source) {
  const int64_t ms = ToMs(taken);
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%S", &utc);
  std::array<char, 24> suffix{};
  std::snprintf(suffix.data(), suffix.size(), ".%03dZ-%08x", static_cast<int>(ms % 1000),
                static_cast<uint32_t>(HashBytes64(source + std::to_string(ms))));
  return std::string(text.data(), n) + suffix.data();
}

BackupInfo InfoOf(const BackupManifest& manifest) {
  BackupInfo info;
  info.name = manifest.name;
  info.taken = FromMs(manifest.taken_ms);
  info.source = manifest.source;
  info.files = manifest.files.size();
  for (const BackupFile& file : manifest.files) info.bytes += file.bytes;
  return info;
}

// One backup being taken.
class Taking {
 public:
  Taking(const BackupOptions& options, Files& files, BackupDirectory& directory)
      : options_(options), files_(files), directory_(directory) {}

  Result<BackupInfo> Run() {
    BASALT_TRY_ASSIGN(const auto paths, ListTree(files_, options_.source, IsSkipped));
    const auto has = [&](std::string_view prefix) {
      return std::any_of(paths.begin(), paths.end(),
                         [&](const std::string& p) { return p.starts_with(prefix); });
    };
    if (!has("db/CURRENT") || !has("log/")) {
      return NotFound(options_.source + ": there is no store in it (no db/CURRENT and log/)");
    }
    if (has(kRestoringMarker)) {
      return FailedPrecondition(options_.source +
                                ": a restore into it has not finished; finish it first");
    }
    LoadKnown();
    for (const std::string& path : paths) {
      BASALT_TRY_ASSIGN(const FileInfo info, files_.Stat(options_.source + "/" + path));
      progress_.bytes_total += info.bytes;
    }
    progress_.files_total = paths.size();

    BackupManifest manifest;
    for (const std::string& path : paths) {
      BASALT_TRY_ASSIGN(BackupFile file, Take(path));
      BASALT_TRY(directory_.AppendJournal(file));
      manifest.files.push_back(std::move(file));
      ++progress_.files_done;
      Tell();
    }
    const Timestamp now = options_.clock->Now();
    manifest.name = NameOf(now, options_.source);
    manifest.taken_ms = ToMs(now);
    manifest.source = options_.source;
    BASALT_TRY(directory_.Commit(manifest));
    BackupInfo info = InfoOf(manifest);
    info.new_bytes = progress_.bytes_copied;
    return info;
  }

 private:
  // What earlier backups, and one that was interrupted, know of the source's files.
  void LoadKnown() {
    std::vector<std::string> damaged;  // not our business: list and prune tell
    const auto manifests = directory_.LoadAll(damaged);
    if (manifests.ok() && !manifests->empty()) {
      for (const BackupFile& file : manifests->back().files) known_[file.path] = file;
    }
    for (const BackupFile& file : directory_.Journal()) known_[file.path] = file;
  }

  Result<BackupFile> Take(const std::string& path) {
    const std::string full = options_.source + "/" + path;
    BASALT_TRY_ASSIGN(const FileInfo info, files_.Stat(full));
    BASALT_TRY_ASSIGN(const auto source, files_.Open(full, OpenMode::kRead));
    BackupFile file;
    file.path = path;
    file.bytes = info.bytes;
    file.modified_ns = info.modified_ns;
    BASALT_TRY_ASSIGN(file.tail_hash, TailHash(*source, info.bytes));
    const auto known = known_.find(path);
    if (known != known_.end()) {
      const BackupFile& old = known->second;
      if (old.bytes == file.bytes && old.modified_ns == file.modified_ns &&
          old.tail_hash == file.tail_hash && directory_.HasBlob(old)) {
        file.hash = old.hash;
        progress_.bytes_done += file.bytes;
        return file;
      }
    }
    bool copied = false;
    BASALT_TRY(directory_.PutBlob(*source, file, copied, [this](size_t bytes) {
      progress_.bytes_done += bytes;
      Tell();
      const bool stop = options_.cancel != nullptr && *options_.cancel;
      return stop ? Cancelled("interrupted; take it again and it goes on") : OkStatus();
    }));
    if (copied) progress_.bytes_copied += file.bytes;
    return file;
  }

  void Tell() const {
    if (options_.on_progress) options_.on_progress(progress_);
  }

  const BackupOptions& options_;
  Files& files_;
  BackupDirectory& directory_;
  std::map<std::string, BackupFile> known_;
  BackupProgress progress_;
};

}  // namespace

Result<BackupInfo> TakeBackup(const BackupOptions& options) {
  Files& files = FilesOf(options.files);
  if (options.source.find('\n') != std::string::npos)
    return InvalidArgument("backup: the source's name has a line break");
  const std::string context = "back up " + options.source;
  const auto names = files.List(options.source);
  if (!names.ok()) return names.status().WithContext(context);
  // A server that has it open would change files under our hands. A checkpoint has no lock.
  std::unique_ptr<FileLock> lock;
  if (std::find(names->begin(), names->end(), "LOCK") != names->end()) {
    auto taken = files.Lock(options.source + "/LOCK");
    if (taken.status().code() == StatusCode::kFailedPrecondition) {
      return FailedPrecondition(context +
                                ": a server has it open; back it up through the server "
                                "(basalt backup --url), or stop it first");
    }
    if (!taken.ok()) return taken.status().WithContext(context);
    lock = *std::move(taken);
  }
  auto directory = BackupDirectory::OpenForWriting(files, options.directory);
  if (!directory.ok()) return directory.status().WithContext(context);
  Result<BackupInfo> taken = Taking(options, files, *directory).Run();
  if (!taken.ok()) return taken.status().WithContext(context);
  return taken;
}

Result<std::vector<BackupInfo>> ListBackups(const std::string& directory,
                                            std::vector<std::string>& damaged, Files* files) {
  BASALT_TRY_ASSIGN(const BackupDirectory backups,
                    BackupDirectory::Open(FilesOf(files), directory));
  BASALT_TRY_ASSIGN(const auto manifests, backups.LoadAll(damaged));
  std::vector<BackupInfo> out;
  std::set<std::string> seen;
  for (const BackupManifest& manifest : manifests) {
    BackupInfo& info = out.emplace_back(InfoOf(manifest));
    for (const BackupFile& file : manifest.files) {
      if (seen.insert(BlobName(file)).second) info.new_bytes += file.bytes;
    }
  }
  return out;
}

Result<PruneResult> PruneBackups(const PruneOptions& options) {
  Files& files = FilesOf(options.files);
  if (options.keep_last == 0) {
    return InvalidArgument("prune " + options.directory + ": at least one backup is to be kept");
  }
  // Opened for reading first: pruning makes no directory where there is none.
  BASALT_TRY(BackupDirectory::Open(files, options.directory).status().WithContext("prune"));
  BASALT_TRY_ASSIGN(BackupDirectory directory,
                    BackupDirectory::OpenForWriting(files, options.directory));
  std::vector<std::string> damaged;
  BASALT_TRY_ASSIGN(std::vector<BackupManifest> manifests, directory.LoadAll(damaged));
  if (!damaged.empty()) {
    return DataLoss("prune " + options.directory + ": " + damaged.front() +
                    "; which blobs it needs is unknown, so nothing is removed. Remove that "
                    "manifest if you want to be without it");
  }
  PruneResult result;
  std::vector<BackupManifest> kept;
  const int64_t youngest_ms = ToMs(options.clock->Now()) - options.keep_within.count();
  for (size_t i = 0; i < manifests.size(); ++i) {
    const bool keep = manifests.size() - i <= options.keep_last ||
                      (options.keep_within > Duration(0) && manifests[i].taken_ms >= youngest_ms);
    if (keep) {
      kept.push_back(std::move(manifests[i]));
      continue;
    }
    if (!options.dry_run) BASALT_TRY(directory.RemoveManifest(manifests[i].name));
    result.removed.push_back(InfoOf(manifests[i]));
  }
  result.kept = kept.size();
  BASALT_TRY_ASSIGN(result.freed_bytes, directory.CollectBlobs(kept, options.dry_run));
  return result;
}

Result<std::vector<std::string>> VerifyBackup(
    const std::string& directory, const std::string& name,
    const std::function<void(const BackupProgress&)>& on_progress, Files* files) {
  Files& disk = FilesOf(files);
  BASALT_TRY_ASSIGN(const BackupDirectory backups, BackupDirectory::Open(disk, directory));
  std::vector<std::string> problems;
  std::vector<BackupManifest> manifests;
  if (name.empty()) {
    BASALT_TRY_ASSIGN(manifests, backups.LoadAll(problems));
  } else {
    BASALT_TRY_ASSIGN(BackupManifest manifest, backups.Load(name));
    manifests.push_back(std::move(manifest));
  }
  std::map<std::string, std::pair<const BackupFile*, const BackupManifest*>> blobs;
  BackupProgress progress;
  for (const BackupManifest& manifest : manifests) {
    for (const BackupFile& file : manifest.files) {
      if (!blobs.emplace(BlobName(file), std::pair{&file, &manifest}).second) continue;
      ++progress.files_total;
      progress.bytes_total += file.bytes;
    }
  }
  for (const auto& [blob, user] : blobs) {
    const auto& [file, manifest] = user;
    const std::string what = "blobs/" + blob + " (" + file->path + " of " + manifest->name + "): ";
    const auto source = disk.Open(backups.BlobPath(*file), OpenMode::kRead);
    if (source.status().code() == StatusCode::kNotFound) {
      problems.push_back(what + "is not there");
    } else if (!source.ok()) {
      problems.push_back(what + std::string(source.status().message()));
    } else {
      const auto content = ReadContent(**source, nullptr, [&](size_t bytes) {
        progress.bytes_done += bytes;
        if (on_progress) on_progress(progress);
        return OkStatus();
      });
      if (!content.ok()) {
        problems.push_back(what + std::string(content.status().message()));
      } else if (content->bytes != file->bytes || content->hash != file->hash) {
        problems.push_back(what + "its bytes are not those that were backed up");
      }
    }
    ++progress.files_done;
    if (on_progress) on_progress(progress);
  }
  return problems;
}

}  // namespace basalt::storage
