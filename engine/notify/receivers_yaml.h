// engine/notify/receivers_yaml.h -- the configuration's `alerting` entries: read with an error that
// names the field, and shown again without their secrets.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/notify/receivers.h"

namespace YAML {
class Node;
}

namespace basalt::notify {

// alerting.alertmanagers: URLs, or maps as Prometheus' alertmanager_config. kInvalidArgument:
// "[0]: tls_config: key_file: ...".
Result<std::vector<AlertmanagerSet>> ReadAlertmanagers(const YAML::Node& node);
// alerting.webhooks. Names are unique.
Result<std::vector<Webhook>> ReadWebhooks(const YAML::Node& node);
// relabel_configs, alert_relabel_configs.
Result<RelabelRules> ReadRelabelRules(const YAML::Node& node);

// The same as one line of YAML that reads back to the same, but for secrets, which are shown as
// "<secret>".
std::string ShowAlertmanagers(const std::vector<AlertmanagerSet>& sets);
std::string ShowWebhooks(const std::vector<Webhook>& webhooks);
std::string ShowRelabelRules(const RelabelRules& rules);
std::string ShowLabels(const Labels& labels);

// What an operator should be told of settings that are allowed and unwise, such as
// insecure_skip_verify.
std::vector<std::string> Warnings(const Receivers& receivers);

}  // namespace basalt::notify
