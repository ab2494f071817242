#include "engine/slo/quiet.h"

#include <algorithm>

namespace basalt::slo {
namespace {

// Amounts stay far below this: what may come without a limit.
constexpr Amount kUnlimited = INT64_MAX / 4;

Amount Clamp(Int128 amount) {
  return static_cast<Amount>(std::clamp<Int128>(amount, -1, kUnlimited));
}

// Of a window while rounds up to some time settle: bounds of what it holds, but for what they
// bring.
struct Reach {
  Counts most;   // all that is in it now
  Counts least;  // what is still in it at the end
};

Reach ReachOf(const Standing& at, size_t window, int64_t until_ms) {
  const WindowSum now = at.slots.Sum(at.group, window, at.slots.head_ms(at.group));
  const WindowSum then = at.slots.Sum(at.group, window, until_ms);
  return {now.whole + now.edge, then.whole};
}

// How many more bad events leave the window's ratio at or below the threshold; negative: none do.
Amount RoomBelow(const Reach& reach, const Fraction& threshold) {
  const Int128 allowed = static_cast<Int128>(reach.least.total) * threshold.num / threshold.den;
  return Clamp(allowed - reach.most.bad);
}

// How many more events leave it above; negative: none do.
Amount RoomAbove(const Reach& reach, const Fraction& threshold) {
  const Int128 bad = static_cast<Int128>(reach.least.bad) * threshold.den;
  if (bad <= 0) return -1;
  if (threshold.num == 0) return kUnlimited;
  return Clamp((bad - 1) / threshold.num - reach.most.total);
}

// Whether parts of what is counted may be negative, so that a window gains by what leaves it.
bool HasNegativeParts(const LinearSli& sli) {
  const auto negative = [](const LinearTerm& term) {
    return term.coefficient < 0 || term.measure.kind == MeasureKind::kValues;
  };
  return std::any_of(sli.bad.begin(), sli.bad.end(), negative) ||
         std::any_of(sli.total.begin(), sli.total.end(), negative);
}

// Narrows `quiet` to what leaves the condition's answer as it is. False: nothing does.
bool Keep(const Standing& at, const BurnCondition& condition, bool holds, int64_t since_ms,
          int64_t until_ms, Quiet& quiet) {
  const Reach in_short = ReachOf(at, condition.short_index, until_ms);
  const Reach in_long = ReachOf(at, condition.long_index, until_ms);
  if (!holds) {
    if (since_ms != 0) return false;  // it has held, and waits for an answer
    const Amount room =
        std::max(RoomBelow(in_short, condition.threshold), RoomBelow(in_long, condition.threshold));
    quiet.most.bad = std::min(quiet.most.bad, room);
    return room >= 0;
  }
  const int64_t held_ms = at.slots.head_ms(at.group) - since_ms;
  const int64_t has_to_ms = condition.hold_for.count();
  if (has_to_ms > 0 && (since_ms == 0 || held_ms < has_to_ms)) return false;
  const Amount room =
      std::min(RoomAbove(in_short, condition.threshold), RoomAbove(in_long, condition.threshold));
  // More errors than events in the short window would be no answer at all.
  const Amount sane = in_short.least.total - in_short.most.bad;
  quiet.most.total = std::min(quiet.most.total, room);
  quiet.most.bad = std::min(quiet.most.bad, sane);
  return room >= 0;
}

// Each condition has to keep its answer, and one holds while the alert fires: then it is neither
// frozen nor kept firing, since the answers are those of the head too.
bool KeepSeverity(const Standing& at, Severity severity, int64_t until_ms, Quiet& quiet) {
  const bool firing = at.alerts[static_cast<size_t>(severity)].firing;
  // A guard may say no to what windows say yes to.
  if (firing && !at.definition.guard.empty()) return false;
  bool any_holds = false;
  for (size_t i = 0; i < at.definition.conditions.size(); ++i) {
    const BurnCondition& condition = at.definition.conditions[i];
    if (condition.severity != severity) continue;
    const int64_t since_ms = at.held.empty() ? 0 : at.held[i];
    Quiet narrowed = quiet;
    if (firing && Keep(at, condition, true, since_ms, until_ms, narrowed)) {
      any_holds = true;
    } else {
      narrowed = quiet;
      if (!Keep(at, condition, false, since_ms, until_ms, narrowed)) return false;
    }
    quiet = narrowed;
  }
  return any_holds == firing;
}

}  // namespace

Quiet QuietUntil(const Standing& at, int64_t until_ms) {
  const Definition& definition = at.definition;
  // These look at more than counts of windows.
  if (definition.against_period) return {};
  if (definition.polled.has_value() && definition.polled->by_windows()) return {};
  const int64_t head_ms = at.slots.head_ms(at.group);
  const std::vector<Window>& windows = definition.layout->windows();
  if (at.excluded != nullptr &&
      at.excluded->Any(at.group, head_ms - windows.back().length_ms, until_ms)) {
    return {};
  }
  const bool beyond = until_ms > at.slots.NextChange(at.group);
  for (const BurnCondition& condition : definition.conditions) {
    for (const size_t window : {condition.short_index, condition.long_index}) {
      const WindowSum now = at.slots.Sum(at.group, window, head_ms);
      if (now.edge.bad < 0 || now.edge.total < 0) return {};
      if (beyond && HasNegativeParts(definition.sli) && !at.slots.NoneNegative(at.group, window)) {
        return {};
      }
    }
  }
  Quiet quiet{until_ms, {kUnlimited, kUnlimited}};
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    if (!definition.alert(severity).enabled) continue;
    if (!KeepSeverity(at, severity, until_ms, quiet)) return {};
  }
  return quiet;
}

}  // namespace basalt::slo
