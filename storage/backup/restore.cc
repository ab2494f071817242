// Restoring a backup: every byte is compared with its hash on its way.
#include <algorithm>
#include <span>
#include <utility>

#include "storage/backup.h"
#include "storage/backup/backup_directory.h"
#include "storage/backup/content.h"
#include "storage/backup/manifest.h"
#include "storage/log/files.h"

namespace basalt::storage {
namespace {

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// One restore under way.
class Restoring {
 public:
  Restoring(const RestoreOptions& options, Files& files, const BackupDirectory& directory,
            const BackupManifest& manifest)
      : options_(options), files_(files), directory_(directory), manifest_(manifest) {}

  Status Run() {
    BASALT_TRY(Begin());
    progress_.files_total = manifest_.files.size();
    for (const BackupFile& file : manifest_.files) progress_.bytes_total += file.bytes;
    std::vector<std::string> directories = {options_.target};
    for (const BackupFile& file : manifest_.files) {
      const std::string parent = ParentOf(options_.target + "/" + file.path);
      if (std::find(directories.begin(), directories.end(), parent) == directories.end()) {
        BASALT_TRY(files_.CreateDirectories(parent));
        directories.push_back(parent);
      }
      BASALT_TRY(Bring(file));
      ++progress_.files_done;
      Tell();
    }
    for (const std::string& directory : directories) BASALT_TRY(files_.SyncDirectory(directory));
    // Last: from here on it is a data directory.
    BASALT_TRY(files_.Unlink(MarkerPath()));
    return files_.SyncDirectory(options_.target);
  }

 private:
  [[nodiscard]] std::string MarkerPath() const { return options_.target + "/" + kRestoringMarker; }

  // Takes possession of the target: new, empty, or ours from an earlier try.
  Status Begin() {
    BASALT_TRY(files_.CreateDirectories(options_.target));
    BASALT_TRY_ASSIGN(std::vector<std::string> names, files_.List(options_.target));
    std::erase_if(names, [](const std::string& name) { return name == "lost+found"; });
    if (std::find(names.begin(), names.end(), kRestoringMarker) != names.end()) {
      BASALT_TRY_ASSIGN(const std::string text, ReadSmallFile(files_, MarkerPath()));
      // Without a whole first line it was being written when that try ended: nothing else is there.
      const size_t end = text.find('\n');
      if (end != std::string::npos && text.substr(0, end) != manifest_.name) {
        return FailedPrecondition(options_.target + ": an unfinished restore of " +
                                  text.substr(0, end) +
                                  " is in it; finish that one (--name), or empty the directory");
      }
    } else if (!names.empty()) {
      return AlreadyExists(options_.target +
                           ": is not empty; restore into a new or empty directory, and move the "
                           "old data away first");
    }
    BASALT_TRY_ASSIGN(const auto marker, files_.Open(MarkerPath(), OpenMode::kCreate));
    const std::string text = MarkerText();
    BASALT_TRY(marker->Write(0, std::as_bytes(std::span(text.data(), text.size()))));
    BASALT_TRY(marker->SyncData());
    return files_.SyncDirectory(options_.target);
  }
  [[nodiscard]] std::string MarkerText() const {
    return manifest_.name +
           "\nA restore into this directory has not finished; run 'basalt "
           "restore' again and it goes on.\n";
  }

  Status Bring(const BackupFile& file) {
    const std::string to_path = options_.target + "/" + file.path;
    // What an earlier try has brought is checked like everything else.
    if (const auto there = files_.Open(to_path, OpenMode::kRead); there.ok()) {
      const auto content = ReadContent(**there, nullptr, Step(0));
      if (content.ok() && content->bytes == file.bytes && content->hash == file.hash) {
        progress_.bytes_done += file.bytes;
        return OkStatus();
      }
    }
    const std::string blob = directory_.BlobPath(file);
    const auto from = files_.Open(blob, OpenMode::kRead);
    if (from.status().code() == StatusCode::kNotFound) {
      return DataLoss(blob + " (" + file.path +
                      ") is gone; this backup cannot be restored whole, try another one");
    }
    BASALT_TRY(from.status());
    const std::string part = to_path + ".part";
    {
      BASALT_TRY_ASSIGN(const auto to, files_.Open(part, OpenMode::kCreate));
      BASALT_TRY_ASSIGN(const Content content, ReadContent(**from, to.get(), Step(1)));
      if (content.bytes != file.bytes || content.hash != file.hash) {
        return DataLoss(blob + " (" + file.path +
                        ") is damaged: its bytes are not those that were backed up; this backup "
                        "cannot be restored whole, try another one");
      }
      BASALT_TRY(to->SyncData());
    }
    progress_.bytes_copied += file.bytes;
    return files_.Rename(part, to_path);
  }

  // `share`: whether the bytes count for the progress.
  PieceRead Step(size_t share) {
    return [this, share](size_t bytes) {
      progress_.bytes_done += bytes * share;
      Tell();
      const bool stop = options_.cancel != nullptr && *options_.cancel;
      return stop ? Cancelled("interrupted; run it again and it goes on") : OkStatus();
    };
  }
  void Tell() const {
    if (options_.on_progress) options_.on_progress(progress_);
  }

  const RestoreOptions& options_;
  Files& files_;
  const BackupDirectory& directory_;
  const BackupManifest& manifest_;
  BackupProgress progress_;
};

}  // namespace

Result<BackupInfo> RestoreBackup(const RestoreOptions& options) {
  Files& files = options.files != nullptr ? *options.files : PosixFiles();
  const std::string context = "restore into " + options.target;
  if (options.target.empty()) return InvalidArgument("restore: no target is named");
  auto directory = BackupDirectory::Open(files, options.directory);
  if (!directory.ok()) return directory.status().WithContext(context);
  std::string name = options.name;
  if (name.empty()) {
    BASALT_TRY_ASSIGN(const auto names, directory->Names());
    if (names.empty()) {
      return NotFound(context + ": " + options.directory + " has no finished backup");
    }
    name = names.back();
  }
  const auto manifest = directory->Load(name);
  if (!manifest.ok()) return manifest.status().WithContext(context);
  BASALT_TRY(Restoring(options, files, *directory, *manifest).Run().WithContext(context));
  BackupInfo info;
  info.name = manifest->name;
  info.taken = FromMs(manifest->taken_ms);
  info.source = manifest->source;
  info.files = manifest->files.size();
  for (const BackupFile& file : manifest->files) info.bytes += file.bytes;
  return info;
}

}  // namespace basalt::storage
