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
  void Bind(slo::Evaluator* evaluator) { evaluator_.store(evaluator, std::memory_order_release); }

  [[nodiscard]] std::vector<http::api::RuleGroupView> RuleGroups(TenantId tenant) const override;
  [[nodiscard]] std::vector<slo::SloView> Slos(TenantId tenant, size_t max_groups) const override;
  [[nodiscard]] std::optional<slo::SloView> Slo(TenantId tenant, std::string_view id,
                                                size_t max_groups) const override;

 private:
  std::atomic<slo::Evaluator*> evaluator_ = nullptr;
};

}  // namespace basalt::cli
