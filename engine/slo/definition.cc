#include "engine/slo/definition.h"

namespace basalt::slo {

using std::chrono::hours;
using std::chrono::minutes;

std::string_view SeverityName(Severity severity) {
  return severity == Severity::kPage ? "page" : "ticket";
}

Result<std::vector<BurnCondition>> WorkbookConditions(const Fraction& objective) {
  // factor = share of the budget * period / long window: 2 % in 1 h, 5 % in 6 h, 10 % in 1 d and
  // in 3 d (Google's SRE workbook, chapter 5; sloth's built-in 30 d windows).
  std::vector<BurnCondition> conditions = {
      {Severity::kPage, minutes(5), hours(1), Fraction{72, 5}, {}},
      {Severity::kPage, minutes(30), hours(6), Fraction{6, 1}, {}},
      {Severity::kTicket, hours(2), hours(24), Fraction{3, 1}, {}},
      {Severity::kTicket, hours(6), hours(72), Fraction{1, 1}, {}},
  };
  BASALT_TRY_ASSIGN(const Fraction budget, Subtract(Fraction{1, 1}, objective));
  for (BurnCondition& condition : conditions) {
    BASALT_TRY_ASSIGN(condition.threshold, Multiply(condition.factor, budget));
  }
  return conditions;
}

}  // namespace basalt::slo
