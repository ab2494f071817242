// engine/slo/pyrra_loader.h -- pyrra's `apiVersion: pyrra.dev/v1alpha1`, kind
// ServiceLevelObjective: ratio and latency indicators, with pyrra's windows, factors and `for`.
#pragma once

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

void CheckPyrraResource(const YAML::Node& document, YamlChecker& checker);

// pyrra's four alerts over a period: 14x and 7x page, 2x and 1x make a ticket. Windows and `for`
// are those of 28 days, scaled and rounded to minutes.
std::vector<Tier> PyrraTiers(Duration period);

}  // namespace basalt::slo
