#include "tools/maintenance_doors.h"

#include <utility>

namespace basalt::cli {
namespace {

http::api::ScrubView ToView(const admin::ScrubState& state) {
  return {.running = state.running,
          .started = state.started,
          .finished = state.finished,
          .progress = state.progress,
          .report = state.report,
          .error = state.error};
}

}  // namespace

Result<std::shared_ptr<admin::Snapshots>> MaintenanceDoors::Snapshots() {
  const MutexLock lock(mu_);
  if (snapshots_ == nullptr) return Unavailable(kNotReady);
  return snapshots_;
}

Result<std::shared_ptr<admin::Scrubber>> MaintenanceDoors::Scrubber() {
  const MutexLock lock(mu_);
  if (scrubber_ == nullptr) return Unavailable(kNotReady);
  return scrubber_;
}

Result<http::api::SnapshotView> MaintenanceDoors::TakeSnapshot() {
  BASALT_TRY_ASSIGN(const auto snapshots, Snapshots());
  BASALT_TRY_ASSIGN(admin::Snapshot snapshot, snapshots->Create());
  return http::api::SnapshotView{std::move(snapshot.name), std::move(snapshot.path)};
}

Result<std::vector<http::api::SnapshotView>> MaintenanceDoors::ListSnapshots() {
  BASALT_TRY_ASSIGN(const auto snapshots, Snapshots());
  BASALT_TRY_ASSIGN(const auto list, snapshots->List());
  std::vector<http::api::SnapshotView> out;
  for (const admin::Snapshot& snapshot : list) out.push_back({snapshot.name, snapshot.path});
  return out;
}

Status MaintenanceDoors::RemoveSnapshot(const std::string& name) {
  BASALT_TRY_ASSIGN(const auto snapshots, Snapshots());
  return snapshots->Remove(name);
}

Result<http::api::ScrubView> MaintenanceDoors::StartScrub() {
  BASALT_TRY_ASSIGN(const auto scrubber, Scrubber());
  scrubber->Start();
  return ToView(scrubber->State());
}

Result<http::api::ScrubView> MaintenanceDoors::Scrub() {
  BASALT_TRY_ASSIGN(const auto scrubber, Scrubber());
  return ToView(scrubber->State());
}

Result<std::vector<storage::Damage>> MaintenanceDoors::Quarantine() {
  const MutexLock lock(mu_);
  if (store_ == nullptr) return Unavailable(kNotReady);
  return store_->Quarantine();
}

}  // namespace basalt::cli
