#include "query/exec/histogram_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/kahan.h"

namespace basalt::query::exec {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A side's buckets with their numbers, which is what two layouts can be merged by.
struct Bucket {
  int32_t index = 0;
  double count = 0;
  double correction = 0;
};
using Side = std::vector<Bucket>;

Side Expand(const std::vector<HistogramSpan>& spans, const std::vector<double>& counts,
            const std::vector<double>* corrections = nullptr) {
  Side out;
  out.reserve(counts.size());
  int32_t index = 0;
  for (const HistogramSpan& span : spans) {
    index += span.offset;
    for (uint32_t k = 0; k < span.length && out.size() < counts.size(); ++k, ++index) {
      const size_t i = out.size();
      out.push_back({index, counts[i], corrections == nullptr ? 0 : (*corrections)[i]});
    }
  }
  return out;
}

void Pack(const Side& side, std::vector<HistogramSpan>& spans, std::vector<double>& counts,
          std::vector<double>* corrections = nullptr) {
  spans.clear();
  counts.clear();
  if (corrections != nullptr) corrections->clear();
  int32_t next = 0;  // the index after the bucket before
  for (const Bucket& b : side) {
    if (spans.empty() || b.index != next) {
      spans.push_back({b.index - next, 1});
    } else {
      ++spans.back().length;
    }
    counts.push_back(b.count);
    if (corrections != nullptr) corrections->push_back(b.correction);
    next = b.index + 1;
  }
}

void DropEmpty(Side& side) {
  std::erase_if(side, [](const Bucket& b) { return b.count == 0 && b.correction == 0; });
}

// Merges buckets that fall into one of the coarser schema.
Side Reduce(const Side& side, int32_t from, int32_t to, bool kahan) {
  if (from == to) return side;
  Side out;
  for (const Bucket& b : side) {
    const int32_t index = ((b.index - 1) >> (from - to)) + 1;
    if (out.empty() || out.back().index != index) {
      out.push_back({index, b.count, b.correction});
    } else if (kahan) {
      exec::KahanAdd(b.count, out.back().count, out.back().correction);
      exec::KahanAdd(b.correction, out.back().count, out.back().correction);
    } else {
      out.back().count += b.count;
    }
  }
  return out;
}

enum class Mode : uint8_t { kAdd, kSubtract, kKahan };

// a (+|-)= b. Buckets of b at or below the zero threshold are in the zero count already.
Side Combine(const Side& a, const Side& b, int32_t schema, double zero_threshold, Mode mode) {
  auto theirs = b.begin();
  if (schema != kCustomBucketsSchema) {
    while (theirs != b.end() && ExponentialBound(theirs->index, schema) <= zero_threshold) ++theirs;
  }
  Side out;
  out.reserve(a.size() + static_cast<size_t>(b.end() - theirs));
  auto ours = a.begin();
  while (ours != a.end() || theirs != b.end()) {
    if (theirs == b.end() || (ours != a.end() && ours->index < theirs->index)) {
      out.push_back(*ours++);
      continue;
    }
    const double sign = mode == Mode::kSubtract ? -1 : 1;
    if (ours == a.end() || theirs->index < ours->index) {
      out.push_back({theirs->index, sign * theirs->count, theirs->correction});
      ++theirs;
      continue;
    }
    Bucket sum = *ours++;
    if (mode == Mode::kKahan) {
      exec::KahanAdd(theirs->count, sum.count, sum.correction);
      if (theirs->correction != 0) exec::KahanAdd(theirs->correction, sum.count, sum.correction);
    } else {
      sum.count += sign * theirs->count;
    }
    out.push_back(sum);
    ++theirs;
  }
  return out;
}

// The zero count if the zero bucket reached up to `threshold` (>= h's). A populated bucket that the
// threshold would cut goes in whole, and the threshold moves out to its end.
struct ZeroBucket {
  double count = 0;
  double threshold = 0;
  double correction = 0;
};
ZeroBucket WidenZeroBucket(const FloatHistogram& h, double threshold,
                           const FloatHistogram* correction) {
  if (threshold == h.zero_threshold) {
    return {h.zero_count, threshold, correction == nullptr ? 0 : correction->zero_count};
  }
  const Side sides[] = {Expand(h.positive_spans, h.positive_buckets,
                               correction == nullptr ? nullptr : &correction->positive_buckets),
                        Expand(h.negative_spans, h.negative_buckets,
                               correction == nullptr ? nullptr : &correction->negative_buckets)};
  ZeroBucket out{h.zero_count, threshold, correction == nullptr ? 0 : correction->zero_count};
  bool again = true;
  while (again) {
    again = false;
    out.count = h.zero_count;
    for (const Side& side : sides) {
      for (const Bucket& b : side) {
        if (ExponentialBound(b.index - 1, h.schema) >= out.threshold) break;
        exec::KahanAdd(b.count, out.count, out.correction);
        if (correction != nullptr) exec::KahanAdd(b.correction, out.count, out.correction);
        const double end = ExponentialBound(b.index, h.schema);
        if (end <= out.threshold) continue;
        if (b.count != 0) {
          out.threshold = end;
          // What was summed on the positive side does not fit a threshold that the negative side
          // moves.
          again = &side == &sides[1];
        }
        break;
      }
      if (again) break;
    }
  }
  return out;
}

// Empties what the zero bucket now covers.
void DropCovered(FloatHistogram& h, std::optional<FloatHistogram>* correction) {
  std::vector<double> none_positive(h.positive_buckets.size());
  std::vector<double> none_negative(h.negative_buckets.size());
  const bool kahan = correction != nullptr && correction->has_value();
  const auto clear = [&](std::vector<HistogramSpan>& spans, std::vector<double>& counts,
                         std::vector<double>& other) {
    Side side = Expand(spans, counts, &other);
    for (Bucket& b : side) {
      if (ExponentialBound(b.index - 1, h.schema) >= h.zero_threshold) break;
      b.count = b.correction = 0;
    }
    DropEmpty(side);
    Pack(side, spans, counts, &other);
  };
  clear(h.positive_spans, h.positive_buckets,
        kahan ? (*correction)->positive_buckets : none_positive);
  clear(h.negative_spans, h.negative_buckets,
        kahan ? (*correction)->negative_buckets : none_negative);
  if (kahan) {
    (*correction)->positive_spans = h.positive_spans;
    (*correction)->negative_spans = h.negative_spans;
  }
}

// Makes a's zero bucket wide enough for both and returns what b's zero bucket of that width would
// hold.
ZeroBucket ReconcileZero(FloatHistogram& a, const FloatHistogram& b,
                         std::optional<FloatHistogram>* correction) {
  ZeroBucket theirs{b.zero_count, b.zero_threshold, 0};
  while (theirs.threshold != a.zero_threshold) {
    if (a.zero_threshold > theirs.threshold) theirs = WidenZeroBucket(b, a.zero_threshold, nullptr);
    if (theirs.threshold > a.zero_threshold) {
      const bool kahan = correction != nullptr && correction->has_value();
      const ZeroBucket ours = WidenZeroBucket(a, theirs.threshold, kahan ? &**correction : nullptr);
      a.zero_count = ours.count;
      a.zero_threshold = ours.threshold;
      if (kahan) (*correction)->zero_count = ours.correction;
      DropCovered(a, correction);
    }
  }
  return theirs;
}

// The hint of a sum or difference. True if the two contradict each other.
bool CombineHints(FloatHistogram& a, const FloatHistogram& b) {
  if (a.reset_hint == b.reset_hint || a.reset_hint == ResetHint::kGauge) return false;
  if (b.reset_hint == ResetHint::kGauge) {
    a.reset_hint = ResetHint::kGauge;
    return false;
  }
  const bool collision = a.reset_hint != ResetHint::kUnknown && b.reset_hint != ResetHint::kUnknown;
  a.reset_hint = ResetHint::kUnknown;
  return collision;
}

std::vector<double> CommonBounds(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// Adds custom buckets into those that end at `bounds`, a subset of `own_bounds`.
void AddInto(const Side& side, const std::vector<double>& own_bounds,
             const std::vector<double>& bounds, bool negative, Side& target) {
  for (const Bucket& b : side) {
    const auto i = static_cast<size_t>(b.index);
    size_t to = bounds.size();
    if (i < own_bounds.size()) {
      to = static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), own_bounds[i]) -
                               bounds.begin());
    }
    Bucket& t = target[to];
    exec::KahanAdd(negative ? -b.count : b.count, t.count, t.correction);
    if (b.correction != 0) exec::KahanAdd(b.correction, t.count, t.correction);
  }
}

HistogramOutcome CombineCustom(FloatHistogram& a, const FloatHistogram& b, Mode mode,
                               std::optional<FloatHistogram>* correction,
                               HistogramOutcome outcome) {
  std::vector<double>* corrections =
      mode == Mode::kKahan ? &(*correction)->positive_buckets : nullptr;
  const Side ours = Expand(a.positive_spans, a.positive_buckets, corrections);
  const Side theirs = Expand(b.positive_spans, b.positive_buckets);
  if (a.custom_values == b.custom_values) {
    Pack(Combine(ours, theirs, a.schema, 0, mode), a.positive_spans, a.positive_buckets,
         corrections);
  } else {
    outcome.bounds_reconciled = true;
    const std::vector<double> bounds = CommonBounds(a.custom_values, b.custom_values);
    Side target(bounds.size() + 1);
    for (size_t i = 0; i < target.size(); ++i) target[i].index = static_cast<int32_t>(i);
    AddInto(ours, a.custom_values, bounds, false, target);
    AddInto(theirs, b.custom_values, bounds, mode == Mode::kSubtract, target);
    DropEmpty(target);
    Pack(target, a.positive_spans, a.positive_buckets, corrections);
    a.custom_values = bounds;
    if (mode == Mode::kKahan) (*correction)->custom_values = bounds;
  }
  if (mode == Mode::kKahan) (*correction)->positive_spans = a.positive_spans;
  return outcome;
}

FloatHistogram EmptyLike(const FloatHistogram& h) {
  FloatHistogram c;
  c.reset_hint = h.reset_hint;
  c.schema = h.schema;
  c.zero_threshold = h.zero_threshold;
  c.custom_values = h.custom_values;
  c.positive_spans = h.positive_spans;
  c.negative_spans = h.negative_spans;
  c.positive_buckets.resize(h.positive_buckets.size());
  c.negative_buckets.resize(h.negative_buckets.size());
  return c;
}

HistogramOutcome CombineHistograms(FloatHistogram& a, const FloatHistogram& b, Mode mode,
                                   std::optional<FloatHistogram>* correction) {
  HistogramOutcome outcome;
  if (a.uses_custom_buckets() != b.uses_custom_buckets()) {
    outcome.incompatible = true;
    return outcome;
  }
  outcome.reset_collision = CombineHints(a, b);
  const bool kahan = mode == Mode::kKahan;
  if (kahan && !correction->has_value()) correction->emplace(EmptyLike(a));
  FloatHistogram* c = kahan ? &**correction : nullptr;

  const double sign = mode == Mode::kSubtract ? -1 : 1;
  if (!a.uses_custom_buckets()) {
    const ZeroBucket theirs = ReconcileZero(a, b, correction);
    if (kahan) {
      exec::KahanAdd(theirs.count, a.zero_count, c->zero_count);
      exec::KahanAdd(theirs.correction, a.zero_count, c->zero_count);
    } else {
      a.zero_count += sign * theirs.count;
    }
  }
  if (kahan) {
    exec::KahanAdd(b.count, a.count, c->count);
    exec::KahanAdd(b.sum, a.sum, c->sum);
  } else {
    a.count += sign * b.count;
    a.sum += sign * b.sum;
  }
  if (a.uses_custom_buckets()) return CombineCustom(a, b, mode, correction, outcome);

  const int32_t schema = std::min(a.schema, b.schema);
  const auto combine = [&](std::vector<HistogramSpan>& spans, std::vector<double>& counts,
                           std::vector<double>* corrections,
                           const std::vector<HistogramSpan>& b_spans,
                           const std::vector<double>& b_counts) {
    const Side ours = Reduce(Expand(spans, counts, corrections), a.schema, schema, kahan);
    const Side theirs = Reduce(Expand(b_spans, b_counts), b.schema, schema, kahan);
    Pack(Combine(ours, theirs, schema, a.zero_threshold, mode), spans, counts, corrections);
  };
  combine(a.positive_spans, a.positive_buckets, kahan ? &c->positive_buckets : nullptr,
          b.positive_spans, b.positive_buckets);
  combine(a.negative_spans, a.negative_buckets, kahan ? &c->negative_buckets : nullptr,
          b.negative_spans, b.negative_buckets);
  a.schema = schema;
  if (kahan) {
    c->schema = schema;
    c->zero_threshold = a.zero_threshold;
    c->positive_spans = a.positive_spans;
    c->negative_spans = a.negative_spans;
  }
  return outcome;
}

bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

bool SameSide(const std::vector<HistogramSpan>& a_spans, const std::vector<double>& a,
              const std::vector<HistogramSpan>& b_spans, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  const Side x = Expand(a_spans, a);
  const Side y = Expand(b_spans, b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const Bucket& l, const Bucket& r) {
    return l.index == r.index && SameBits(l.count, r.count);
  });
}

// True if a bucket of `previous` shrank or is gone. Both sides are in one schema.
bool Shrank(const Side& current, const Side& previous) {
  auto now = current.begin();
  for (const Bucket& before : previous) {
    while (now != current.end() && now->index < before.index) ++now;
    const bool found = now != current.end() && now->index == before.index;
    if (found ? now->count < before.count : before.count != 0) return true;
  }
  return false;
}

// Buckets that end above `threshold`.
Side Above(Side side, int32_t schema, double threshold) {
  const auto first = std::find_if(side.begin(), side.end(), [&](const Bucket& b) {
    return threshold == 0 || ExponentialBound(b.index, schema) > threshold;
  });
  side.erase(side.begin(), first);
  return side;
}

bool CustomReset(const FloatHistogram& h, const FloatHistogram& previous) {
  const Side now = Expand(h.positive_spans, h.positive_buckets);
  const Side before = Expand(previous.positive_spans, previous.positive_buckets);
  if (h.custom_values == previous.custom_values) return Shrank(now, before);
  const std::vector<double> bounds = CommonBounds(h.custom_values, previous.custom_values);
  std::vector<double> sums[2];
  const std::pair<const FloatHistogram*, const Side*> both[] = {{&h, &now}, {&previous, &before}};
  for (size_t k = 0; k < 2; ++k) {
    sums[k].resize(bounds.size() + 1);
    const std::vector<double>& own = both[k].first->custom_values;
    for (const Bucket& b : *both[k].second) {
      const auto i = static_cast<size_t>(b.index);
      const double end = i < own.size() ? own[i] : kInfinity;
      sums[k][static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), end) -
                                  bounds.begin())] += b.count;
    }
  }
  return !std::equal(sums[0].begin(), sums[0].end(), sums[1].begin(), std::greater_equal<>());
}

}  // namespace

HistogramOutcome Add(FloatHistogram& a, const FloatHistogram& b) {
  return CombineHistograms(a, b, Mode::kAdd, nullptr);
}
HistogramOutcome Subtract(FloatHistogram& a, const FloatHistogram& b) {
  return CombineHistograms(a, b, Mode::kSubtract, nullptr);
}
HistogramOutcome KahanAdd(FloatHistogram& a, const FloatHistogram& b,
                          std::optional<FloatHistogram>& correction) {
  return CombineHistograms(a, b, Mode::kKahan, &correction);
}

void Multiply(FloatHistogram& h, double factor) {
  h.zero_count *= factor;
  h.count *= factor;
  h.sum *= factor;
  for (double& c : h.positive_buckets) c *= factor;
  for (double& c : h.negative_buckets) c *= factor;
  if (factor < 0) h.reset_hint = ResetHint::kGauge;
}

void Divide(FloatHistogram& h, double divisor) {
  h.zero_count /= divisor;
  h.count /= divisor;
  h.sum /= divisor;
  if (divisor == 0) {
    h.positive_buckets.clear();
    h.negative_buckets.clear();
    h.positive_spans.clear();
    h.negative_spans.clear();
    return;
  }
  for (double& c : h.positive_buckets) c /= divisor;
  for (double& c : h.negative_buckets) c /= divisor;
  if (divisor < 0) h.reset_hint = ResetHint::kGauge;
}

void Compact(FloatHistogram& h) {
  Side positive = Expand(h.positive_spans, h.positive_buckets);
  Side negative = Expand(h.negative_spans, h.negative_buckets);
  DropEmpty(positive);
  DropEmpty(negative);
  Pack(positive, h.positive_spans, h.positive_buckets);
  Pack(negative, h.negative_spans, h.negative_buckets);
}

FloatHistogram WithSchema(const FloatHistogram& h, int32_t schema) {
  FloatHistogram out = h;
  if (schema == h.schema) return out;
  out.reset_hint = ResetHint::kUnknown;
  out.schema = schema;
  Pack(Reduce(Expand(h.positive_spans, h.positive_buckets), h.schema, schema, false),
       out.positive_spans, out.positive_buckets);
  Pack(Reduce(Expand(h.negative_spans, h.negative_buckets), h.schema, schema, false),
       out.negative_spans, out.negative_buckets);
  return out;
}

bool DetectReset(const FloatHistogram& h, const FloatHistogram& previous) {
  if (h.reset_hint == ResetHint::kYes) return true;
  if (h.reset_hint == ResetHint::kNo) return false;
  if (h.count < previous.count) return true;
  if (h.uses_custom_buckets()) return !previous.uses_custom_buckets() || CustomReset(h, previous);
  // Custom buckets have the lowest schema number, so this also tells an exponential histogram after
  // a custom one.
  if (h.schema > previous.schema || h.zero_threshold < previous.zero_threshold) return true;
  const ZeroBucket zero = WidenZeroBucket(previous, h.zero_threshold, nullptr);
  if (zero.threshold != h.zero_threshold || h.zero_count < zero.count) return true;
  const auto side = [&](const std::vector<HistogramSpan>& spans, const std::vector<double>& counts,
                        int32_t schema) {
    return Above(Reduce(Expand(spans, counts), schema, h.schema, false), h.schema,
                 h.zero_threshold);
  };
  return Shrank(side(h.positive_spans, h.positive_buckets, h.schema),
                side(previous.positive_spans, previous.positive_buckets, previous.schema)) ||
         Shrank(side(h.negative_spans, h.negative_buckets, h.schema),
                side(previous.negative_spans, previous.negative_buckets, previous.schema));
}

bool SameHistogram(const FloatHistogram& a, const FloatHistogram& b) {
  if (a.schema != b.schema || !SameBits(a.count, b.count) || !SameBits(a.sum, b.sum)) return false;
  if (a.uses_custom_buckets() && a.custom_values != b.custom_values) return false;
  return a.zero_threshold == b.zero_threshold && SameBits(a.zero_count, b.zero_count) &&
         SameSide(a.negative_spans, a.negative_buckets, b.negative_spans, b.negative_buckets) &&
         SameSide(a.positive_spans, a.positive_buckets, b.positive_spans, b.positive_buckets);
}

bool HasOverflow(const FloatHistogram& h) {
  const auto infinite = [](double v) { return std::isinf(v); };
  return infinite(h.zero_count) || infinite(h.count) || infinite(h.sum) ||
         std::any_of(h.positive_buckets.begin(), h.positive_buckets.end(), infinite) ||
         std::any_of(h.negative_buckets.begin(), h.negative_buckets.end(), infinite) ||
         std::any_of(h.custom_values.begin(), h.custom_values.end(), infinite);
}

double FractionBelow(const HistogramBucket& b, double value, bool linear) {
  if (linear) return (value - b.lower) / (b.upper - b.lower);
  // Exponential buckets are equally wide on a logarithmic scale; negative ones are mirrored.
  const double lower = std::log2(std::fabs(b.lower));
  const double upper = std::log2(std::fabs(b.upper));
  const double v = std::log2(std::fabs(value));
  return value > 0 ? (v - lower) / (upper - lower) : 1 - (v - upper) / (lower - upper);
}

}  // namespace basalt::query::exec
