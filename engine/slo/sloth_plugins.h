// engine/slo/sloth_plugins.h -- sloth's SLO plugins, as far as what they do has a meaning here.
//
// At home a plugin is Go code that changes the generated rules. Those that sloth ships are known by
// id; any other is refused.
#pragma once

#include "engine/slo/yaml_checker.h"

namespace basalt::slo {

// Applies a chain (`slo_plugins`, `sloPlugins` of a service, `plugins` of an SLO) to the SLO.
// `chain`: the field's place; absent or null means none.
void ApplySloPlugins(YamlChecker& checker, const Fields& fields, const char* key, Definition& slo);

}  // namespace basalt::slo
