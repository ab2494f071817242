#include "query/result_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "query/promql/functions.h"

namespace basalt::query {
namespace {

using promql::BinaryOp;
using promql::FunctionId;

constexpr size_t kLargestShare = 8;

size_t Bytes(const CachedRange& range) {
  size_t bytes = sizeof range;
  for (const Series& s : range.matrix) {
    bytes += sizeof s + s.floats.capacity() * sizeof(FloatPoint);
    for (const Label& l : s.labels) bytes += sizeof l + l.name.size() + l.value.size();
  }
  return bytes;
}

bool Computed(const promql::DurationValue& d) { return d.expr != nullptr; }

int64_t Ahead(const promql::DurationValue& offset) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(offset.value).count();
  return ms < 0 ? -ms : 0;
}

// What only some queries can say of their own grid.
bool DependsOnGrid(FunctionId f) {
  switch (f) {
    case FunctionId::kStart:
    case FunctionId::kEnd:
    case FunctionId::kRange:
    case FunctionId::kInfo:
    // These read native histograms with hints that tell each from the one read before it.
    case FunctionId::kHistogramAvg:
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramStddev:
    case FunctionId::kHistogramStdvar:
      return true;
    default:
      return false;
  }
}

// Extended windows look a lookback ahead; that is not worth knowing here.
std::optional<int64_t> OwnLookahead(const promql::Expr& expr) {
  if (const auto* s = expr.As<promql::VectorSelector>()) {
    if (s->at.set() || Computed(s->offset) || s->mode != promql::RangeMode::kPlain)
      return std::nullopt;
    return Ahead(s->offset);
  }
  if (const auto* m = expr.As<promql::MatrixSelector>()) {
    if (Computed(m->range)) return std::nullopt;
    return 0;
  }
  if (const auto* s = expr.As<promql::Subquery>()) {
    if (s->at.set() || Computed(s->range) || Computed(s->step) || Computed(s->offset))
      return std::nullopt;
    return Ahead(s->offset);
  }
  if (const auto* c = expr.As<promql::Call>()) {
    if (DependsOnGrid(c->function->id)) return std::nullopt;
    return 0;
  }
  if (const auto* b = expr.As<promql::Binary>()) {
    // `or` and fill values put rows of two kinds together, and of rows that keep their name and
    // rows that lose it, the first one in time decides; only a constant on the right is safe.
    const auto* call = promql::Unwrap(*b->rhs).As<promql::Call>();
    const bool constant = call != nullptr && call->function->id == FunctionId::kVector;
    if (b->op == BinaryOp::kOr && !constant) return std::nullopt;
    if (b->matching.has_value() &&
        (b->matching->fill_lhs.has_value() || b->matching->fill_rhs.has_value())) {
      return std::nullopt;
    }
  }
  return 0;
}

}  // namespace

std::shared_ptr<const CachedRange> ResultCache::Find(const std::string& key) {
  const MutexLock lock(mu_);
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->range;
}

void ResultCache::Drop(std::list<Entry>::iterator entry) {
  stats_.bytes -= entry->bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

void ResultCache::Put(const std::string& key, std::shared_ptr<const CachedRange> range) {
  const size_t bytes = Bytes(*range) + 2 * key.size();
  const MutexLock lock(mu_);
  if (const auto it = by_key_.find(key); it != by_key_.end()) Drop(it->second);
  if (bytes > max_bytes_ / kLargestShare) return;
  while (!entries_.empty() && stats_.bytes + bytes > max_bytes_) {
    ++stats_.evicted;
    Drop(std::prev(entries_.end()));
  }
  entries_.push_front({key, std::move(range), bytes});
  by_key_.emplace(key, entries_.begin());
  stats_.bytes += bytes;
}

void ResultCache::Count(bool all, bool some) {
  const MutexLock lock(mu_);
  ++(all ? stats_.hits : some ? stats_.partial_hits : stats_.misses);
}

ResultCacheStats ResultCache::Stats() const {
  const MutexLock lock(mu_);
  ResultCacheStats stats = stats_;
  stats.entries = entries_.size();
  return stats;
}

std::optional<int64_t> CacheableLookahead(const promql::Expr& expr) {
  const std::optional<int64_t> own = OwnLookahead(expr);
  if (!own.has_value()) return std::nullopt;
  int64_t children = 0;
  for (const promql::ExprPtr& child : promql::Children(expr)) {
    const std::optional<int64_t> ahead = CacheableLookahead(*child);
    if (!ahead.has_value()) return std::nullopt;
    children = std::max(children, *ahead);
  }
  // A subquery's own offset comes on top of those inside.
  return *own + children;
}

Matrix CutMatrix(const Matrix& range, int64_t from_ms, int64_t to_ms) {
  Matrix out;
  for (const Series& s : range) {
    const auto first = std::partition_point(
        s.floats.begin(), s.floats.end(), [&](const FloatPoint& p) { return p.time_ms < from_ms; });
    const auto last = std::partition_point(first, s.floats.end(),
                                           [&](const FloatPoint& p) { return p.time_ms <= to_ms; });
    if (first == last) continue;
    out.push_back({s.labels, {first, last}, {}});
  }
  return out;
}

Matrix JoinMatrices(Matrix earlier, Matrix later) {
  if (earlier.empty()) return later;
  if (later.empty()) return earlier;
  Matrix out;
  out.reserve(std::max(earlier.size(), later.size()));
  size_t a = 0;
  size_t b = 0;
  while (a < earlier.size() || b < later.size()) {
    const auto order = a == earlier.size() ? std::strong_ordering::greater
                       : b == later.size() ? std::strong_ordering::less
                                           : earlier[a].labels <=> later[b].labels;
    if (order < 0) {
      out.push_back(std::move(earlier[a++]));
    } else if (order > 0) {
      out.push_back(std::move(later[b++]));
    } else {
      Series& s = out.emplace_back(std::move(earlier[a++]));
      const auto& more = later[b++].floats;
      s.floats.insert(s.floats.end(), more.begin(), more.end());
    }
  }
  return out;
}

}  // namespace basalt::query
