// storage/writer_table.h -- the last sequence number applied of every writer of a stream
// (WriterSequence).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/mutex.h"

namespace basalt::storage {

// Streams that may resume. Beyond it the writer that was heard of least recently is forgotten;
// should it come back, what it repeats is applied again, which changes nothing.
inline constexpr size_t kMaxWriters = 65'536;

// Thread-safe.
class WriterTable {
 public:
  void Load(const std::vector<std::pair<Hash128, uint64_t>>& writers) BASALT_EXCLUDES(mu_);
  // A record of `writer` is applied. Lower numbers than the last change nothing.
  void Applied(const Hash128& writer, uint64_t seq) BASALT_EXCLUDES(mu_);
  // 0 for one never heard of.
  [[nodiscard]] uint64_t Last(const Hash128& writer) const BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::vector<std::pair<Hash128, uint64_t>> All() const BASALT_EXCLUDES(mu_);

 private:
  struct Entry {
    uint64_t seq = 0;
    uint64_t heard = 0;
  };
  mutable Mutex mu_;
  std::unordered_map<Hash128, Entry, Hash128Hash> writers_ BASALT_GUARDED_BY(mu_);
  uint64_t tick_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::storage
