// engine/notify/webhook.h -- groups of alerts as Alertmanager's webhook payload, version 4.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/base/labels.h"
#include "engine/notify/payload.h"
#include "engine/notify/receivers.h"

namespace basalt::notify {

// The labels that put an alert with `labels` into a group: those of `group_by`, all of them for
// "...".
Labels GroupLabelsOf(const std::vector<std::string>& group_by, const Labels& labels);

// As Alertmanager names a group below its root route: `{}:{alertname="Down", region="eu"}`.
std::string GroupKey(const Labels& group);

// Prometheus' and Alertmanager's 64-bit fingerprint of a label set (FNV-1a), as 16 hex digits: how
// their APIs and payloads name an alert.
std::string AlertmanagerFingerprint(const Labels& labels);

// One message. `alerts` are the group's; beyond webhook.max_alerts they are counted only.
std::string WebhookJson(const Webhook& webhook, const Labels& group,
                        std::span<const OutgoingAlert> alerts, const std::string& external_url);

}  // namespace basalt::notify
