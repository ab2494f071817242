// engine/http/api/slo_source.h -- what /api/v1/slo shows. Whoever evaluates SLOs implements it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/slo/ledger.h"
#include "engine/slo/simulation.h"
#include "engine/slo/view.h"

namespace basalt::http::api {

// What a simulation is asked for, as `basalt slo simulate` writes it.
struct SimulationRequest {
  std::string slos;  // the text of SLO files
  Timestamp from{};
  Timestamp to{};
  std::vector<std::string> injections = {};  // outages laid over what was
  std::vector<std::string> sweeps = {};      // settings, each tried of each SLO (slo::VariantsOf)
};

// Thread-safe. `max_groups` bounds the groups of one SLO that are shown, firing ones first.
class SloSource {
 public:
  virtual ~SloSource() = default;
  [[nodiscard]] virtual std::vector<slo::SloView> Slos(TenantId tenant,
                                                       size_t max_groups) const = 0;
  [[nodiscard]] virtual std::optional<slo::SloView> Slo(TenantId tenant, std::string_view id,
                                                        size_t max_groups) const = 0;
  // How budgets went; nothing if there is no such SLO.
  [[nodiscard]] virtual std::optional<std::vector<slo::BudgetHistoryView>> BudgetHistory(
      TenantId /*tenant*/, std::string_view /*id*/, std::optional<Timestamp> /*from*/,
      size_t /*max_groups*/) const {
    return std::nullopt;
  }
  // What an SLO saw and decided then (slo::Explain); nothing if there is no such SLO.
  // kResourceExhausted while a simulation runs.
  virtual Result<std::optional<std::vector<slo::ExplainedGroup>>> Explain(TenantId /*tenant*/,
                                                                          std::string_view /*id*/,
                                                                          Timestamp /*at*/) {
    return std::optional<std::vector<slo::ExplainedGroup>>();
  }
  // Audits that many more slots, and tells what all audits since start came to.
  virtual slo::AuditView Audit(size_t /*slots*/) { return {}; }
  // What these SLOs would have done over what is stored. kResourceExhausted while another one runs.
  virtual Result<slo::SimulationReport> Simulate(const SimulationRequest& /*request*/) {
    return Unavailable("no SLO is evaluated");
  }
  // The ledger of times that do not count. kUnavailable without one.
  [[nodiscard]] virtual Result<std::vector<slo::Exclusion>> Exclusions() const {
    return Unavailable("no SLO is evaluated");
  }
  // NOLINTNEXTLINE(performance-unnecessary-value-param): who overrides it keeps it
  virtual Result<slo::Exclusion> AddExclusion(slo::Exclusion /*exclusion*/) {
    return Unavailable("no SLO is evaluated");
  }
  virtual Status RemoveExclusion(const std::string& /*id*/) {
    return Unavailable("no SLO is evaluated");
  }
};

}  // namespace basalt::http::api
