#include "storage/change_log.h"

#include <algorithm>

namespace basalt::storage {
namespace {

constexpr int64_t kResolutionMs = 1000;

int64_t FloorToResolution(int64_t ms) {
  const int64_t rest = ((ms % kResolutionMs) + kResolutionMs) % kResolutionMs;
  return ms < INT64_MIN + kResolutionMs ? INT64_MIN : ms - rest;
}

}  // namespace

void ChangeLog::Record(int64_t min_ms) {
  const int64_t from = FloorToResolution(min_ms);
  const MutexLock lock(mu_);
  ++now_;
  while (!entries_.empty() && entries_.back().second >= from) entries_.pop_back();
  entries_.emplace_back(now_, from);
  if (entries_.size() <= kMaxEntries) return;
  // Of each two old neighbours the earlier time holds for both moments.
  const size_t half = entries_.size() / 2;
  size_t kept = 0;
  for (size_t i = 0; i < half; i += 2) {
    const size_t last = std::min(i + 1, half - 1);
    entries_[kept++] = {entries_[last].first, entries_[i].second};
  }
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(kept),
                 entries_.begin() + static_cast<ptrdiff_t>(half));
}

uint64_t ChangeLog::Stamp() const {
  const MutexLock lock(mu_);
  return now_;
}

int64_t ChangeLog::UnchangedBefore(uint64_t stamp) const {
  const MutexLock lock(mu_);
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), stamp,
                       [](uint64_t s, const auto& entry) { return s < entry.first; });
  return after == entries_.end() ? INT64_MAX : after->second;
}

}  // namespace basalt::storage
