// tools/slo_views.h -- the evaluator's views, as the HTTP API asks for them.
#pragma once

#include <atomic>

#include "engine/http/api/alerts_view.h"
#include "engine/http/api/slo_source.h"
#include "engine/slo/evaluator.h"

namespace basalt::cli {

// Empty until an evaluator is bound. Thread-safe.
class SloViews final : public http::api::AlertsView, public http::api::SloSource {
 public:
  // What simulations read; before Bind, and to outlive the last request.
  void BindHistory(slo::SampleStore& store, slo::SliQueries& queries) {
    store_ = &store;
    queries_ = &queries;
  }
  // All or none.
  void Bind(slo::Evaluator* evaluator, slo::Ledger* ledger) {
    ledger_.store(ledger, std::memory_order_release);
    evaluator_.store(evaluator, std::memory_order_release);
  }

  [[nodiscard]] std::vector<http::api::RuleGroupView> RuleGroups(TenantId tenant) const override;
  [[nodiscard]] std::vector<slo::SloView> Slos(TenantId tenant, size_t max_groups) const override;
  [[nodiscard]] std::optional<slo::SloView> Slo(TenantId tenant, std::string_view id,
                                                size_t max_groups) const override;
  [[nodiscard]] std::optional<std::vector<slo::BudgetHistoryView>> BudgetHistory(
      TenantId tenant, std::string_view id, std::optional<Timestamp> from,
      size_t max_groups) const override;
  Result<std::optional<std::vector<slo::ExplainedGroup>>> Explain(TenantId tenant,
                                                                  std::string_view id,
                                                                  Timestamp at) override;
  slo::AuditView Audit(size_t slots) override;
  Result<slo::SimulationReport> Simulate(const http::api::SimulationRequest& request) override;
  [[nodiscard]] Result<std::vector<slo::Exclusion>> Exclusions() const override;
  Result<slo::Exclusion> AddExclusion(slo::Exclusion exclusion) override;
  Status RemoveExclusion(const std::string& id) override;

 private:
  slo::SampleStore* store_ = nullptr;
  slo::SliQueries* queries_ = nullptr;
  std::atomic<bool> simulating_ = false;
  std::atomic<slo::Ledger*> ledger_ = nullptr;
  std::atomic<slo::Evaluator*> evaluator_ = nullptr;
};

}  // namespace basalt::cli
