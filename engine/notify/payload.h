// engine/notify/payload.h -- alerts as the body of Alertmanager's POST /api/v2/alerts.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/base/time.h"
#include "engine/notify/alert.h"

namespace basalt::notify {

// An alert on its way to one receiver.
struct OutgoingAlert {
  Labels labels;  // all of them, relabelled
  const Alert* alert = nullptr;
  // Of a firing alert: when we fall silent, the receiver resolves it then.
  Timestamp firing_until{};
};

// A JSON array.
std::string AlertsJson(std::span<const OutgoingAlert> alerts);

// "2026-11-23T01:02:03.004Z".
std::string FormatRfc3339(Timestamp t);
// Appends `text` quoted; bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);
void AppendJsonObject(const Labels& labels, std::string& out);

}  // namespace basalt::notify
