#include "engine/slo/definition.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/status.h"

namespace basalt::slo {

using std::chrono::hours;
using std::chrono::minutes;

std::string_view SeverityName(Severity severity) {
  return severity == Severity::kPage ? "page" : "ticket";
}

namespace {

struct WorkbookTier {
  Severity severity;
  Duration long_window;
  int64_t budget_percent;
  Fraction factor;  // over 30 d
};
// Google's SRE workbook, chapter 5.
constexpr std::array<WorkbookTier, 4> kWorkbook = {{
    {Severity::kPage, hours(1), 2, {72, 5}},
    {Severity::kPage, hours(6), 5, {6, 1}},
    {Severity::kTicket, hours(24), 10, {3, 1}},
    {Severity::kTicket, hours(72), 10, {1, 1}},
}};
// Windows below are shorter than scrapes are apart.
constexpr Duration kMinShortWindow = std::chrono::seconds(5);

// To whole minutes, or to seconds below an hour.
Duration Rounded(Duration length) {
  const Duration unit = length >= hours(1) ? Duration(minutes(1)) : std::chrono::seconds(1);
  return (length + unit / 2) / unit * unit;
}

}  // namespace

Result<Fraction> FactorOf(const Fraction& budget_percent, Duration period, Duration window) {
  return MakeFraction(static_cast<Int128>(budget_percent.num) * period.count(),
                      static_cast<Int128>(budget_percent.den) * 100 * window.count());
}

std::vector<Tier> WorkbookTiers(Duration period) {
  std::vector<Tier> tiers;
  const bool is_month = period == kDefaultPeriod || period == hours(24 * 28);
  for (const WorkbookTier& row : kWorkbook) {
    Tier tier{row.severity, row.long_window / 12, row.long_window, row.factor, Duration(0)};
    if (is_month) {
      const Result<Fraction> factor =
          FactorOf(Fraction{row.budget_percent, 1}, period, row.long_window);
      BASALT_CHECK(factor.ok(), "a workbook's factor");
      tier.factor = *factor;
    } else {
      const Duration scaled = row.long_window * period.count() / kDefaultPeriod.count();
      tier.short_window = std::max(Rounded(scaled / 12), kMinShortWindow);
      tier.long_window = std::max(Rounded(scaled), 2 * kMinShortWindow);
    }
    tiers.push_back(tier);
  }
  return tiers;
}

Duration TierPeriod(const Definition& definition) {
  return definition.calendar == nullptr ? definition.period : definition.calendar->usual();
}

Result<std::vector<BurnCondition>> ConditionsOf(const std::vector<Tier>& tiers,
                                                const Fraction& objective) {
  std::vector<BurnCondition> conditions;
  BASALT_TRY_ASSIGN(const Fraction budget, Subtract(Fraction{1, 1}, objective));
  for (const Tier& tier : tiers) {
    BASALT_TRY_ASSIGN(const Fraction threshold, Multiply(tier.factor, budget));
    conditions.push_back({tier, threshold});
  }
  return conditions;
}

Duration AbsenceOf(const std::vector<BurnCondition>& conditions) {
  Duration after = kMinAbsence;
  for (const BurnCondition& condition : conditions) {
    if (condition.severity != Severity::kPage) continue;
    const double seconds = condition.threshold.ToDouble() *
                           std::chrono::duration<double>(condition.long_window).count();
    const Duration burn(static_cast<int64_t>(seconds * 1000));
    return std::max(after, burn + condition.hold_for + minutes(2));
  }
  return after;
}

void LayOut(Definition& definition) {
  std::vector<int64_t> lengths = {definition.period.count()};
  // pyrra's dashboards show requests and errors of 5 minutes, whatever its alerts look at.
  if (definition.origin == Origin::kPyrra) lengths.push_back(kPyrraRateWindow.count());
  for (const BurnCondition& condition : definition.conditions) {
    lengths.push_back(condition.short_window.count());
    lengths.push_back(condition.long_window.count());
  }
  if (definition.polled.has_value() && !definition.polled->by_windows()) {
    // Slices end on multiples of their length, so they lie in slots of any length that divides it.
    const int64_t slice_ms = definition.polled->slice.count();
    int64_t finest_ms = 1000;
    for (const int64_t slot_ms : {int64_t{10'000}, int64_t{60'000}}) {
      if (slice_ms % slot_ms == 0) finest_ms = slot_ms;
    }
    definition.layout =
        std::make_shared<const Layout>(std::move(lengths), kMaxPolledSlotsPerWindow, finest_ms);
  } else {
    definition.layout = std::make_shared<const Layout>(std::move(lengths));
  }
  definition.period_index = definition.layout->Find(definition.period.count());
  for (BurnCondition& condition : definition.conditions) {
    condition.short_index = definition.layout->Find(condition.short_window.count());
    condition.long_index = definition.layout->Find(condition.long_window.count());
  }
}

}  // namespace basalt::slo
