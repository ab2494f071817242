// engine/slo/openslo_loader.h -- OpenSLO's `apiVersion: openslo/v1`: SLO, SLI, AlertPolicy,
// AlertCondition, AlertNotificationTarget, Service and DataSource; and SLO of `openslo/v1alpha`, as
// sloth reads it.
#pragma once

#include "engine/slo/load_context.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

void RememberOpenSlo(const YAML::Node& document, const std::string& file, OpenSloObjects& objects);
void CheckOpenSlo(const YAML::Node& document, const LoadContext& context, YamlChecker& checker);
void CheckOpenSloAlpha(const YAML::Node& document, YamlChecker& checker);

}  // namespace basalt::slo
