// engine/actionability/webhook_in.h -- what receivers of alerts send back: Alertmanager's webhook
// payload, version 4, which on-call tools pass on when somebody has taken an alert.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"

namespace basalt::actionability {

// Alerts of one message at most.
inline constexpr size_t kMaxWebhookAlerts = 10'000;

// The labels of the alerts that it says fire. kInvalidArgument naming the field.
Result<std::vector<Labels>> FiringInWebhook(std::string_view body);

}  // namespace basalt::actionability
