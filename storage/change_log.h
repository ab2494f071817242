// storage/change_log.h -- how far back what was written lately reaches, for whoever keeps answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"

namespace basalt::storage {

// Remembers, for any moment since the store was opened, the earliest time that has been written to
// or deleted from since then. An answer that only depends on samples before that time is still
// right (query/docs/0002-result-cache.md).
//
// Whatever else takes samples away (retention, rewriting into rollups) records INT64_MIN.
//
// A change is recorded once it is visible and before it is acknowledged. A stamp is taken before
// the snapshot that the answer is made from: what the snapshot does not show is then recorded after
// the stamp. Thread-safe.
class ChangeLog {
 public:
  // Whole seconds, and at most this many steps back: one write a second for an hour. Beyond, older
  // moments are told the next later one's time, or an earlier time than the true one; never a
  // later.
  static constexpr size_t kMaxEntries = 4096;

  // Something at `min_ms` or later changed.
  void Record(int64_t min_ms) BASALT_EXCLUDES(mu_);
  // The moment now.
  [[nodiscard]] uint64_t Stamp() const BASALT_EXCLUDES(mu_);
  // No sample before the returned time has changed since `stamp`; INT64_MAX: none at all.
  [[nodiscard]] int64_t UnchangedBefore(uint64_t stamp) const BASALT_EXCLUDES(mu_);

 private:
  mutable Mutex mu_;
  uint64_t now_ BASALT_GUARDED_BY(mu_) = 0;
  // (moment, earliest time changed at it or later), both rising: a change reaching further back
  // makes those before it irrelevant.
  std::vector<std::pair<uint64_t, int64_t>> entries_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
