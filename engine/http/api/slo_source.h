// engine/http/api/slo_source.h -- what /api/v1/slo shows. Whoever evaluates SLOs implements it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/slo/view.h"

namespace basalt::http::api {

// Thread-safe. `max_groups` bounds the groups of one SLO that are shown, firing ones first.
class SloSource {
 public:
  virtual ~SloSource() = default;
  [[nodiscard]] virtual std::vector<slo::SloView> Slos(TenantId tenant,
                                                       size_t max_groups) const = 0;
  [[nodiscard]] virtual std::optional<slo::SloView> Slo(TenantId tenant, std::string_view id,
                                                        size_t max_groups) const = 0;
};

}  // namespace basalt::http::api
