// engine/ingest/metadata_filter.h -- metadata comes with every series of every request and hardly
// ever changes: what was passed on is not passed on again for kRepeat.
//
// Passed on is not stored (a request may fail), so it is repeated.
#pragma once

#include <absl/container/flat_hash_set.h>

#include "engine/base/hash.h"
#include "engine/base/ids.h"
#include "engine/base/time.h"
#include "storage/ingest_batch.h"

namespace basalt::ingest {

// One thread.
class MetadataFilter {
 public:
  static constexpr Duration kRepeat = std::chrono::minutes(10);
  static constexpr size_t kMaxPassedOn = 1u << 16;

  // Once a request, before its entries.
  void BeginRequest(Timestamp now);
  // True if it is to be passed on, and remembers that it was.
  bool IsNews(TenantId tenant, const storage::MetadataEntry& entry);
  // An entry by its fingerprint, a hash of all that it says: whether it was passed on, and that it
  // was.
  [[nodiscard]] bool WasPassedOn(TenantId tenant, const Hash128& fingerprint) const;
  bool PassOn(TenantId tenant, const Hash128& fingerprint);

 private:
  absl::flat_hash_set<Hash128, Hash128Hash> passed_on_;
  Timestamp forget_at_{};
};

}  // namespace basalt::ingest
