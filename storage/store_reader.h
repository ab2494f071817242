// storage/store_reader.h -- storage/reader.h over head and runs. Private to storage/*.cc.
#pragma once

#include <memory>
#include <optional>

#include "storage/reader.h"
#include "storage/store_core.h"

namespace basalt::storage {

// Thread-safe. `core` must outlive it and all its snapshots.
class StoreReader final : public Reader {
 public:
  explicit StoreReader(StoreCore& core) : core_(core) {}
  [[nodiscard]] uint32_t partition_count() const override;
  Result<std::shared_ptr<const Snapshot>> TakeSnapshot(std::optional<LogPosition> at_least,
                                                       Duration timeout) const override;

 private:
  StoreCore& core_;
};

}  // namespace basalt::storage
