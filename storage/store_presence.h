// storage/store_presence.h -- who has a value at one time, from what rows and head say of
// themselves. Private to storage/*.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "engine/base/status.h"
#include "storage/store_cursor.h"

namespace basalt::storage {

// What Selection::ReadPresence says for one time of evaluation: the range is what an instant
// selector looks at, present[i] receives 1 or 0 for series begin + i.
//
// Looks at every row of the superblocks that the series lie in (20 ns each), so it is for
// selections of a good part of these. Series of which that does not tell (stale markers,
// histograms, deletes, samples out of order) are left to `read(begin, end, present)`, a few
// neighbours at a time. kDataLoss names a damaged block.
Status ReadPresenceAt(const CursorSource& source, size_t begin, size_t end, TimeRange range,
                      std::span<uint64_t> present,
                      const std::function<Status(size_t, size_t, std::span<uint64_t>)>& read);

}  // namespace basalt::storage
