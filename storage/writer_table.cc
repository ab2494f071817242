#include "storage/writer_table.h"

#include <algorithm>

namespace basalt::storage {

void WriterTable::Load(const std::vector<std::pair<Hash128, uint64_t>>& writers) {
  for (const auto& [writer, seq] : writers) Applied(writer, seq);
}

void WriterTable::Applied(const Hash128& writer, uint64_t seq) {
  const MutexLock lock(mu_);
  if (writers_.size() >= kMaxWriters && !writers_.contains(writer)) {
    writers_.erase(std::min_element(
        writers_.begin(), writers_.end(),
        [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; }));
  }
  Entry& entry = writers_[writer];
  entry.seq = std::max(entry.seq, seq);
  entry.heard = ++tick_;
}

uint64_t WriterTable::Last(const Hash128& writer) const {
  const MutexLock lock(mu_);
  const auto it = writers_.find(writer);
  return it == writers_.end() ? 0 : it->second.seq;
}

std::vector<std::pair<Hash128, uint64_t>> WriterTable::All() const {
  std::vector<std::pair<Hash128, uint64_t>> all;
  const MutexLock lock(mu_);
  all.reserve(writers_.size());
  for (const auto& [writer, entry] : writers_) all.emplace_back(writer, entry.seq);
  return all;
}

}  // namespace basalt::storage
