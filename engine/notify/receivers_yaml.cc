#include "engine/notify/receivers_yaml.h"

#include <yaml-cpp/yaml.h>

#include <limits>
#include <set>

#include "engine/notify/target_yaml.h"
#include "engine/notify/yaml_fields.h"
#include "query/promql/durations.h"

namespace basalt::notify {
namespace {

constexpr uint64_t kMaxPort = 65'535;

Result<http::TlsOptions> ReadTls(const YAML::Node& node) {
  using Version = http::TlsOptions::Version;
  http::TlsOptions tls;
  BASALT_TRY(ReadFields(
      node,
      {Into("ca_file", tls.ca_file, YamlText), Into("cert_file", tls.cert_file, YamlText),
       Into("key_file", tls.key_file, YamlText), Into("server_name", tls.server_name, YamlText),
       Into("insecure_skip_verify", tls.insecure_skip_verify, YamlBool),
       Into("min_version", tls.min_version, [](const YAML::Node& n) -> Result<Version> {
         BASALT_TRY_ASSIGN(const std::string text, YamlText(n));
         if (text == "TLS12") return Version::kTls12;
         if (text == "TLS13") return Version::kTls13;
         return InvalidArgument("\"" + text + "\" is neither TLS12 nor TLS13");
       })}));
  if (tls.cert_file.empty() != tls.key_file.empty())
    return InvalidArgument(std::string(tls.cert_file.empty() ? "cert_file" : "key_file") +
                           ": is missing; a certificate needs both");
  return tls;
}

// basic_auth, authorization, bearer_token*, tls_config and timeout: the same everywhere.
void AddHttpFields(HttpSettings& http, std::vector<YamlField>& fields) {
  Credentials& c = http.credentials;
  fields.push_back(
      {"basic_auth", [&c](const YAML::Node& node) -> Status {
         BASALT_TRY(ReadFields(
             node, {Into("username", c.username, YamlText), Into("password", c.password, YamlText),
                    Into("password_file", c.password_file, YamlText)}));
         if (c.username.empty()) return InvalidArgument("username: is missing");
         if (!c.password.empty() && !c.password_file.empty())
           return InvalidArgument("password_file: there is a password, too");
         return OkStatus();
       }});
  fields.push_back(
      {"authorization", [&c](const YAML::Node& node) -> Status {
         BASALT_TRY(ReadFields(
             node, {Into("type", c.type, YamlText), Into("credentials", c.credentials, YamlText),
                    Into("credentials_file", c.credentials_file, YamlText)}));
         if (c.type == "Basic" || c.type == "basic")
           return InvalidArgument("type: write basic_auth for Basic");
         return OkStatus();
       }});
  // How Prometheus wrote it before `authorization`.
  fields.push_back(Into("bearer_token", c.credentials, YamlText));
  fields.push_back(Into("bearer_token_file", c.credentials_file, YamlText));
  fields.push_back(Into("tls_config", http.tls, ReadTls));
  fields.push_back(Into("timeout", http.timeout, YamlDuration));
}

Status CheckHttp(const HttpSettings& http) {
  const Credentials& c = http.credentials;
  const bool basic = !c.username.empty();
  if (basic && (!c.credentials.empty() || !c.credentials_file.empty()))
    return InvalidArgument("authorization: there is basic_auth, too");
  if (!c.credentials.empty() && !c.credentials_file.empty())
    return InvalidArgument("credentials_file: there are credentials, too");
  return OkStatus();
}

Result<DnsDiscovery> ReadDns(const YAML::Node& node) {
  DnsDiscovery dns;
  BASALT_TRY(ReadFields(node, {Into("names", dns.names, YamlTexts),
                               Into("refresh_interval", dns.refresh, YamlDuration),
                               Into("type", dns.type,
                                    [](const YAML::Node& n) -> Result<DnsType> {
                                      BASALT_TRY_ASSIGN(const std::string text, YamlText(n));
                                      if (text == "A") return DnsType::kA;
                                      if (text == "AAAA") return DnsType::kAaaa;
                                      if (text == "SRV") return DnsType::kSrv;
                                      return InvalidArgument("\"" + text +
                                                             "\" is none of A, AAAA, SRV");
                                    }),
                               Into("port", dns.port, [](const YAML::Node& n) -> Result<uint16_t> {
                                 BASALT_TRY_ASSIGN(const uint64_t port, YamlWhole(n, kMaxPort));
                                 return static_cast<uint16_t>(port);
                               })}));
  if (dns.names.empty()) return InvalidArgument("names: is missing");
  if (dns.type != DnsType::kSrv && dns.port == 0)
    return InvalidArgument("port: is missing; only SRV records bring one");
  return dns;
}

Result<FileDiscovery> ReadFiles(const YAML::Node& node) {
  FileDiscovery files;
  Duration refresh{};  // upstream's; files are looked at every second here
  BASALT_TRY(ReadFields(node, {Into("files", files.files, YamlTexts),
                               Into("refresh_interval", refresh, YamlDuration)}));
  if (files.files.empty()) return InvalidArgument("files: is missing");
  for (const std::string& path : files.files) {
    const bool known = path.ends_with(".json") || path.ends_with(".yml") || path.ends_with(".yaml");
    const size_t slash = path.rfind('/');
    if (!known || (slash != std::string::npos && path.find_first_of("*?[") < slash)) {
      return InvalidArgument("files: \"" + path +
                             "\" does not end in .json, .yml or .yaml, or has a pattern before its "
                             "last part");
    }
  }
  return files;
}

template <typename T, typename Read>
auto ListOf(Read read) {
  return [read](const YAML::Node& node) -> Result<std::vector<T>> {
    std::vector<T> out;
    BASALT_TRY(ForEachItem(node, [&](const YAML::Node& item) -> Status {
      auto one = read(item);
      if (!one.ok()) return one.status();
      out.push_back(*std::move(one));
      return OkStatus();
    }));
    return out;
  };
}

Result<TargetGroup> ReadTargetGroup(const YAML::Node& node) {
  TargetGroup group;
  BASALT_TRY(ReadFields(
      node, {Into("targets", group.targets, YamlTexts), Into("labels", group.labels, YamlLabels)}));
  for (const std::string& target : group.targets) {
    if (target.empty() || target.find('/') != std::string::npos)
      return InvalidArgument("targets: \"" + target + "\" is no address of the form host:port");
  }
  return group;
}

Result<RelabelRule> ReadRelabelRule(const YAML::Node& node) {
  RelabelSpec spec;
  BASALT_TRY(ReadFields(
      node,
      {Into("source_labels", spec.source_labels, YamlTexts),
       Into("separator", spec.separator, YamlText), Into("regex", spec.regex, YamlText),
       Into("modulus", spec.modulus,
            [](const YAML::Node& n) { return YamlWhole(n, std::numeric_limits<uint64_t>::max()); }),
       Into("target_label", spec.target_label, YamlText),
       Into("replacement", spec.replacement, YamlText),
       Into("action", spec.action, [](const YAML::Node& n) -> Result<RelabelAction> {
         BASALT_TRY_ASSIGN(const std::string text, YamlText(n));
         return ParseRelabelAction(text);
       })}));
  return RelabelRule::Make(std::move(spec));
}

Result<AlertmanagerSet> ReadAlertmanager(const YAML::Node& node) {
  if (node.IsScalar()) return AlertmanagerAt(node.Scalar());
  AlertmanagerSet set;
  std::string api_version;
  std::vector<YamlField> fields = {
      Into("scheme", set.scheme, YamlText),
      Into("path_prefix", set.path_prefix, YamlText),
      Into("api_version", api_version, YamlText),
      Into("static_configs", set.targets, ListOf<TargetGroup>(ReadTargetGroup)),
      Into("dns_sd_configs", set.dns, ListOf<DnsDiscovery>(ReadDns)),
      Into("file_sd_configs", set.files, ListOf<FileDiscovery>(ReadFiles)),
      Into("relabel_configs", set.relabel, ReadRelabelRules),
      Into("alert_relabel_configs", set.alert_relabel, ReadRelabelRules)};
  AddHttpFields(set.http, fields);
  BASALT_TRY(ReadFields(node, fields));
  BASALT_TRY(CheckHttp(set.http));
  if (set.scheme != "http" && set.scheme != "https")
    return InvalidArgument("scheme: \"" + set.scheme + "\" is neither http nor https");
  if (!api_version.empty() && api_version != "v2")
    return InvalidArgument("api_version: \"" + api_version + "\"; Alertmanager's is v2");
  while (set.path_prefix.ends_with('/')) set.path_prefix.pop_back();
  if (!set.path_prefix.empty() && !set.path_prefix.starts_with('/'))
    set.path_prefix.insert(0, 1, '/');
  if (set.targets.empty() && set.dns.empty() && set.files.empty())
    return InvalidArgument(
        "static_configs: is missing, and so are dns_sd_configs and file_sd_configs");
  return set;
}

Result<Webhook> ReadWebhook(const YAML::Node& node) {
  Webhook webhook;
  std::vector<YamlField> fields = {
      Into("name", webhook.name, YamlText),
      Into("url", webhook.url, YamlText),
      Into("send_resolved", webhook.send_resolved, YamlBool),
      Into("max_alerts", webhook.max_alerts,
           [](const YAML::Node& n) -> Result<size_t> {
             BASALT_TRY_ASSIGN(const uint64_t n_alerts, YamlWhole(n, 1'000'000));
             return static_cast<size_t>(n_alerts);
           }),
      Into("group_by", webhook.group_by, YamlTexts),
      Into("repeat_interval", webhook.repeat, YamlDuration),
      Into("alert_relabel_configs", webhook.alert_relabel, ReadRelabelRules)};
  AddHttpFields(webhook.http, fields);
  BASALT_TRY(ReadFields(node, fields));
  BASALT_TRY(CheckHttp(webhook.http));
  if (webhook.name.empty()) return InvalidArgument("name: is missing");
  if (webhook.url.empty()) return InvalidArgument("url: is missing");
  if (const Result<http::Url> url = http::ParseUrl(webhook.url); !url.ok())
    return url.status().WithContext("url");
  return webhook;
}

// --- Showing.

void Show(const std::string& name, const std::string& text, std::string& out) {
  if (text.empty()) return;
  if (!out.ends_with('{')) out += ", ";
  out += name + ": ";
  AppendQuoted(text, out);
}
void ShowRaw(const std::string& name, const std::string& yaml, std::string& out) {
  if (!out.ends_with('{')) out += ", ";
  out += name + ": " + yaml;
}
void ShowSecret(const std::string& name, const std::string& secret, std::string& out) {
  if (!secret.empty()) Show(name, "<secret>", out);
}
std::string ShowTexts(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ", ";
    AppendQuoted(text, out);
  }
  return out + "]";
}
template <typename T, typename ShowOne>
std::string ShowList(const std::vector<T>& items, ShowOne show) {
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? ", " : "") + show(item);
  return out + "]";
}

void ShowHttp(const HttpSettings& http, std::string& out) {
  const HttpSettings defaults;
  const Credentials& c = http.credentials;
  if (!c.username.empty()) {
    std::string auth = "{";
    Show("username", c.username, auth);
    ShowSecret("password", c.password, auth);
    Show("password_file", c.password_file, auth);
    ShowRaw("basic_auth", auth + "}", out);
  }
  if (!c.credentials.empty() || !c.credentials_file.empty()) {
    std::string auth = "{";
    Show("type", c.type, auth);
    ShowSecret("credentials", c.credentials, auth);
    Show("credentials_file", c.credentials_file, auth);
    ShowRaw("authorization", auth + "}", out);
  }
  if (http.tls != defaults.tls) {
    std::string tls = "{";
    Show("ca_file", http.tls.ca_file, tls);
    Show("cert_file", http.tls.cert_file, tls);
    Show("key_file", http.tls.key_file, tls);
    Show("server_name", http.tls.server_name, tls);
    if (http.tls.insecure_skip_verify) ShowRaw("insecure_skip_verify", "true", tls);
    if (http.tls.min_version == http::TlsOptions::Version::kTls13)
      ShowRaw("min_version", "TLS13", tls);
    ShowRaw("tls_config", tls + "}", out);
  }
  if (http.timeout != defaults.timeout)
    ShowRaw("timeout", promql::FormatDuration(http.timeout), out);
}

std::string ShowTargetGroup(const TargetGroup& group) {
  std::string out = "{";
  ShowRaw("targets", ShowTexts(group.targets), out);
  if (!group.labels.empty()) ShowRaw("labels", ShowLabels(group.labels), out);
  return out + "}";
}

std::string ShowDns(const DnsDiscovery& dns) {
  std::string out = "{";
  ShowRaw("names", ShowTexts(dns.names), out);
  ShowRaw("type", dns.type == DnsType::kA ? "A" : dns.type == DnsType::kAaaa ? "AAAA" : "SRV", out);
  if (dns.port != 0) ShowRaw("port", std::to_string(dns.port), out);
  ShowRaw("refresh_interval", promql::FormatDuration(dns.refresh), out);
  return out + "}";
}

std::string ShowRelabelRule(const RelabelRule& rule) {
  const RelabelSpec defaults;
  const RelabelSpec& spec = rule.spec();
  std::string out = "{";
  if (!spec.source_labels.empty()) ShowRaw("source_labels", ShowTexts(spec.source_labels), out);
  const auto text = [&](const char* name, const std::string& value, const std::string& usual) {
    if (value == usual) return;
    std::string quoted;
    AppendQuoted(value, quoted);
    ShowRaw(name, quoted, out);
  };
  text("separator", spec.separator, defaults.separator);
  text("regex", spec.regex, defaults.regex);
  if (spec.modulus != 0) ShowRaw("modulus", std::to_string(spec.modulus), out);
  text("target_label", spec.target_label, "");
  text("replacement", spec.replacement, defaults.replacement);
  ShowRaw("action", std::string(RelabelActionName(spec.action)), out);
  return out + "}";
}

std::string ShowAlertmanager(const AlertmanagerSet& set) {
  std::string out = "{";
  ShowRaw("scheme", set.scheme, out);
  Show("path_prefix", set.path_prefix, out);
  ShowHttp(set.http, out);
  if (!set.targets.empty()) ShowRaw("static_configs", ShowList(set.targets, ShowTargetGroup), out);
  if (!set.dns.empty()) ShowRaw("dns_sd_configs", ShowList(set.dns, ShowDns), out);
  if (!set.files.empty()) {
    ShowRaw("file_sd_configs",
            ShowList(set.files,
                     [](const FileDiscovery& f) { return "{files: " + ShowTexts(f.files) + "}"; }),
            out);
  }
  if (!set.relabel.empty()) ShowRaw("relabel_configs", ShowRelabelRules(set.relabel), out);
  if (!set.alert_relabel.empty())
    ShowRaw("alert_relabel_configs", ShowRelabelRules(set.alert_relabel), out);
  return out + "}";
}

std::string ShowWebhook(const Webhook& webhook) {
  const Webhook defaults;
  std::string out = "{";
  Show("name", webhook.name, out);
  Show("url", webhook.url, out);
  if (!webhook.send_resolved) ShowRaw("send_resolved", "false", out);
  if (webhook.max_alerts != 0) ShowRaw("max_alerts", std::to_string(webhook.max_alerts), out);
  ShowRaw("group_by", ShowTexts(webhook.group_by), out);
  if (webhook.repeat != defaults.repeat)
    ShowRaw("repeat_interval", promql::FormatDuration(webhook.repeat), out);
  ShowHttp(webhook.http, out);
  if (!webhook.alert_relabel.empty())
    ShowRaw("alert_relabel_configs", ShowRelabelRules(webhook.alert_relabel), out);
  return out + "}";
}

}  // namespace

Result<std::vector<TargetGroup>> ReadTargetGroups(const YAML::Node& node) {
  return ListOf<TargetGroup>(ReadTargetGroup)(node);
}

Result<RelabelRules> ReadRelabelRules(const YAML::Node& node) {
  return ListOf<RelabelRule>(ReadRelabelRule)(node);
}

Result<std::vector<AlertmanagerSet>> ReadAlertmanagers(const YAML::Node& node) {
  return ListOf<AlertmanagerSet>(ReadAlertmanager)(node);
}

Result<std::vector<Webhook>> ReadWebhooks(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(std::vector<Webhook> webhooks, ListOf<Webhook>(ReadWebhook)(node));
  std::set<std::string> names;
  for (size_t i = 0; i < webhooks.size(); ++i) {
    if (!names.insert(webhooks[i].name).second)
      return InvalidArgument("[" + std::to_string(i) + "]: name: \"" + webhooks[i].name +
                             "\" is there twice");
  }
  return webhooks;
}

Result<AlertmanagerSet> AlertmanagerAt(const std::string& url) {
  BASALT_TRY_ASSIGN(const http::Url parsed, http::ParseUrl(url));
  AlertmanagerSet set;
  set.scheme = parsed.tls ? "https" : "http";
  set.path_prefix = parsed.prefix;
  const bool is_v6 = parsed.host.find(':') != std::string::npos;
  set.targets.push_back(
      {{(is_v6 ? "[" + parsed.host + "]" : parsed.host) + ":" + parsed.port}, Labels()});
  return set;
}

std::string ShowAlertmanagers(const std::vector<AlertmanagerSet>& sets) {
  return ShowList(sets, ShowAlertmanager);
}
std::string ShowWebhooks(const std::vector<Webhook>& webhooks) {
  return ShowList(webhooks, ShowWebhook);
}
std::string ShowRelabelRules(const RelabelRules& rules) { return ShowList(rules, ShowRelabelRule); }

std::string ShowLabels(const Labels& labels) {
  std::string out = "{";
  for (const Label& label : labels) {
    if (out.size() > 1) out += ", ";
    AppendQuoted(label.name, out);
    out += ": ";
    AppendQuoted(label.value, out);
  }
  return out + "}";
}

std::vector<std::string> Warnings(const Receivers& receivers) {
  std::vector<std::string> warnings;
  const auto look = [&](const std::string& who, const HttpSettings& http, bool secure) {
    if (http.tls.insecure_skip_verify)
      warnings.push_back(who +
                         ": insecure_skip_verify: any certificate is believed, so whoever "
                         "sits in between can read and change alerts and credentials");
    const Credentials& c = http.credentials;
    const bool has_secret =
        !c.username.empty() || !c.credentials.empty() || !c.credentials_file.empty();
    if (has_secret && !secure)
      warnings.push_back(who + ": credentials go over http, readable by whoever sits in between");
  };
  for (size_t i = 0; i < receivers.alertmanagers.size(); ++i) {
    const AlertmanagerSet& set = receivers.alertmanagers[i];
    look("alerting.alertmanagers[" + std::to_string(i) + "]", set.http, set.scheme == "https");
  }
  for (const Webhook& webhook : receivers.webhooks)
    look("alerting.webhooks \"" + webhook.name + "\"", webhook.http,
         webhook.url.starts_with("https://"));
  return warnings;
}

}  // namespace basalt::notify
