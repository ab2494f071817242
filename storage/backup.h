// storage/backup.h -- incremental copies of a data directory elsewhere, and back.
//
// A backup directory keeps the content of files under the hash of their bytes (`blobs/`) and one
// manifest a backup (`backups/`), written last and synced: a backup exists when its manifest does.
// Runs never change, so a further backup copies what is new. Format: storage/backup/README.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::storage {

class Files;  // storage/log/files.h

struct BackupProgress {
  uint64_t files_total = 0;
  uint64_t files_done = 0;
  uint64_t bytes_total = 0;
  uint64_t bytes_done = 0;    // reused ones included
  uint64_t bytes_copied = 0;  // of these, written now
};

struct BackupInfo {
  std::string name;  // "20261123T040000Z-1a2b3c4d"; names sort by time
  Timestamp taken;
  std::string source;  // the directory that it was taken from
  uint64_t files = 0;
  uint64_t bytes = 0;      // of all its files
  uint64_t new_bytes = 0;  // in no older backup of the directory
};

struct BackupOptions {
  std::string source;     // a data directory that no server has open, or a checkpoint of one
  std::string directory;  // the backup directory; made if missing
  std::function<void(const BackupProgress&)> on_progress = nullptr;
  const std::atomic<bool>* cancel = nullptr;
  const Clock* clock = &SystemClock();
  Files* files = nullptr;  // null: the machine's
};

// Takes a backup. Interrupted at any instant it leaves the earlier backups as they are; taken
// again, it goes on from the files that were finished. Errors: kFailedPrecondition (a server has
// the source open; another backup is under way; the directory is in use for something else),
// kNotFound (no store in the source), kResourceExhausted (the disk is full), kCancelled.
Result<BackupInfo> TakeBackup(const BackupOptions& options);

struct RestoreOptions {
  std::string directory;  // the backup directory
  std::string name;       // empty: the newest
  std::string target;     // missing, empty, or with an unfinished restore of the same backup
  std::function<void(const BackupProgress&)> on_progress = nullptr;
  const std::atomic<bool>* cancel = nullptr;
  Files* files = nullptr;
};

// Copies a backup's files into `target`, comparing every byte with its hash. Until it has finished,
// the target has a marker with which Store::Open refuses it; run again, it goes on. Errors:
// kAlreadyExists (the target is not empty), kNotFound (no such backup), kDataLoss (a file of the
// backup is damaged or gone: the message names it), kResourceExhausted, kCancelled.
Result<BackupInfo> RestoreBackup(const RestoreOptions& options);

// The file whose presence says that a restore into this directory has not finished.
inline constexpr const char* kRestoringMarker = "RESTORING";
// In a backup directory: what it is, and its format.
inline constexpr const char* kBackupMarker = "BASALT-BACKUP";

// All backups, oldest first. Manifests that do not check are in `damaged`, by path.
Result<std::vector<BackupInfo>> ListBackups(const std::string& directory,
                                            std::vector<std::string>& damaged,
                                            Files* files = nullptr);

struct PruneOptions {
  std::string directory;
  size_t keep_last = 0;     // of the newest; at least 1
  Duration keep_within{0};  // and all that are younger; 0: none for their age
  bool dry_run = false;     // only tell
  const Clock* clock = &SystemClock();
  Files* files = nullptr;
};
struct PruneResult {
  std::vector<BackupInfo> removed;
  uint64_t kept = 0;
  uint64_t freed_bytes = 0;
};
// Removes manifests, and then the blobs that no backup needs. kInvalidArgument if nothing would be
// kept; kDataLoss, and nothing is removed, if a manifest does not check: what it needs is unknown.
Result<PruneResult> PruneBackups(const PruneOptions& options);

// Reads every blob that a backup (empty `name`: any) needs and compares it with its hash; what does
// not fit, in words.
Result<std::vector<std::string>> VerifyBackup(
    const std::string& directory, const std::string& name,
    const std::function<void(const BackupProgress&)>& on_progress, Files* files = nullptr);

}  // namespace basalt::storage
