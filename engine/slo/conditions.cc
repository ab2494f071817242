#include "engine/slo/conditions.h"

#include "engine/base/status.h"

namespace basalt::slo {
namespace {

Truth Compare(const Counts& counts, const Fraction& threshold) {
  if (counts.total <= 0) return Truth::kUndefined;
  return RatioExceeds(counts.bad, counts.total, threshold) ? Truth::kYes : Truth::kNo;
}

Counts InProportion(const WindowSum& sum, int64_t from_ms) {
  const GroupBooking even{sum.edge_begin_ms, sum.edge_end_ms, sum.edge};
  return sum.edge - BookedUpTo(even, from_ms);
}

WindowReading Refine(const Moment& at, size_t window, const WindowSum& sum) {
  const int64_t from_ms = at.time_ms - kSloWindows[window].length_ms;
  const Counts whole = sum.whole + at.open;
  if (sum.exact()) return {whole, true};
  if (const std::optional<Counts> inside = at.edges(window, sum, from_ms)) {
    return {whole + *inside, true};
  }
  return {whole + InProportion(sum, from_ms), false};
}

}  // namespace

WindowReading ReadWindow(const Moment& at, size_t window) {
  return Refine(at, window, at.slots.Sum(at.group, window, at.time_ms));
}

Truth Exceeds(const Moment& at, size_t window, const Fraction& threshold) {
  const WindowSum sum = at.slots.Sum(at.group, window, at.time_ms);
  const Counts whole = sum.whole + at.open;
  if (sum.exact()) return Compare(whole, threshold);
  // What part of the edge is inside is between nothing and all of it; bad and total independently.
  const bool bounded = sum.edge.bad >= 0 && sum.edge.total >= 0 && whole.total > 0;
  if (bounded) {
    if (!RatioExceeds(whole.bad + sum.edge.bad, whole.total, threshold)) return Truth::kNo;
    if (RatioExceeds(whole.bad, whole.total + sum.edge.total, threshold)) return Truth::kYes;
  }
  return Compare(Refine(at, window, sum).counts, threshold);
}

Truth Holds(const Moment& at, const BurnCondition& condition, bool& inconsistent) {
  const size_t short_window = FindWindow(condition.short_window.count());
  const size_t long_window = FindWindow(condition.long_window.count());
  BASALT_CHECK(short_window < kWindows && long_window < kWindows, "a window without slots");
  const Truth in_short = Exceeds(at, short_window, condition.threshold);
  if (in_short == Truth::kNo) return Truth::kNo;
  const Truth both = And(in_short, Exceeds(at, long_window, condition.threshold));
  if (both != Truth::kYes) return both;
  const Counts counts = ReadWindow(at, short_window).counts;
  if (counts.bad <= counts.total) return Truth::kYes;
  inconsistent = true;
  return Truth::kUndefined;
}

Truth AnyHolds(const Moment& at, const Definition& definition, Severity severity, size_t& which,
               bool& inconsistent) {
  Truth any = Truth::kNo;
  for (size_t i = 0; i < definition.conditions.size(); ++i) {
    if (definition.conditions[i].severity != severity) continue;
    const Truth holds = Holds(at, definition.conditions[i], inconsistent);
    if (holds == Truth::kYes) {
      which = i;
      return Truth::kYes;
    }
    any = Or(any, holds);
  }
  return any;
}

}  // namespace basalt::slo
