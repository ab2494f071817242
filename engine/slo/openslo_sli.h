// engine/slo/openslo_sli.h -- what OpenSLO's SLIs measure under each of its budgeting methods.
#pragma once

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

enum class OpenSloMethod : uint8_t { kOccurrences, kTimeslices, kRatioTimeslices };

// `budgetingMethod` of an SLO's spec.
OpenSloMethod MethodOf(YamlChecker& checker, const Place& at, const Fields& spec);

// The SLI of one objective: `indicator` is the SLI's spec, `objective` holds op, value,
// timeSliceTarget and timeSliceWindow.
void SetOpenSloSli(YamlChecker& checker, const Place& indicator, const Place& at,
                   const Fields& objective, OpenSloMethod method, Definition& slo);

}  // namespace basalt::slo
