// engine/admin/snapshots.h -- snapshots of a running server, below <data>/snapshots: hard links and
// a few small copies, made in seconds. What `basalt backup --url` copies elsewhere.
#pragma once

#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/store.h"

namespace basalt::admin {

struct Snapshot {
  std::string name;  // "20261123T040000Z-2be650b6d019eb54", as Prometheus names its own
  std::string path;  // absolute
};

// A snapshot that a crash has left half made is removed when this is constructed. Thread-safe; one
// call at a time does something.
class Snapshots {
 public:
  // `store` and `clock` must outlive it. `data_directory` is the store's.
  Snapshots(storage::Store& store, const std::string& data_directory, const Clock& clock);

  // The store as of now and the other files of the data directory. It takes disk space as what it
  // links to is dropped from the store: remove it when it has been copied.
  Result<Snapshot> Create() BASALT_EXCLUDES(mu_);
  // Oldest first.
  [[nodiscard]] Result<std::vector<Snapshot>> List() const;
  // kNotFound naming what there is; kInvalidArgument for a name that is none.
  Status Remove(const std::string& name) BASALT_EXCLUDES(mu_);

 private:
  storage::Store& store_;
  const std::string data_;
  const std::string root_;
  const Clock& clock_;
  Mutex mu_;
};

}  // namespace basalt::admin
