#include "engine/slo/conditions.h"

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
  const Truth in_short = Exceeds(at, condition.short_index, condition.threshold);
  if (in_short == Truth::kNo) return Truth::kNo;
  const Truth both = And(in_short, Exceeds(at, condition.long_index, condition.threshold));
  if (both != Truth::kYes) return both;
  const Counts counts = ReadWindow(at, condition.short_index).counts;
  if (counts.bad <= counts.total) return Truth::kYes;
  inconsistent = true;
  return Truth::kUndefined;
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
    Truth holds = Holds(at, condition, inconsistent);
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
