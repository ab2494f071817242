#include "engine/slo/sloth_plugins.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace basalt::slo {
namespace {

constexpr std::string_view kPrefix = "sloth.dev/";

// The map under a plugin's `config`; empty without.
Fields Config(YamlChecker& yaml, const Fields& plugin, std::initializer_list<const char*> keys) {
  const auto it = plugin.find("config");
  if (it == plugin.end() || it->second.node.IsNull()) return {};
  return yaml.FieldsOf(it->second, keys);
}

void InfoLabels(YamlChecker& yaml, const Fields& plugin, Definition& slo) {
  const Fields config = Config(yaml, plugin, {"labels", "metricName"});
  if (config.contains("metricName")) {
    yaml.Warn(config.at("metricName"), "is not used: the labels go to sloth_slo_info");
  }
  slo.info_labels = Merge(slo.info_labels, yaml.StringMap(config, "labels", false));
}

// False: the id is not known.
bool Apply(YamlChecker& yaml, const Place& at, std::string_view name, const Fields& plugin,
           Definition& slo) {
  for (const char* core :
       {"core/debug/v1", "core/noop/v1", "core/validate/v1", "core/sli_rules/v1",
        "core/metadata_rules/v1", "core/alert_rules/v1", "contrib/validate_victoria_metrics/v1"}) {
    if (name == core) return true;  // what they do happens anyway, or is about files of rules
  }
  if (name == "contrib/info_labels/v1") {
    InfoLabels(yaml, plugin, slo);
  } else if (name == "contrib/denominator_corrected_rules/v1") {
    slo.against_period = true;
  } else if (name == "contrib/rule_intervals/v1") {
    yaml.Warn(at, "changes nothing: SLOs are decided as samples arrive, not at intervals");
  } else if (name == "contrib/remove_labels/v1") {
    yaml.Warn(at, "changes nothing: recorded series have the labels of sloth alone");
  } else {
    return false;
  }
  return true;
}

}  // namespace

void ApplySloPlugins(YamlChecker& yaml, const Fields& fields, const char* key, Definition& slo) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return;
  const Fields own = yaml.FieldsOf(it->second, {"overridePrevious", "override_previous", "chain"});
  bool makes_alerts = false;
  const std::vector<Place> chain = yaml.ListOf(own, "chain");
  for (const Place& at : chain) {
    const Fields plugin = yaml.FieldsOf(at, {"id", "config", "priority"});
    const std::string id = yaml.RequiredText(at, plugin, "id");
    if (id.empty()) continue;
    std::string_view name = id;
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    makes_alerts |= name == "core/alert_rules/v1";
    if (!Apply(yaml, at, name, plugin, slo)) {
      yaml.Error(plugin.at("id"), "\"" + id +
                                      "\" is Go code that cannot run here: remove it, or write "
                                      "what it does into the SLO");
    }
  }
  const bool overrides =
      yaml.Flag(own, "overridePrevious", false) || yaml.Flag(own, "override_previous", false);
  if (overrides && !makes_alerts) {
    yaml.Warn(it->second, "overrides sloth's own plugins without core/alert_rules: no alerts");
    for (AlertSpec& alert : slo.alerts) alert.enabled = false;
  }
}

}  // namespace basalt::slo
