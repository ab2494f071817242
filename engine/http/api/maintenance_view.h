// engine/http/api/maintenance_view.h -- snapshots and scrubs as the API shows them; who does them
// is above this folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "storage/integrity.h"

namespace basalt::http::api {

struct SnapshotView {
  std::string name;
  std::string path;  // on the server's machine
};

struct ScrubView {
  bool running = false;
  Timestamp started{};   // zero: none since the start
  Timestamp finished{};  // zero: likewise
  storage::ScrubProgress progress;
  std::optional<storage::ScrubReport> report;  // of the last one that finished
  std::string error;                           // why the last one did not finish
};

// Thread-safe. Every call may be kUnavailable while the server starts.
class MaintenanceDoor {
 public:
  virtual ~MaintenanceDoor() = default;
  virtual Result<SnapshotView> TakeSnapshot() = 0;
  virtual Result<std::vector<SnapshotView>> ListSnapshots() = 0;
  virtual Status RemoveSnapshot(const std::string& name) = 0;
  // Begins one unless one runs; the state right after.
  virtual Result<ScrubView> StartScrub() = 0;
  virtual Result<ScrubView> Scrub() = 0;
  virtual Result<std::vector<storage::Damage>> Quarantine() = 0;
};

}  // namespace basalt::http::api
