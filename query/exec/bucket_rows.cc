#include "query/exec/bucket_rows.h"

#include <algorithm>
#include <cmath>

#include "engine/base/kahan.h"
#include "query/exec/functions/range.h"
#include "query/exec/windows.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;
using storage::RollupBucket;

int64_t FloorTo(int64_t time_ms, int64_t width_ms) {
  const int64_t rest = time_ms % width_ms;
  return time_ms - (rest < 0 ? rest + width_ms : rest);
}

// Whether any order of adding the values of a window gives the same bits (storage::RollupBucket
// has the rule).
class ExactSum {
 public:
  void See(const RollupBucket& b) {
    exact_ = exact_ && b.sum_unit != storage::kNoSumUnit;
    unit_ = std::min(unit_, b.sum_unit);
    magnitude_ += static_cast<double>(b.count) * std::max(std::fabs(b.min), std::fabs(b.max));
  }
  [[nodiscard]] bool exact() const { return exact_ && magnitude_ < std::ldexp(1.0, 53 + unit_); }

 private:
  bool exact_ = true;
  int32_t unit_ = 1024;  // above any unit of a finite double
  double magnitude_ = 0;
};

}  // namespace

bool BucketRowEvaluator::Supports(const plan::FragmentPlan& plan) {
  if (plan.selector.mode != plan::RangeMode::kPlain || plan.selector.histogram_stats) return false;
  if (plan.range_ms == 0) return !plan.has_function();
  switch (plan.function) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
    case FunctionId::kSumOverTime:
    case FunctionId::kAvgOverTime:
    case FunctionId::kCountOverTime:
    case FunctionId::kPresentOverTime:
    case FunctionId::kAbsentOverTime:
    case FunctionId::kFirstOverTime:
    case FunctionId::kLastOverTime:
    case FunctionId::kTsOfFirstOverTime:
    case FunctionId::kTsOfLastOverTime:
    case FunctionId::kResets:
    case FunctionId::kChanges:
      return true;
    default:
      return false;
  }
}

BucketRowEvaluator::BucketRowEvaluator(const plan::FragmentPlan& plan,
                                       const plan::FragmentInput& input,
                                       storage::Resolution resolution)
    : plan_(plan),
      input_(input),
      width_ms_(storage::WidthMs(resolution)),
      asked_ms_(plan.range_ms > 0 ? plan.range_ms : input.lookback_ms),
      reach_ms_(std::max(width_ms_, FloorTo(asked_ms_, width_ms_))) {}

int64_t BucketRowEvaluator::EndOf(size_t step) const {
  const plan::SelectorPlan& s = plan_.selector;
  return (s.at_ms.has_value() ? *s.at_ms : input_.grid.at(step)) - s.offset_ms;
}

int64_t BucketRowEvaluator::BorderOf(size_t step) const { return FloorTo(EndOf(step), width_ms_); }

storage::TimeRange BucketRowEvaluator::range() const {
  return {BorderOf(0) - reach_ms_ + 1, BorderOf(input_.grid.size() - 1)};
}

bool BucketRowEvaluator::moved() const {
  const bool steps = input_.grid.size() > 1 && !plan_.selector.at_ms.has_value() &&
                     input_.grid.step_ms % width_ms_ != 0;
  return asked_ms_ != reach_ms_ || steps || EndOf(0) != BorderOf(0);
}

FloatRow BucketRowEvaluator::Evaluate(std::span<const RollupBucket> buckets) {
  const size_t steps = input_.grid.size();
  kinds_.assign(steps, CellKind::kAbsent);
  values_.assign(steps, 0);
  size_t from = 0;
  size_t to = 0;
  size_t first = steps;
  size_t end = 0;
  Cell cell;
  for (size_t step = 0; step < steps; ++step) {
    if (step == 0 || !plan_.selector.at_ms.has_value()) {
      const int64_t end_ms = BorderOf(step);
      while (to < buckets.size() && buckets[to].end_ms <= end_ms) ++to;
      while (from < to && buckets[from].end_ms <= end_ms - reach_ms_) ++from;
      cell = Value(buckets.subspan(from, to - from), end_ms);
    }
    if (!cell.present()) continue;
    first = std::min(first, step);
    end = step + 1;
    kinds_[step] = cell.kind;
    values_[step] = cell.value;
  }
  if (first == steps) return {};
  const auto kinds = std::span<const CellKind>(kinds_).subspan(first, end - first);
  const bool gapless = std::find(kinds.begin(), kinds.end(), CellKind::kAbsent) == kinds.end();
  return {static_cast<uint32_t>(first), gapless, kinds,
          std::span<const double>(values_).subspan(first, end - first)};
}

Cell BucketRowEvaluator::Value(Window window, int64_t end_ms) {
  if (plan_.range_ms == 0) {
    const Cell latest = Latest(window, end_ms);
    samples_ += latest.present() ? 1 : 0;
    return latest;
  }
  uint64_t count = 0;
  for (const RollupBucket& b : window) count += b.count;
  samples_ += count;
  if (count == 0) return {};
  const auto holds = [](const RollupBucket& b) { return b.count > 0; };
  const RollupBucket& first = *std::find_if(window.begin(), window.end(), holds);
  const RollupBucket& last = *std::find_if(window.rbegin(), window.rend(), holds);
  switch (plan_.function) {
    case FunctionId::kCountOverTime:
      return Cell::Float(static_cast<double>(count));
    case FunctionId::kPresentOverTime:
    case FunctionId::kAbsentOverTime:
      return Cell::Float(1);
    case FunctionId::kFirstOverTime:
      return Cell::Float(first.first);
    case FunctionId::kLastOverTime:
      return Cell::Float(last.last);
    case FunctionId::kTsOfFirstOverTime:
      return Cell::Float(static_cast<double>(first.first_ms) / 1000);
    case FunctionId::kTsOfLastOverTime:
      return Cell::Float(static_cast<double>(last.last_ms) / 1000);
    case FunctionId::kSumOverTime:
      return Sum(window, false);
    case FunctionId::kAvgOverTime:
      return Sum(window, true);
    case FunctionId::kMaxOverTime: {
      double best = first.max;
      for (const RollupBucket& b : window) {
        if (b.count > 0 && (b.max > best || std::isnan(best))) best = b.max;
      }
      return Cell::Float(best);
    }
    case FunctionId::kMinOverTime: {
      double best = first.min;
      for (const RollupBucket& b : window) {
        if (b.count > 0 && (b.min < best || std::isnan(best))) best = b.min;
      }
      return Cell::Float(best);
    }
    case FunctionId::kResets:
    case FunctionId::kChanges: {
      const bool resets = plan_.function == FunctionId::kResets;
      uint64_t found = 0;
      const RollupBucket* before = nullptr;
      for (const RollupBucket& b : window) {
        if (b.count == 0) continue;
        rounded_ = rounded_ || (resets && b.any_starts && input_.use_start_timestamps);
        found += resets ? b.resets : b.changes;
        if (before != nullptr) {
          const bool both_nan = std::isnan(before->last) && std::isnan(b.first);
          found += resets ? b.first < before->last : b.first != before->last && !both_nan;
        }
        before = &b;
      }
      return Cell::Float(static_cast<double>(found));
    }
    default:
      return count < 2 ? Cell() : Rate(window, end_ms);
  }
}

// What an instant selector sees: the newest sample, if it is inside the lookback and no stale
// marker.
Cell BucketRowEvaluator::Latest(Window window, int64_t end_ms) const {
  if (window.empty() || window.back().ends_stale || window.back().count == 0) return {};
  if (window.back().last_ms <= end_ms - std::max(asked_ms_, width_ms_)) return {};
  return Cell::Float(window.back().last);
}

// As sum_over_time adds, a bucket at a time.
Cell BucketRowEvaluator::Sum(Window window, bool average) {
  double sum = 0;
  double correction = 0;
  uint64_t count = 0;
  ExactSum exact;
  for (const RollupBucket& b : window) {
    if (b.count == 0) continue;
    exact.See(b);
    // The first one as it is: 0 + -0 would lose the sign.
    if (count == 0) {
      sum = average ? b.sum : 0 + b.sum;
    } else {
      KahanAdd(b.sum, sum, correction);
    }
    count += b.count;
  }
  rounded_ = rounded_ || !exact.exact();
  if (!average) return Cell::Float(std::isinf(sum) ? sum : sum + correction);
  const auto n = static_cast<double>(count);
  return Cell::Float(std::isfinite(sum) ? sum / n + correction / n : sum / n);
}

// The same operations in the same order as over samples (functions/rate.cc).
Cell BucketRowEvaluator::Rate(Window window, int64_t end_ms) {
  const bool counter = IsCounterFunction(plan_.function);
  const RollupBucket* first = nullptr;
  const RollupBucket* last = nullptr;
  uint64_t count = 0;
  ExactSum exact;
  bool one_each = true;  // each bucket has at most one reset, so that `reset_sum` is its value
  lost_.clear();
  for (const RollupBucket& b : window) {
    if (b.count == 0) continue;
    rounded_ = rounded_ || (counter && b.any_starts && input_.use_start_timestamps);
    exact.See(b);
    one_each = one_each && b.resets <= 1;
    if (last != nullptr && b.first < last->last) lost_.push_back(last->last);
    if (b.resets > 0) lost_.push_back(b.reset_sum);
    if (first == nullptr) first = &b;
    last = &b;
    count += b.count;
  }
  double value = last->last - first->first;
  if (counter) {
    for (const double v : lost_) value += v;
    rounded_ = rounded_ || (!one_each && !exact.exact());
  }
  const Extrapolation e =
      ExtrapolateRate(first->first_ms, last->last_ms, count, end_ms - reach_ms_, end_ms);
  double to_start = e.to_start;
  if (counter && value > 0 && first->first >= 0) {
    const double to_zero = e.sampled * (first->first / value);
    if (to_zero < to_start) to_start = to_zero;
  }
  double factor = (e.sampled + to_start + e.to_end) / e.sampled;
  if (plan_.function == FunctionId::kRate) factor /= static_cast<double>(reach_ms_) / 1000;
  return Cell::Float(value * factor);
}

}  // namespace basalt::query::exec
