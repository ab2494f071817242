#include "storage/disk_guard.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "engine/base/log.h"

namespace basalt::storage {
namespace {

// What the trial reserves: enough for a few requests, so that the mode does not end for one of
// them.
constexpr uint64_t kTrialBytes = 1u << 20;
constexpr const char* kTrialName = "/trial.tmp";

bool IsPassing(const Status& why) {
  return why.code() == StatusCode::kResourceExhausted || why.code() == StatusCode::kUnavailable;
}

std::string MiB(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

Status DiskGuard::Check() const {
  const MutexLock lock(mu_);
  return why_;
}

DiskState DiskGuard::State() const {
  const MutexLock lock(mu_);
  return {.read_only = !why_.ok(),
          .reason = why_.ok() ? "" : why_.ToString(),
          .times = times_,
          .free_bytes = free_bytes_};
}

void DiskGuard::BecomeReadOnly(const Status& why) {
  why_ = why;
  ++times_;
  looks_between_trials_ = looks_to_trial_ = 1;
  BASALT_LOG(kError, "read-only: writes are refused, queries go on", {"why", why.ToString()});
}

void DiskGuard::MayPass(const Status& why) {
  const MutexLock lock(mu_);
  if (!why_.ok()) return;
  const std::string_view until =
      why.code() == StatusCode::kResourceExhausted ? "there is room on" : "writes succeed on";
  BecomeReadOnly(Status(why.code(), "read-only until " + std::string(until) + " the disk of " +
                                        directory_ + ": " + std::string(why.message())));
}

void DiskGuard::Failed(const Status& why) {
  const MutexLock lock(mu_);
  if (!why_.ok() && !IsPassing(why_)) return;
  BecomeReadOnly(why);
}

bool DiskGuard::TrialIsDue() {
  if (--looks_to_trial_ > 0) return false;
  looks_between_trials_ = std::min(2 * looks_between_trials_, kMostLooksBetweenTrials);
  looks_to_trial_ = looks_between_trials_;
  return true;
}

DiskGuard::Change DiskGuard::Look(const std::function<Status()>& others) {
  const Result<uint64_t> found = files_.FreeBytes(directory_);
  const uint64_t free = found.value_or(UINT64_MAX);
  {
    const MutexLock lock(mu_);
    free_bytes_ = free;
    if (why_.ok()) {
      if (free >= options_.reserve_bytes) return Change::kNone;
      BecomeReadOnly(
          ResourceExhausted("read-only: " + MiB(free) + " are free on the disk of " + directory_ +
                            ", less than the reserve of " + MiB(options_.reserve_bytes) +
                            "; writes are taken again above " +
                            MiB(std::max(options_.resume_bytes, options_.reserve_bytes))));
      return Change::kReadOnly;
    }
    if (!IsPassing(why_)) return Change::kNone;
    const uint64_t enough =
        options_.reserve_bytes == 0 ? 0 : std::max(options_.resume_bytes, options_.reserve_bytes);
    if (free < enough || !TrialIsDue()) return Change::kNone;
  }
  if (!TryToWrite().ok() || !others().ok()) return Change::kNone;
  const MutexLock lock(mu_);
  if (!IsPassing(why_)) return Change::kNone;
  why_ = OkStatus();
  BASALT_LOG(kInfo, "the disk can be written to again: writes are taken", {"free_bytes", free});
  return Change::kWritableAgain;
}

Status DiskGuard::TryToWrite() {
  const std::string path = directory_ + kTrialName;
  Status status = [&]() -> Status {
    BASALT_TRY_ASSIGN(const auto file, files_.Open(path, OpenMode::kCreate));
    BASALT_TRY(file->Preallocate(kTrialBytes));
    const std::string bytes(kTrialBytes, '\x5A');
    BASALT_TRY(file->Write(0, std::as_bytes(std::span(bytes.data(), bytes.size()))));
    return file->SyncData();
  }();
  // Whatever came of it; what stays is written over by the next trial, and no backup takes it.
  const Status removed = files_.Unlink(path);
  return status.ok() && removed.code() != StatusCode::kNotFound ? removed : status;
}

}  // namespace basalt::storage
