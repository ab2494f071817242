// tools/backup_command.h -- `basalt backup`, `basalt backup list|prune|verify`, `basalt restore`.
#pragma once

#include <cstddef>
#include <string>

namespace basalt::cli {

struct BackupCommandOptions {
  std::string data;  // a data directory that no server has open; or
  std::string url;   // of a running server on this machine
  std::string to;
  bool quiet = false;
};
struct BackupListOptions {
  std::string from;
  bool json = false;
};
struct BackupPruneOptions {
  std::string from;
  size_t keep = 0;
  std::string keep_within;  // "30d"
  bool dry_run = false;
};
struct BackupVerifyOptions {
  std::string from;
  std::string name;
  bool quiet = false;
};
struct RestoreCommandOptions {
  std::string from;
  std::string name;
  std::string data;
  bool quiet = false;
};

// All: 0: done; 1: not done, and why is on standard error. Progress goes to standard error, results
// to standard output.
int RunBackup(const BackupCommandOptions& options);
int RunBackupList(const BackupListOptions& options);
int RunBackupPrune(const BackupPruneOptions& options);
int RunBackupVerify(const BackupVerifyOptions& options);
int RunRestore(const RestoreCommandOptions& options);

}  // namespace basalt::cli
