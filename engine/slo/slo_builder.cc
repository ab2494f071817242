#include "engine/slo/slo_builder.h"

#include <utility>

#include "engine/slo/linear_sli.h"
#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

// A burn-rate threshold of 1 or more can never be exceeded; nobody finds out until it should have.
void WarnOfUnreachable(YamlChecker& checker, const Place& at, const Definition& slo) {
  for (const BurnCondition& condition : slo.conditions) {
    if (!slo.alert(condition.severity).enabled) continue;
    const std::string severity(SeverityName(condition.severity));
    if (Less(condition.factor, Fraction{1, 1})) {
      checker.Warn(at, "the " + severity + " at burn rate " + ToString(condition.factor) +
                           " fires although the budget lasts: a rate of 1 spends it exactly");
    }
    if (Less(condition.threshold, Fraction{1, 1})) continue;
    checker.Warn(at, "the " + severity + " at burn rate " + ToString(condition.factor) +
                         " can never fire: it needs an error ratio above " +
                         ToString(condition.threshold) + "; use an objective above " +
                         ToString(Fraction{100 * (condition.factor.num - condition.factor.den),
                                           condition.factor.num}) +
                         " or disable this alert");
  }
}

}  // namespace

void SetObjective(YamlChecker& checker, const Place& at, const std::string& text, bool is_share,
                  Definition& slo) {
  if (text.empty()) return;
  const std::string unit = is_share ? "share such as 0.999" : "percentage such as 99.9";
  const Result<Fraction> number = ParseDecimal(text);
  if (!number.ok()) {
    return checker.Error(at, std::string(number.status().message()) + " (it is a " +
                                 (is_share ? "share)" : "percentage)"));
  }
  const int64_t whole = is_share ? 1 : 100;
  if (number->num <= 0 || Less(Fraction{whole, 1}, *number)) {
    return checker.Error(
        at, "\"" + text + "\" is not in (0, " + std::to_string(whole) + "]: it is a " + unit);
  }
  const Result<Fraction> objective = Multiply(*number, Fraction{1, whole});
  if (!objective.ok()) return checker.Error(at, "\"" + text + "\" has too many digits");
  slo.objective = *objective;
}

void SetPeriod(YamlChecker& checker, const Place& at, Duration period, Definition& slo) {
  if (period < kMinPeriod || period > kMaxPeriod) {
    return checker.Error(at, FormatDuration(period) + " is not a period from 1m to 400d");
  }
  slo.period = period;
}

void SetEvents(YamlChecker& checker, const Place& parent, const Fields& fields,
               const char* error_key, const char* total_key, Definition& slo) {
  slo.error_query = checker.RequiredText(parent, fields, error_key);
  slo.total_query = checker.RequiredText(parent, fields, total_key);
  if (slo.error_query.empty() || slo.total_query.empty()) return;
  Result<LinearSli> sli = CompileEventsSli(slo.error_query, slo.total_query);
  if (sli.ok()) {
    slo.sli = std::move(sli).value();
    return;
  }
  // The message begins with the query it is about, unless it is about both.
  const std::string message(sli.status().message());
  for (const auto& [prefix, key] :
       {std::pair("total_query: ", total_key), std::pair("error_query: ", error_key)}) {
    if (!message.starts_with(prefix)) continue;
    return checker.Error(fields.at(key), message.substr(std::string_view(prefix).size()));
  }
  checker.Error(parent, message);
}

void SetRatio(YamlChecker& checker, const Place& at, const std::string& query, Definition& slo) {
  if (query.empty()) return;
  slo.error_query = query;
  Result<LinearSli> sli = CompileRatioSli(query);
  if (!sli.ok()) return checker.Error(at, std::string(sli.status().message()));
  slo.sli = std::move(sli).value();
}

void SetOwner(YamlChecker& checker, const Place& at, Definition& slo) {
  const std::string_view owner = slo.labels.Get("owner");
  const std::string_view team = slo.labels.Get("team");
  if (!owner.empty() && !team.empty() && owner != team) {
    return checker.Error(at, "has two owners: label owner=\"" + std::string(owner) +
                                 "\" and team=\"" + std::string(team) +
                                 "\"; keep the one who is paged");
  }
  slo.owner = owner.empty() ? team : owner;
  if (slo.owner.empty()) {
    checker.Warn(at, "has no owner: add the label `owner` or `team` with the team that is paged");
  }
}

void Finish(YamlChecker& checker, const Place& at, const std::vector<Tier>& tiers,
            int errors_before, Definition slo) {
  for (const Definition& other : checker.out().definitions) {
    if (other.id != slo.id) continue;
    checker.Error(at, "the SLO \"" + slo.id + "\" already stands in line " +
                          std::to_string(other.line) + ": names are unique within a service");
  }
  if (checker.errors() != errors_before) return;
  Result<std::vector<BurnCondition>> conditions = ConditionsOf(tiers, slo.objective);
  if (!conditions.ok()) return checker.Error(at, "has an objective or factor of too many digits");
  slo.conditions = std::move(conditions).value();
  WarnOfUnreachable(checker, at, slo);
  LayOut(slo);
  checker.out().definitions.push_back(std::move(slo));
}

}  // namespace basalt::slo
