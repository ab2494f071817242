// tools/maintenance_doors.h -- snapshots and scrubs of engine/admin behind the API's door, which is
// open before the store is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/admin/scrubber.h"
#include "engine/admin/snapshots.h"
#include "engine/base/mutex.h"
#include "engine/http/api/maintenance_view.h"
#include "storage/store.h"
#include "tools/late_bound.h"

namespace basalt::cli {

// Thread-safe.
class MaintenanceDoors final : public http::api::MaintenanceDoor {
 public:
  // Null everywhere: closed.
  void Bind(storage::Store* store, std::shared_ptr<admin::Snapshots> snapshots,
            std::shared_ptr<admin::Scrubber> scrubber) {
    const MutexLock lock(mu_);
    store_ = store;
    snapshots_ = std::move(snapshots);
    scrubber_ = std::move(scrubber);
  }

  Result<http::api::SnapshotView> TakeSnapshot() override;
  Result<std::vector<http::api::SnapshotView>> ListSnapshots() override;
  Status RemoveSnapshot(const std::string& name) override;
  Result<http::api::ScrubView> StartScrub() override;
  Result<http::api::ScrubView> Scrub() override;
  Result<std::vector<storage::Damage>> Quarantine() override;

 private:
  Result<std::shared_ptr<admin::Snapshots>> Snapshots() BASALT_EXCLUDES(mu_);
  Result<std::shared_ptr<admin::Scrubber>> Scrubber() BASALT_EXCLUDES(mu_);

  Mutex mu_;
  storage::Store* store_ BASALT_GUARDED_BY(mu_) = nullptr;
  std::shared_ptr<admin::Snapshots> snapshots_ BASALT_GUARDED_BY(mu_);
  std::shared_ptr<admin::Scrubber> scrubber_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::cli
