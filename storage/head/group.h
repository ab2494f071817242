// storage/head/group.h -- a group in memory. Private to partition_head.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "storage/head/layer.h"
#include "storage/head/partition_head.h"

namespace basalt::storage {

// What a group was for the views [from, to]. Everything it points to is immutable; what was open
// then is named by how much of it there was, and by where it went once that was frozen.
struct PartitionHead::SavedView {
  uint64_t from = 0;
  uint64_t to = 0;
  std::vector<std::shared_ptr<const FrozenLayer>> layers;
  std::vector<std::shared_ptr<const LateList>> lates;
  std::vector<uint16_t> open_counts;  // by slot; empty: nothing was open
  size_t late_count = 0;
  std::shared_ptr<const FrozenLayer> open_now;  // null while still open
  std::shared_ptr<const LateList> late_now;
};

struct PartitionHead::Group {
  std::vector<SeriesOrdinal> members;  // by slot
  // The UTC day that the last sample was of, [begin, end): a series whose newest sample lies in it
  // need not be marked active again for another one that does.
  int64_t day_begin_ms = 0;
  int64_t day_end_ms = 0;

  OpenLayer open;
  std::unique_ptr<LateList> late;                          // open; null while there is none
  std::vector<std::shared_ptr<const FrozenLayer>> layers;  // lowest precedence first
  std::vector<std::shared_ptr<const LateList>> lates;

  // The first of these belong to the seal under way.
  size_t sealing_layers = 0;
  size_t sealing_lates = 0;
  uint64_t sealing_first_seq = 0;

  uint64_t first_seq = 0;  // the record of the oldest sample outside that seal; 0: none
  uint64_t changed = 0;    // the version that its last change led to
  std::vector<SavedView> views;

  [[nodiscard]] bool empty() const {
    return open.empty() && late == nullptr && layers.empty() && lates.empty();
  }
};

// Stands in for the tap of a series that was given up as idle. No observer counts so far.
inline constexpr TapId kGoneTap{0xFFFF'FFFF};

// Memory of one series' place besides its stream, for the accounts: member and Place.
inline constexpr size_t kBytesPerSeries = 4 + 8;

}  // namespace basalt::storage
