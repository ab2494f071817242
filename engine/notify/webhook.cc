#include "engine/notify/webhook.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace basalt::notify {
namespace {

// What all of them have, with the same value.
template <typename LabelsOf>
Labels Common(std::span<const OutgoingAlert> alerts, LabelsOf labels_of) {
  Labels common;
  if (alerts.empty()) return common;
  for (const Label& label : labels_of(alerts.front())) {
    const bool everywhere = std::all_of(alerts.begin(), alerts.end(), [&](const auto& alert) {
      return labels_of(alert).Get(label.name) == label.value;
    });
    if (everywhere) common.Set(label.name, label.value);
  }
  return common;
}

void AppendAlert(const OutgoingAlert& one, std::string& out) {
  const Alert& alert = *one.alert;
  out +=
      std::string("{\"status\":\"") + (alert.resolved() ? "resolved" : "firing") + "\",\"labels\":";
  AppendJsonObject(one.labels, out);
  out += ",\"annotations\":";
  AppendJsonObject(alert.annotations, out);
  // Go's zero time says that it has not ended.
  out += ",\"startsAt\":\"" + FormatRfc3339(alert.starts_at) + "\",\"endsAt\":\"" +
         (alert.resolved() ? FormatRfc3339(*alert.ends_at) : "0001-01-01T00:00:00Z") +
         "\",\"generatorURL\":";
  AppendJsonString(alert.generator_url, out);
  out += ",\"fingerprint\":\"" + AlertmanagerFingerprint(one.labels) + "\"}";
}

}  // namespace

Labels GroupLabelsOf(const std::vector<std::string>& group_by, const Labels& labels) {
  Labels group;
  for (const std::string& name : group_by) {
    if (name == "...") return labels;
    group.Set(name, labels.Get(name));
  }
  return group;
}

std::string GroupKey(const Labels& group) {
  std::string out = "{}:{";
  bool first = true;
  for (const Label& label : group) {
    if (!first) out += ", ";
    first = false;
    out += label.name + "=";
    AppendQuoted(label.value, out);
  }
  return out + "}";
}

std::string AlertmanagerFingerprint(const Labels& labels) {
  constexpr uint64_t kOffset = 14'695'981'039'346'656'037U;
  constexpr uint64_t kPrime = 1'099'511'628'211U;
  uint64_t hash = kOffset;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * kPrime; };
  for (const Label& label : labels) {
    for (const char c : label.name) add(static_cast<unsigned char>(c));
    add(0xFF);
    for (const char c : label.value) add(static_cast<unsigned char>(c));
    add(0xFF);
  }
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

std::string WebhookJson(const Webhook& webhook, const Labels& group,
                        std::span<const OutgoingAlert> alerts, const std::string& external_url) {
  const size_t shown =
      webhook.max_alerts == 0 ? alerts.size() : std::min(webhook.max_alerts, alerts.size());
  const bool firing = std::any_of(alerts.begin(), alerts.end(),
                                  [](const OutgoingAlert& one) { return !one.alert->resolved(); });
  std::string out = "{\"receiver\":";
  AppendJsonString(webhook.name, out);
  out += std::string(",\"status\":\"") + (firing ? "firing" : "resolved") + "\",\"alerts\":[";
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += ',';
    AppendAlert(alerts[i], out);
  }
  out += "],\"groupLabels\":";
  AppendJsonObject(group, out);
  out += ",\"commonLabels\":";
  AppendJsonObject(
      Common(alerts, [](const OutgoingAlert& one) -> const Labels& { return one.labels; }), out);
  out += ",\"commonAnnotations\":";
  AppendJsonObject(
      Common(alerts,
             [](const OutgoingAlert& one) -> const Labels& { return one.alert->annotations; }),
      out);
  out += ",\"externalURL\":";
  AppendJsonString(external_url, out);
  out += ",\"version\":\"4\",\"groupKey\":";
  AppendJsonString(GroupKey(group), out);
  out += ",\"truncatedAlerts\":" + std::to_string(alerts.size() - shown) + "}";
  return out;
}

}  // namespace basalt::notify
