#include "storage/index/match_cache.h"

#include <algorithm>
#include <utility>

#include "storage/index/impl.h"

namespace basalt::storage::index_internal {

namespace {

// A literal and an expression of the same text are two things.
std::string KeyOf(const Matcher& matcher) {
  const bool is_regex = matcher.type == MatchType::kRegex || matcher.type == MatchType::kNotRegex;
  return (is_regex ? '~' : '=') + matcher.value;
}

}  // namespace

std::list<MatchCache::Entry>::iterator MatchCache::Find(const NameIndex& name,
                                                        const std::string& pattern) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.name == &name && entry.pattern == pattern;
  });
  if (found != entries_.end()) entries_.splice(entries_.begin(), entries_, found);
  return found;
}

MatchSet MatchCache::Matching(const Tables& tables, const NameIndex& name, size_t count,
                              const CompiledMatcher& matcher) {
  Entry known{.name = &name, .pattern = KeyOf(matcher.matcher()), .asked = 0, .positions = nullptr};
  if (count >= kMinValues) {
    const MutexLock lock(mu_);
    if (const auto it = Find(name, known.pattern); it != entries_.end()) known = *it;
  }
  if (known.positions == nullptr) known.positions = std::make_shared<std::vector<uint32_t>>();
  if (known.asked < count) {
    std::vector<uint32_t> grown = *known.positions;
    for (size_t i = known.asked; i < count; ++i) {
      const std::string_view value = tables.String(tables.Pair(name.pairs[i]).value);
      if (matcher.Matches(value) == matcher.positive()) grown.push_back(static_cast<uint32_t>(i));
    }
    {
      const MutexLock lock(mu_);
      values_asked_ += count - known.asked;
    }
    known.positions = std::make_shared<const std::vector<uint32_t>>(std::move(grown));
    known.asked = count;
    if (count >= kMinValues) Keep(known);
  }
  // A query that began later may have asked about more values than this one saw.
  const auto end = std::lower_bound(known.positions->begin(), known.positions->end(), count);
  return {known.positions, static_cast<size_t>(end - known.positions->begin())};
}

void MatchCache::Keep(Entry entry) {
  if (entry.bytes() > kMaxBytes) return;
  const MutexLock lock(mu_);
  if (const auto it = Find(*entry.name, entry.pattern); it != entries_.end()) {
    if (it->asked >= entry.asked) return;
    bytes_ -= it->bytes();
    entries_.erase(it);
  }
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  while (entries_.size() > kMaxSets || bytes_ > kMaxBytes) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
}

size_t MatchCache::bytes() const {
  const MutexLock lock(mu_);
  return bytes_;
}

uint64_t MatchCache::values_asked() const {
  const MutexLock lock(mu_);
  return values_asked_;
}

}  // namespace basalt::storage::index_internal
