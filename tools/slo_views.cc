#include "tools/slo_views.h"

#include "engine/slo/slo_files.h"
#include "engine/slo/trial.h"
#include "tools/simulation_text.h"

namespace basalt::cli {
namespace {

// SLOs are decided by the sweep, not by an interval; sloth's own groups run every 30 s or so, which
// is what pages that show rules expect to see.
constexpr Duration kShownInterval{30'000};

http::api::RuleView ToRule(const slo::SloAlertRule& rule) {
  http::api::RuleView view;
  view.alerting = true;
  view.name = rule.name;
  view.query = rule.query;
  view.labels = rule.labels;
  view.annotations = rule.annotations;
  view.state =
      rule.firing.empty() ? http::api::AlertState::kInactive : http::api::AlertState::kFiring;
  view.keep_firing_for = rule.keep_firing_for;
  view.health = rule.healthy ? "ok" : "err";
  view.last_error = rule.last_error;
  view.last_evaluation = rule.last_evaluation;
  view.evaluation_time = rule.evaluation_time;
  for (const slo::SloAlertInstance& instance : rule.firing) {
    http::api::AlertView alert;
    alert.labels = instance.labels;
    alert.annotations = instance.annotations;
    alert.state = http::api::AlertState::kFiring;
    alert.active_at = instance.active_at;
    alert.keep_firing_since = instance.keep_firing_since;
    alert.value = instance.value;
    view.alerts.push_back(std::move(alert));
  }
  return view;
}

}  // namespace

std::vector<http::api::RuleGroupView> SloViews::RuleGroups(TenantId tenant) const {
  std::vector<http::api::RuleGroupView> groups;
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return groups;
  for (const slo::SloAlertRule& rule : evaluator->AlertRules(tenant)) {
    // Rules of one SLO come next to each other.
    if (groups.empty() || groups.back().name != rule.group || groups.back().file != rule.file) {
      http::api::RuleGroupView group;
      group.name = rule.group;
      group.file = rule.file;
      group.interval = kShownInterval;
      group.last_evaluation = rule.last_evaluation;
      group.evaluation_time = rule.evaluation_time;
      groups.push_back(std::move(group));
    }
    groups.back().rules.push_back(ToRule(rule));
  }
  return groups;
}

std::vector<slo::SloView> SloViews::Slos(TenantId tenant, size_t max_groups) const {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  return evaluator == nullptr ? std::vector<slo::SloView>() : evaluator->Slos(tenant, max_groups);
}

std::optional<slo::SloView> SloViews::Slo(TenantId tenant, std::string_view id,
                                          size_t max_groups) const {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return std::nullopt;
  return evaluator->Slo(tenant, id, max_groups);
}

std::optional<std::vector<slo::BudgetHistoryView>> SloViews::BudgetHistory(
    TenantId tenant, std::string_view id, std::optional<Timestamp> from, size_t max_groups) const {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return std::nullopt;
  return evaluator->BudgetHistory(tenant, id, from, max_groups);
}

Result<std::vector<slo::Exclusion>> SloViews::Exclusions() const {
  const slo::Ledger* ledger = ledger_.load(std::memory_order_acquire);
  if (ledger == nullptr) return Unavailable("SLOs are not evaluated yet");
  return ledger->All();
}

Result<slo::Exclusion> SloViews::AddExclusion(slo::Exclusion exclusion) {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  slo::Ledger* ledger = ledger_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return Unavailable("SLOs are not evaluated yet");
  auto added = ledger->Add(std::move(exclusion), ToMs(SystemClock().Now()));
  if (added.ok()) evaluator->ReadLedger();
  return added;
}

Status SloViews::RemoveExclusion(const std::string& id) {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  slo::Ledger* ledger = ledger_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return Unavailable("SLOs are not evaluated yet");
  BASALT_TRY(ledger->Remove(id, ToMs(SystemClock().Now())));
  evaluator->ReadLedger();
  return OkStatus();
}

Result<std::optional<std::vector<slo::ExplainedGroup>>> SloViews::Explain(TenantId tenant,
                                                                          std::string_view id,
                                                                          Timestamp at) {
  using Explained = std::optional<std::vector<slo::ExplainedGroup>>;
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return Unavailable("SLOs are not evaluated yet");
  const std::optional<slo::Definition> definition = evaluator->DefinitionOf(tenant, id);
  if (!definition.has_value()) return Explained();
  BASALT_TRY_ASSIGN(std::vector<slo::Exclusion> exclusions, Exclusions());
  // As a simulation, it reads a period of history.
  if (simulating_.exchange(true)) return ResourceExhausted("a simulation runs: try again");
  auto groups = slo::Explain(*definition, *store_, ToMs(at), std::move(exclusions), queries_);
  simulating_ = false;
  if (!groups.ok()) return groups.status();
  return Explained(std::move(groups).value());
}

slo::AuditView SloViews::Audit(size_t slots) {
  slo::Evaluator* evaluator = evaluator_.load(std::memory_order_acquire);
  if (evaluator == nullptr) return {};
  if (slots > 0) evaluator->Audit(slots);
  const slo::EvaluatorStats stats = evaluator->Stats();
  return {stats.audited_slots, stats.audit_skipped, stats.audit_mismatches,
          stats.audit_last_mismatch};
}

Result<slo::SimulationReport> SloViews::Simulate(const http::api::SimulationRequest& request) {
  if (evaluator_.load(std::memory_order_acquire) == nullptr) {
    return Unavailable("SLOs are not evaluated yet");
  }
  slo::CheckedSlos checked = slo::CheckSloText(request.slos, "slos");
  if (!checked.ok()) {
    std::string message;
    for (const slo::Problem& problem : checked.problems) {
      if (problem.is_error) message += (message.empty() ? "" : "\n") + slo::ToString(problem);
    }
    return InvalidArgument(message);
  }
  slo::SimulationOptions options;
  options.from_ms = ToMs(request.from);
  options.to_ms = ToMs(request.to);
  for (const std::string& text : request.injections) {
    Result<slo::Injection> injection = ParseInjection(text, options.to_ms);
    if (!injection.ok()) return injection.status().WithContext("inject " + text);
    options.injections.push_back(*injection);
  }
  if (!request.sweeps.empty()) {
    BASALT_TRY_ASSIGN(checked.definitions, slo::VariantsOf(checked.definitions, request.sweeps));
  }
  BASALT_TRY_ASSIGN(options.exclusions, Exclusions());
  // It takes a core for seconds and memory for its groups.
  if (simulating_.exchange(true)) return ResourceExhausted("another simulation runs: try again");
  auto report = slo::Simulate(std::move(checked.definitions), *store_, options, queries_);
  simulating_ = false;
  return report;
}

}  // namespace basalt::cli
