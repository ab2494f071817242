// engine/notify/receivers.h -- who gets alerts, as the configuration says it. Prometheus' names and
// meanings; read from YAML by receivers_yaml.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/http/client.h"
#include "engine/notify/relabel.h"

namespace basalt::notify {

// What goes into the Authorization header. Files are read again with each request.
struct Credentials {
  // basic_auth; an empty name means none.
  std::string username;
  std::string password;
  std::string password_file;
  // authorization: "<type> <credentials>".
  std::string type = "Bearer";
  std::string credentials;
  std::string credentials_file;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};
// The header's value; empty without credentials. kUnavailable if a file cannot be read: sending
// without it would only be refused.
Result<std::string> AuthorizationHeader(const Credentials& credentials);

struct HttpSettings {
  Credentials credentials;
  http::TlsOptions tls;
  Duration timeout = std::chrono::seconds(10);  // of one request
};

// static_configs: addresses "host:port" with labels.
struct TargetGroup {
  std::vector<std::string> targets;
  Labels labels;
};

enum class DnsType : uint8_t { kA, kAaaa, kSrv };
struct DnsDiscovery {
  std::vector<std::string> names;
  DnsType type = DnsType::kSrv;
  uint16_t port = 0;  // not for SRV, whose answers have one
  Duration refresh = std::chrono::seconds(30);
};

// Prometheus' file_sd: JSON or YAML lists of {targets, labels}; the last part of a path may be a
// pattern such as "am-*.yml".
struct FileDiscovery {
  std::vector<std::string> files;
};

// One entry of alerting.alertmanagers.
struct AlertmanagerSet {
  std::string scheme = "http";
  std::string path_prefix;  // "" or "/am"
  HttpSettings http;
  std::vector<TargetGroup> targets;
  std::vector<DnsDiscovery> dns;
  std::vector<FileDiscovery> files;
  RelabelRules relabel;        // of the targets: __address__, __scheme__, __alerts_path__
  RelabelRules alert_relabel;  // of the alerts, after the one for all
};
// "http://host:9093/prefix" as an entry with one target. kInvalidArgument.
Result<AlertmanagerSet> AlertmanagerAt(const std::string& url);

// One entry of alerting.webhooks: sent what Alertmanager sends, groups of alerts in its payload
// version 4, for sites that run no Alertmanager.
struct Webhook {
  std::string name;
  std::string url;
  HttpSettings http;
  bool send_resolved = true;
  size_t max_alerts = 0;  // of one message; the rest is counted in truncatedAlerts. 0: all
  std::vector<std::string> group_by = {"alertname"};  // "..." groups by all labels
  Duration repeat = std::chrono::hours(4);            // while something of a group fires
  RelabelRules alert_relabel;
};

// Everything that a reload may change.
struct Receivers {
  std::vector<AlertmanagerSet> alertmanagers;
  std::vector<Webhook> webhooks;
  Labels external_labels;      // set on every alert that does not have them
  RelabelRules alert_relabel;  // then these rules; a dropped alert goes to nobody
  Duration resend = std::chrono::minutes(1);
  // How far ahead the endsAt of a firing page lies at least: for so long its receivers keep it when
  // Basalt is dead. 4 x resend without.
  Duration page_ends_after{0};
};

// Addresses found by one entry are at most so many; more are left out and said.
inline constexpr size_t kMaxEndpoints = 64;

}  // namespace basalt::notify
