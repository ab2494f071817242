#include "engine/slo/slo_builder.h"

#include <optional>
#include <utility>

#include "engine/slo/linear_sli.h"
#include "engine/slo/message.h"
#include "engine/slo/poller.h"

namespace basalt::slo {
namespace {

// The least objective, in percent and hundredths of it, whose budget times `factor` is below 1: the
// burn rate can then be exceeded. For factors above 1.
std::string LeastReachable(const Fraction& factor) {
  const Int128 hundredths = Int128{10'000} * (factor.num - factor.den) / factor.num + 1;
  return ToString(Fraction{static_cast<int64_t>(hundredths), 100});
}

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
                         ToString(condition.threshold) + "; use an objective of " +
                         LeastReachable(condition.factor) + " or more, or disable this alert");
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

void SetCalendar(YamlChecker& checker, const Place& at, const std::string& length,
                 const std::string& start, const std::string& zone, Definition& slo) {
  if (length.empty() || start.empty() || zone.empty()) return;  // said already
  Result<std::shared_ptr<const Calendar>> calendar = Calendar::Make(length, start, zone);
  if (!calendar.ok()) return checker.Error(at, std::string(calendar.status().message()));
  SetPeriod(checker, at, (*calendar)->longest(), slo);
  slo.calendar = std::move(calendar).value();
}

void SetEvents(YamlChecker& checker, const Place& parent, const Fields& fields,
               const char* error_key, const char* total_key, Definition& slo) {
  const std::string error = checker.RequiredText(parent, fields, error_key);
  const std::string total = checker.RequiredText(parent, fields, total_key);
  if (error.empty() || total.empty()) return;
  SetEvents(checker, {fields.at(error_key), error}, {fields.at(total_key), total}, slo);
}

void SetEvents(YamlChecker& checker, const PlacedQuery& error, const PlacedQuery& total,
               Definition& slo) {
  slo.error_query = error.text;
  slo.total_query = total.text;
  Result<LinearSli> linear = CompileEventsSli(error.text, total.text);
  if (linear.ok()) {
    slo.sli = std::move(linear).value();
    return;
  }
  PolledSli sli;
  sli.kind = PolledSli::Kind::kEvents;
  sli.why = std::string(linear.status().message());
  SetPolled(checker, error, total, std::move(sli), slo);
}

void SetRatio(YamlChecker& checker, const Place& at, const std::string& query, Definition& slo) {
  if (query.empty()) return;
  if (const std::optional<RatioParts> parts = SplitRatio(query)) {
    const Result<PolledQuery> errors = ReadPolledQuery(parts->errors);
    const Result<PolledQuery> total = ReadPolledQuery(parts->total);
    if (errors.ok() && total.ok() && errors->has_window && total->has_window &&
        errors->group_by == total->group_by && errors->is_rate == total->is_rate) {
      return SetEvents(checker, {at, parts->errors}, {at, parts->total}, slo);
    }
  }
  slo.error_query = query;
  PolledSli sli;
  sli.kind = PolledSli::Kind::kRatio;
  sli.why = "it is not `errors / total` or `1 - good / total`";
  SetPolled(checker, {at, query}, {at, ""}, std::move(sli), slo);
}

void SetPolled(YamlChecker& checker, const PlacedQuery& bad, const PlacedQuery& total,
               PolledSli sli, Definition& slo) {
  const bool is_events = sli.kind == PolledSli::Kind::kEvents;
  const auto read = [&](const PlacedQuery& query) -> std::optional<PolledQuery> {
    Result<PolledQuery> about = ReadPolledQuery(query.text);
    if (!about.ok()) {
      checker.Error(query.at, std::string(about.status().message()));
      return std::nullopt;
    }
    if (!about->has_window && sli.by_windows()) {
      checker.Error(query.at, "has no {{.window}}: write sum(rate(counter[{{.window}}]))");
      return std::nullopt;
    }
    return std::move(about).value();
  };
  const std::optional<PolledQuery> about_bad = read(bad);
  const std::optional<PolledQuery> about_total = is_events ? read(total) : about_bad;
  if (!about_bad.has_value() || !about_total.has_value()) return;
  if (about_bad->group_by != about_total->group_by) {
    return checker.Error(total.at,
                         "groups by other labels than the errors: a group's errors and its total "
                         "have to come from the same `by`");
  }
  if (about_bad->is_rate != about_total->is_rate) {
    return checker.Error(total.at,
                         "one query gives events a second (rate) and the other one events: use "
                         "rate() or increase() in both");
  }
  sli.bad = bad.text;
  sli.total = total.text;
  sli.is_rate = is_events && about_bad->is_rate;
  slo.sli = LinearSli{};
  slo.sli.group_by = about_bad->group_by;
  if (sli.by_windows() && !is_events) slo.sli.scale = kRatioScale;
  if (slo.error_query.empty()) slo.error_query = bad.text;
  if (slo.total_query.empty()) slo.total_query = total.text;
  std::string said = "is polled every " +
                     FormatDuration(sli.by_windows() ? Duration(kPollIntervalMs) : sli.slice) +
                     " by query and not streamed: " + sli.why;
  for (const std::string& limitation : LimitationsOf(sli, !slo.sli.group_by.empty())) {
    said += (said.back() == '.' ? " " : ". ") + limitation;
  }
  checker.Warn(bad.at, said);
  slo.polled = std::move(sli);
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
  for (const BurnCondition& condition : slo.conditions) {
    if (!slo.against_period) break;
    for (const Duration window : {condition.short_window, condition.long_window}) {
      if (Multiply(condition.threshold, {window.count(), slo.period.count()}).ok()) continue;
      return checker.Error(at, "has an objective, factor or window of too many digits");
    }
  }
  if (slo.absent.has_value()) slo.absent->after = AbsenceOf(slo.conditions);
  WarnOfUnreachable(checker, at, slo);
  LayOut(slo);
  checker.out().definitions.push_back(std::move(slo));
}

}  // namespace basalt::slo
