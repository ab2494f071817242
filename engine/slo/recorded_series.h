// engine/slo/recorded_series.h -- what dashboards of sloth and pyrra look at: the series that their
// recording rules would have written, from an SLO's view.
//
// Ratios are event-weighted over every window, the period's included, where sloth writes the mean
// of 5-minute ratios, unless that is asked for (docs/0005-recorded-series.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/slo/definition.h"
#include "engine/slo/sli_queries.h"
#include "engine/slo/view.h"

namespace basalt::slo {

// What the period's ratio, burn rate and remaining budget are recorded from: bad events / events,
// or, as sloth's "optimized" rules do it, the mean of the shortest window's recorded ratios.
enum class PeriodRatio : uint8_t { kEvents, kSloth };

struct RecordedSample {
  Labels labels;  // __name__ included
  double value = 0;
};

// Labels of what is recorded of a group, or of the SLO itself: sloth's ids, over the user's, over
// the group's.
Labels RecordedLabels(std::string_view id, std::string_view service, std::string_view name,
                      const Labels& user, const Labels& group);
inline Labels RecordedLabels(const Definition& slo, const Labels& group) {
  return RecordedLabels(slo.id, slo.service, slo.name, slo.labels, group);
}

// As of now. Of every SLO: slo:sli_error:ratio_rate<window>, slo:objective:ratio,
// slo:error_budget:ratio, slo:time_period:days, slo:current_burn_rate:ratio,
// slo:period_burn_rate:ratio, slo:period_error_budget_remaining:ratio, sloth_slo_info; ALERTS and
// ALERTS_FOR_STATE of what fires. Of pyrra's also pyrra_objective, pyrra_window,
// pyrra_availability, pyrra_requests:rate5m, pyrra_errors:rate5m and <metric>:burnrate<window>. A
// ratio without events is left out. With kSloth, sloth's series of the period are not among them.
std::vector<RecordedSample> RecordedSeries(const SloView& view,
                                           PeriodRatio period = PeriodRatio::kEvents);

// For kSloth, once the above is stored: the query that sloth's rule for the period's ratio asks,
// and the series that its answer, an element a group, comes to. The query is empty without groups.
std::string SlothPeriodQuery(const SloView& view);
std::vector<RecordedSample> SlothPeriodSeries(const SloView& view,
                                              const std::vector<SliSeries>& answer);

}  // namespace basalt::slo
