// engine/slo/slo_builder.h -- the last steps of every loader: from what a file says to a Definition
// that can run, with the mistakes that only show when its parts come together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// All of these report to `checker` and leave the definition as it was on a mistake.

// `text` is a percentage such as "99.9", or, if `is_share`, a share such as "0.999".
void SetObjective(YamlChecker& checker, const Place& at, const std::string& text, bool is_share,
                  Definition& slo);
// One length in [kMinPeriod, kMaxPeriod].
void SetPeriod(YamlChecker& checker, const Place& at, Duration period, Definition& slo);
// A budget that begins when a calendar says so; see Calendar::Make.
void SetCalendar(YamlChecker& checker, const Place& at, const std::string& length,
                 const std::string& start, const std::string& zone, Definition& slo);
// The two queries of an events SLI, each with its place: streamed if they are sums of counters,
// else polled by windows, with a warning that says why.
void SetEvents(YamlChecker& checker, const Place& parent, const Fields& fields,
               const char* error_key, const char* total_key, Definition& slo);
struct PlacedQuery {
  Place at;
  std::string text;
};
void SetEvents(YamlChecker& checker, const PlacedQuery& error, const PlacedQuery& total,
               Definition& slo);
// A ratio; a quotient of two queries, "1 - (good / total)" included, becomes an events SLI.
void SetRatio(YamlChecker& checker, const Place& at, const std::string& query, Definition& slo);
// An SLI that is polled whatever its queries are.
void SetPolled(YamlChecker& checker, const PlacedQuery& bad, const PlacedQuery& total,
               PolledSli sli, Definition& slo);
// Exactly one team owns an SLO: label `owner` or `team`. None is a warning, two are a mistake.
void SetOwner(YamlChecker& checker, const Place& at, Definition& slo);
// Conditions for the objective, windows, warnings about what can never fire; then the definition
// joins checker.out(), unless there were more errors than `errors_before`.
void Finish(YamlChecker& checker, const Place& at, const std::vector<Tier>& tiers,
            int errors_before, Definition slo);

}  // namespace basalt::slo
