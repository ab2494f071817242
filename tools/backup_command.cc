#include "tools/backup_command.h"

#include <simdjson.h>

#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/http/json_writer.h"
#include "query/promql/durations.h"
#include "storage/backup.h"
#include "tools/progress_line.h"
#include "tools/server_call.h"
#include "tools/terminal.h"

namespace basalt::cli {
namespace {

int Report(const char* command, const Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "basalt %s: %.*s\n", command, static_cast<int>(status.message().size()),
               status.message().data());
  return 1;
}

std::string Rfc3339(Timestamp time) {
  std::string out;
  http::AppendRfc3339(time, out);
  return out;
}

std::string ProgressText(const char* doing, const storage::BackupProgress& p) {
  return std::string(doing) + ": " + std::to_string(p.files_done) + " of " +
         std::to_string(p.files_total) + " files, " + HumanBytes(p.bytes_done) + " of " +
         HumanBytes(p.bytes_total);
}

// A snapshot of a running server, for as long as it is copied.
class ServerSnapshot {
 public:
  explicit ServerSnapshot(std::string url) : url_(std::move(url)) {}
  ~ServerSnapshot() {
    if (name_.empty()) return;
    const auto removed = CallServer(url_, "DELETE", "/api/v1/admin/tsdb/snapshots/" + name_);
    if (removed.ok()) return;
    std::fprintf(stderr,
                 "basalt backup: the server's snapshot %s stays and takes room (%s); remove it "
                 "with curl -X DELETE %s/api/v1/admin/tsdb/snapshots/%s\n",
                 name_.c_str(), removed.status().ToString().c_str(), url_.c_str(), name_.c_str());
  }
  ServerSnapshot(const ServerSnapshot&) = delete;
  ServerSnapshot& operator=(const ServerSnapshot&) = delete;

  // Its directory.
  Result<std::string> Take() {
    BASALT_TRY_ASSIGN(const std::string body,
                      CallServer(url_, "POST", "/api/v1/admin/tsdb/snapshot"));
    simdjson::dom::parser parser;
    simdjson::dom::element answer;
    std::string_view name;
    std::string_view path;
    if (parser.parse(body).get(answer) != simdjson::SUCCESS ||
        answer["data"]["name"].get(name) != simdjson::SUCCESS ||
        answer["data"]["path"].get(path) != simdjson::SUCCESS) {
      return Internal("the server's answer names no snapshot: " + body.substr(0, 200));
    }
    name_ = name;
    std::error_code error;
    if (!std::filesystem::exists(std::string(path) + "/db/CURRENT", error)) {
      return FailedPrecondition("the server's snapshot " + std::string(path) +
                                " cannot be read from here; run this command on the server's "
                                "machine, as its user or root");
    }
    return std::string(path);
  }

 private:
  const std::string url_;
  std::string name_;
};

Status Backup(const BackupCommandOptions& options) {
  if (options.data.empty() == options.url.empty()) {
    return InvalidArgument(
        "say --url of the running server, or --data of a directory whose server is stopped");
  }
  ServerSnapshot snapshot(options.url);
  std::string source = options.data;
  storage::BackupOptions backup;
  backup.cancel = &StopOnSignals();
  if (!options.url.empty()) {
    BASALT_TRY_ASSIGN(source, snapshot.Take());
  }
  ProgressLine line(options.quiet);
  backup.source = source;
  backup.directory = options.to;
  backup.on_progress = [&](const storage::BackupProgress& p) {
    line.Show(ProgressText("backup", p) + ", " + HumanBytes(p.bytes_copied) + " new");
  };
  BASALT_TRY_ASSIGN(const storage::BackupInfo info, storage::TakeBackup(backup));
  std::printf("%s: %llu files, %s, of which %s are new, in %s\n", info.name.c_str(),
              static_cast<unsigned long long>(info.files), HumanBytes(info.bytes).c_str(),
              HumanBytes(info.new_bytes).c_str(), options.to.c_str());
  return OkStatus();
}

void PrintJson(const std::vector<storage::BackupInfo>& backups) {
  std::string out;
  http::JsonWriter json(out);
  json.BeginArray();
  for (const storage::BackupInfo& info : backups) {
    json.BeginObject();
    json.Field("name", info.name);
    json.Key("taken");
    json.Time(info.taken);
    json.Field("source", info.source);
    json.Key("files");
    json.Uint(info.files);
    json.Key("bytes");
    json.Uint(info.bytes);
    json.Key("newBytes");
    json.Uint(info.new_bytes);
    json.EndObject();
  }
  json.EndArray();
  std::printf("%s\n", out.c_str());
}

Status List(const BackupListOptions& options) {
  std::vector<std::string> damaged;
  BASALT_TRY_ASSIGN(const auto backups, storage::ListBackups(options.from, damaged));
  if (options.json) {
    PrintJson(backups);
  } else if (backups.empty()) {
    std::printf("no backups\n");
  } else {
    std::vector<std::vector<std::string>> rows = {{"NAME", "TAKEN", "FILES", "SIZE", "NEW IN IT"}};
    for (const storage::BackupInfo& info : backups) {
      rows.push_back({info.name, Rfc3339(info.taken), std::to_string(info.files),
                      HumanBytes(info.bytes), HumanBytes(info.new_bytes)});
    }
    std::fputs(Table(rows).c_str(), stdout);
  }
  if (damaged.empty()) return OkStatus();
  return DataLoss(damaged.front() + " (" + std::to_string(damaged.size()) +
                  " manifests cannot be read; their backups are lost)");
}

Status Prune(const BackupPruneOptions& options) {
  storage::PruneOptions prune;
  prune.directory = options.from;
  prune.keep_last = options.keep;
  prune.dry_run = options.dry_run;
  if (!options.keep_within.empty()) {
    auto within = promql::ParseDuration(options.keep_within);
    if (!within.ok()) return within.status().WithContext("--keep-within");
    prune.keep_within = *within;
  }
  BASALT_TRY_ASSIGN(const storage::PruneResult result, storage::PruneBackups(prune));
  for (const storage::BackupInfo& info : result.removed) {
    std::printf("%s %s\n", options.dry_run ? "would remove" : "removed", info.name.c_str());
  }
  std::printf("%llu kept, %s %s\n", static_cast<unsigned long long>(result.kept),
              HumanBytes(result.freed_bytes).c_str(), options.dry_run ? "would be freed" : "freed");
  return OkStatus();
}

Status Verify(const BackupVerifyOptions& options) {
  ProgressLine line(options.quiet);
  BASALT_TRY_ASSIGN(
      const auto problems,
      storage::VerifyBackup(options.from, options.name, [&](const storage::BackupProgress& p) {
        line.Show(ProgressText("verify", p));
      }));
  for (const std::string& problem : problems) std::printf("%s\n", problem.c_str());
  if (problems.empty()) {
    std::printf("every file of every backup is whole\n");
    return OkStatus();
  }
  return DataLoss(
      std::to_string(problems.size()) +
      " files do not check. Remove the blobs that are named, and the next backup brings "
      "those again that the server still has");
}

Status Restore(const RestoreCommandOptions& options) {
  ProgressLine line(options.quiet);
  storage::RestoreOptions restore;
  restore.directory = options.from;
  restore.name = options.name;
  restore.target = options.data;
  restore.cancel = &StopOnSignals();
  restore.on_progress = [&](const storage::BackupProgress& p) {
    line.Show(ProgressText("restore", p));
  };
  BASALT_TRY_ASSIGN(const storage::BackupInfo info, storage::RestoreBackup(restore));
  std::printf(
      "%s of %s: %llu files, %s, every byte checked, in %s. Start it with: basalt serve "
      "--data %s\n",
      info.name.c_str(), Rfc3339(info.taken).c_str(), static_cast<unsigned long long>(info.files),
      HumanBytes(info.bytes).c_str(), options.data.c_str(), options.data.c_str());
  return OkStatus();
}

}  // namespace

int RunBackup(const BackupCommandOptions& options) { return Report("backup", Backup(options)); }
int RunBackupList(const BackupListOptions& options) { return Report("backup list", List(options)); }
int RunBackupPrune(const BackupPruneOptions& options) {
  return Report("backup prune", Prune(options));
}
int RunBackupVerify(const BackupVerifyOptions& options) {
  return Report("backup verify", Verify(options));
}
int RunRestore(const RestoreCommandOptions& options) { return Report("restore", Restore(options)); }

}  // namespace basalt::cli
