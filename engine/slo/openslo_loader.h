// engine/slo/openslo_loader.h -- OpenSLO's `apiVersion: openslo/v1`: SLO with ratio metrics, SLI,
// AlertPolicy, AlertCondition, AlertNotificationTarget, Service and DataSource.
//
// Kinds refer to each other by name, so all documents of a load are remembered first (Remember) and
// SLOs are read afterwards.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// By kind and name.
using OpenSloObjects = std::map<std::pair<std::string, std::string>, YAML::Node>;

void RememberOpenSlo(const YAML::Node& document, OpenSloObjects& objects);
void CheckOpenSlo(const YAML::Node& document, const OpenSloObjects& objects, YamlChecker& checker);

}  // namespace basalt::slo
