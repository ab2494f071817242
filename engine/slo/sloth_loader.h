// engine/slo/sloth_loader.h -- sloth's formats and Basalt's own, which is sloth's with more to say
// (docs/format.md).
#pragma once

#include <vector>

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// `version: prometheus/v1` and `version: basalt/v1`.
bool IsSlothDocument(const YAML::Node& document);
void CheckSlothDocument(const YAML::Node& document, YamlChecker& checker);

// `apiVersion: sloth.slok.dev/v1`, kind PrometheusServiceLevel.
void CheckSlothResource(const YAML::Node& document, YamlChecker& checker);

}  // namespace basalt::slo
