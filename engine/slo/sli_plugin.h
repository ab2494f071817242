// engine/slo/sli_plugin.h -- sloth's SLI plugins are Go functions from options to a query, and
// nearly all of them fill in a template. Here a plugin is that template.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"

namespace basalt::slo {

struct SliPlugin {
  std::vector<std::string> required_options;
  std::vector<std::string> required_labels;  // of the SLO
  // With {{.window}} and {{.option}} for each option; an option that is not given is empty. The
  // option `filter` loses braces and outer commas and gets a comma at its end.
  std::string error_ratio_query;
};

using SliPlugins = std::map<std::string, SliPlugin, std::less<>>;  // by id

// Those of sloth's own examples.
SliPlugins BuiltInSliPlugins();

// The plugin's query with these options. kInvalidArgument says which option or label is missing,
// or is no option of the plugin.
Result<std::string> ExpandSliPlugin(const SliPlugin& plugin, const Labels& options,
                                    const Labels& labels);

}  // namespace basalt::slo
