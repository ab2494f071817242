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
  const int64_t from_ms = at.time_ms - at.slots.layout(at.group).windows()[window].length_ms;
  const Counts whole = sum.whole + at.open;
  if (sum.exact()) return {whole, true};
  if (const std::optional<Counts> inside = at.edges(at.group, window, sum, from_ms)) {
    return {whole + *inside, true};
  }
  return {whole + InProportion(sum, from_ms), false};
}

}  // namespace

namespace {

int64_t BeginOf(const Moment& at, size_t window) {
  return at.time_ms - at.slots.layout(at.group).windows()[window].length_ms;
}

bool IsMasked(const Moment& at, size_t window) {
  return at.excluded != nullptr && at.excluded->Any(at.group, BeginOf(at, window), at.time_ms);
}

}  // namespace

WindowReading ReadWindow(const Moment& at, size_t window) {
  WindowReading out = Refine(at, window, at.slots.Sum(at.group, window, at.time_ms));
  if (!IsMasked(at, window)) return out;
  const WindowReading masked = at.excluded->Read(at.group, BeginOf(at, window), at.time_ms);
  return {out.counts - masked.counts, out.exact && masked.exact};
}

Truth Exceeds(const Moment& at, size_t window, const Fraction& threshold) {
  if (IsMasked(at, window)) return Compare(ReadWindow(at, window).counts, threshold);
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

namespace {

// a / b > threshold * (window / period), where b is the period's total.
Truth CompareWithPeriod(Amount bad, Amount period_total, int64_t window_ms, int64_t period_ms,
                        const Fraction& threshold) {
  if (period_total <= 0) return Truth::kUndefined;
  const Result<Fraction> share = Multiply(threshold, Fraction{window_ms, period_ms});
  BASALT_CHECK(share.ok(), "a threshold of a period's share");  // ConditionsOf has tried it
  return RatioExceeds(bad, period_total, *share) ? Truth::kYes : Truth::kNo;
}

}  // namespace

Truth ExceedsOfPeriod(const Moment& at, size_t window, size_t period, const Fraction& threshold) {
  const WindowSum sum = at.slots.Sum(at.group, window, at.time_ms);
  const WindowSum of_period = at.slots.Sum(at.group, period, at.time_ms);
  const auto& windows = at.slots.layout(at.group).windows();
  const auto compare = [&](Amount bad, Amount total) {
    return CompareWithPeriod(bad, total, windows[window].length_ms, windows[period].length_ms,
                             threshold);
  };
  const Amount bad = sum.whole.bad + at.open.bad;
  const Amount total = of_period.whole.total + at.open.total;
  if (IsMasked(at, window) || IsMasked(at, period)) {
    return compare(ReadWindow(at, window).counts.bad, ReadWindow(at, period).counts.total);
  }
  // As in Exceeds: both edges count for nothing or for all.
  const Truth most = compare(bad + sum.edge.bad, total);
  const Truth least = compare(bad, total + of_period.edge.total);
  if (most == least && sum.edge.bad >= 0 && of_period.edge.total >= 0) return most;
  return compare(Refine(at, window, sum).counts.bad, Refine(at, period, of_period).counts.total);
}

Truth Holds(const Moment& at, const Definition& definition, const BurnCondition& condition,
            bool& inconsistent) {
  const auto exceeds = [&](size_t window) {
    return definition.against_period
               ? ExceedsOfPeriod(at, window, definition.period_index, condition.threshold)
               : Exceeds(at, window, condition.threshold);
  };
  // Of a window that was asked for whole nothing can be taken out. The long one may have excluded
  // errors in it; the short one says whether it still burns.
  if (definition.polled.has_value() && definition.polled->by_windows() &&
      IsMasked(at, condition.short_index)) {
    return Truth::kUndefined;
  }
  const Truth in_short = exceeds(condition.short_index);
  if (in_short == Truth::kNo) return Truth::kNo;
  const Truth both = And(in_short, exceeds(condition.long_index));
  if (both != Truth::kYes) return both;
  const Counts counts = ReadWindow(at, condition.short_index).counts;
  if (counts.bad > counts.total) {
    inconsistent = true;
    return Truth::kUndefined;
  }
  if (definition.guard.empty()) return Truth::kYes;
  const Counts in_long = ReadWindow(at, condition.long_index).counts;
  const bool enough =
      IsEnough(definition.guard, in_long, definition.sli.scale, condition.threshold);
  return enough ? Truth::kYes : Truth::kNo;
}

namespace {

// `holds`, unless it has to hold for longer than it has.
Truth ForAWhile(Truth holds, const BurnCondition& condition, int64_t time_ms, bool is_settled,
                int64_t& since_ms) {
  if (is_settled && holds == Truth::kNo) since_ms = 0;
  if (is_settled && holds == Truth::kYes && since_ms == 0) since_ms = time_ms;
  if (holds != Truth::kYes) return holds;
  const bool long_enough = since_ms != 0 && time_ms - since_ms >= condition.hold_for.count();
  return long_enough ? Truth::kYes : Truth::kNo;
}

}  // namespace

Truth AnyHolds(const Moment& at, const Definition& definition, Severity severity, bool is_settled,
               Held& held, size_t& which, bool& inconsistent) {
  Truth any = Truth::kNo;
  for (size_t i = 0; i < definition.conditions.size(); ++i) {
    const BurnCondition& condition = definition.conditions[i];
    if (condition.severity != severity) continue;
    Truth holds = Holds(at, definition, condition, inconsistent);
    if (condition.hold_for.count() > 0) {
      holds = ForAWhile(holds, condition, at.time_ms, is_settled, held[i]);
    }
    if (holds == Truth::kYes && any != Truth::kYes) which = i;
    any = Or(any, holds);
    if (any == Truth::kYes && held.empty()) return any;  // the others have nothing to remember
  }
  return any;
}

}  // namespace basalt::slo
