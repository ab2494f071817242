// engine/slo/sloth_loader.h -- sloth's formats and Basalt's own, which is sloth's with more to say
// (docs/format.md).
#pragma once

#include <vector>

#include "engine/slo/load_context.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// `version: prometheus/v1` and `version: basalt/v1`.
bool IsSlothDocument(const YAML::Node& document);
void CheckSlothDocument(const YAML::Node& document, const LoadContext& context,
                        YamlChecker& checker);

// `apiVersion: sloth.slok.dev/v1`, kind PrometheusServiceLevel.
void CheckSlothResource(const YAML::Node& document, const LoadContext& context,
                        YamlChecker& checker);

// Kind AlertWindows of the same API: remembered.
void RememberAlertWindows(const YAML::Node& document, YamlChecker& checker, LoadContext& context);
// `apiVersion: basalt/v1`, kind SliPlugin: remembered.
void RememberSliPlugin(const YAML::Node& document, YamlChecker& checker, LoadContext& context);

}  // namespace basalt::slo
