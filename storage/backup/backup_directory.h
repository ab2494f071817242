// storage/backup/backup_directory.h -- a backup directory: blobs, manifests, and the order of disk
// calls that keeps a killed backup from harming an earlier one. Drawn in README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "storage/backup/content.h"
#include "storage/backup/manifest.h"
#include "storage/log/files.h"

namespace basalt::storage {

// One thread. Whoever changes it holds its lock.
class BackupDirectory {
 public:
  // For reading: kNotFound if there is none, kFailedPrecondition if it is something else.
  static Result<BackupDirectory> Open(Files& files, std::string path);
  // For writing: made if it is missing or empty; locked.
  static Result<BackupDirectory> OpenForWriting(Files& files, std::string path);

  // Names of the manifests there are, oldest first.
  [[nodiscard]] Result<std::vector<std::string>> Names() const;
  // kNotFound with the names there are; kDataLoss with the manifest's path.
  [[nodiscard]] Result<BackupManifest> Load(const std::string& name) const;
  // All that check, oldest first; the paths of the others, with what is wrong, go to `damaged`.
  [[nodiscard]] Result<std::vector<BackupManifest>> LoadAll(
      std::vector<std::string>& damaged) const;

  [[nodiscard]] std::string BlobPath(const BackupFile& file) const {
    return path_ + "/blobs/" + BlobName(file);
  }
  // True if the blob is there in its full size; whether its bytes are right shows when it is read.
  [[nodiscard]] bool HasBlob(const BackupFile& file) const;
  // Copies `source` and fills in `file`'s size and hash; durable when it returns. `copied` tells
  // whether the blob was new.
  Status PutBlob(const File& source, BackupFile& file, bool& copied, const PieceRead& on_piece);

  // The files that an unfinished backup has brought in, so that the next one need not read them.
  [[nodiscard]] std::vector<BackupFile> Journal() const;
  Status AppendJournal(const BackupFile& file);

  // The backup exists when this returns; the journal is gone.
  Status Commit(const BackupManifest& manifest);

  Status RemoveManifest(const std::string& name);
  // Removes blobs that no manifest of `kept` names, and leftovers; returns the bytes freed.
  Result<uint64_t> CollectBlobs(const std::vector<BackupManifest>& kept, bool dry_run);

 private:
  BackupDirectory(Files& files, std::string path) : files_(&files), path_(std::move(path)) {}
  [[nodiscard]] std::string ManifestPath(const std::string& name) const;
  [[nodiscard]] std::string JournalPath() const { return path_ + "/journal"; }
  Status WriteDurably(const std::string& directory, const std::string& name, std::string_view text);

  Files* files_;
  std::string path_;
  std::unique_ptr<FileLock> lock_;
  std::set<uint64_t> sizes_;  // of the blobs there are
  std::unique_ptr<File> journal_;
  uint64_t journal_bytes_ = 0;
};

// The whole of a small file; kDataLoss if it is larger than kMaxManifestBytes.
Result<std::string> ReadSmallFile(Files& files, const std::string& path);

}  // namespace basalt::storage
