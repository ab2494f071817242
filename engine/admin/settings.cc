// The list of all settings.
#include <array>

#include "engine/admin/setting.h"
#include "engine/base/labels.h"
#include "engine/notify/receivers_yaml.h"
#include "engine/notify/yaml_fields.h"
#include "query/promql/durations.h"

namespace basalt::admin {
namespace {

// By their numbers.
constexpr std::array<std::pair<ingest::OverloadStatus, std::string_view>, 3> kOverloadNames = {
    {{ingest::OverloadStatus::kBySender, "auto"},
     {ingest::OverloadStatus::k429, "429"},
     {ingest::OverloadStatus::k503, "503"}}};

std::string ShowDuration(Duration d) { return promql::FormatDuration(d); }

std::string ShowList(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) {
    if (out.size() > 1) out += ", ";
    AppendQuoted(item, out);
  }
  return out + "]";
}

// `at` finds the field of a Config; `parse` makes its value from YAML.
template <typename At, typename Parse, typename Show>
Setting Make(std::string key, std::string help, bool reloadable, At at, Parse parse, Show show) {
  return {std::move(key), std::move(help), reloadable,
          [at, parse](const YAML::Node& node, Config& config) {
            auto value = parse(node);
            if (!value.ok()) return value.status();
            at(config) = *std::move(value);
            return OkStatus();
          },
          [at, show](const Config& config) { return show(at(const_cast<Config&>(config))); }};
}

template <typename At>
Setting Text(std::string key, std::string help, At at, bool reloadable = false) {
  return Make(std::move(key), std::move(help), reloadable, at, Scalar,
              [](const std::string& s) { return s; });
}
template <typename At>
Setting TimeSetting(std::string key, std::string help, At at, bool reloadable = false) {
  return Make(std::move(key), std::move(help), reloadable, at, Time, ShowDuration);
}
template <typename At>
Setting BytesSetting(std::string key, std::string help, At at, bool reloadable = false) {
  return Make(std::move(key), std::move(help), reloadable, at, Bytes, FormatBytes);
}
template <typename T, typename At>
Setting NumberSetting(std::string key, std::string help, At at, bool reloadable = false) {
  return Make(std::move(key), std::move(help), reloadable, at, Number<T>,
              [](T v) { return std::to_string(v); });
}
template <typename At>
Setting Flag(std::string key, std::string help, At at) {
  return Make(std::move(key), std::move(help), false, at, Boolean,
              [](bool v) { return std::string(v ? "true" : "false"); });
}
template <typename At>
Setting List(std::string key, std::string help, At at, bool reloadable = false) {
  return Make(std::move(key), std::move(help), reloadable, at, Strings, ShowList);
}

Result<storage::SyncMode> Sync(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "always") return storage::SyncMode::kAlways;
  if (text == "interval") return storage::SyncMode::kInterval;
  return InvalidArgument("\"" + text + "\" is neither always nor interval");
}

Result<ingest::UnsortedLabels> Unsorted(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "reject") return ingest::UnsortedLabels::kReject;
  if (text == "sort") return ingest::UnsortedLabels::kSort;
  return InvalidArgument("\"" + text + "\" is neither reject nor sort");
}

Result<ingest::OverloadStatus> Overload(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  for (const auto& [status, name] : kOverloadNames) {
    if (text == name) return status;
  }
  return InvalidArgument("\"" + text + "\" is not one of auto, 429, 503");
}

Result<log::Level> LogLevel(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return log::ParseLevel(text);
}

Result<log::Format> LogFormat(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return log::ParseFormat(text);
}

Result<bool> SlothPeriodRatio(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "events" || text == "sloth") return text == "sloth";
  return InvalidArgument("must be events or sloth");
}

void AddServerSettings(std::vector<Setting>& out) {
  out.push_back(Text("http.listen", "Address of the HTTP server; port 0 picks a free one.",
                     [](Config& c) -> auto& { return c.http.listen; }));
  out.push_back(Text("http.path_prefix", "Serve everything below this path, as behind a proxy.",
                     [](Config& c) -> auto& { return c.http.path_prefix; }));
  out.push_back(Text("http.cors_origin", "Origin that browsers may call from; empty forbids it.",
                     [](Config& c) -> auto& { return c.http.cors_origin; }));
  out.push_back(Flag("http.admin_api",
                     "Answer /api/v1/admin/tsdb/*, which deletes data. Mind http.cors_origin.",
                     [](Config& c) -> auto& { return c.http.admin_api; }));
  out.push_back(NumberSetting<size_t>("http.max_connections",
                                      "Connections beyond this are answered 503.",
                                      [](Config& c) -> auto& { return c.http.max_connections; }));
  out.push_back(Flag("grpc.enabled", "Serve basalt.v1.Ingest.",
                     [](Config& c) -> auto& { return c.grpc.enabled; }));
  out.push_back(Text("grpc.listen", "Address of the gRPC server; port 0 picks a free one.",
                     [](Config& c) -> auto& { return c.grpc.listen; }));
  out.push_back(Make(
      "log.level", "debug, info, warn or error.", true,
      [](Config& c) -> auto& { return c.log.level; }, LogLevel,
      [](log::Level v) { return std::string(log::LevelName(v)); }));
  out.push_back(Make(
      "log.format", "logfmt or json.", true, [](Config& c) -> auto& { return c.log.format; },
      LogFormat,
      [](log::Format v) { return std::string(v == log::Format::kJson ? "json" : "logfmt"); }));
  out.push_back(TimeSetting("self.interval",
                            "How often Basalt stores its own metrics; 0s turns it off.",
                            [](Config& c) -> auto& { return c.self.interval; }));
  out.push_back(Flag("self.slo", "Keep an SLO on Basalt itself.",
                     [](Config& c) -> auto& { return c.self.slo; }));
}

void AddStorageSettings(std::vector<Setting>& out) {
  out.push_back(Text("storage.directory", "Where everything is kept; one server a directory.",
                     [](Config& c) -> auto& { return c.storage.directory; }));
  out.push_back(NumberSetting<uint32_t>("storage.partitions",
                                        "Power of two; fixed when the directory is created.",
                                        [](Config& c) -> auto& { return c.storage.partitions; }));
  out.push_back(Make(
      "storage.sync",
      "always: on disk before the acknowledgement. interval: a power cut may lose "
      "storage.sync_interval of data.",
      false, [](Config& c) -> auto& { return c.storage.sync; }, Sync,
      [](storage::SyncMode v) {
        return std::string(v == storage::SyncMode::kAlways ? "always" : "interval");
      }));
  out.push_back(TimeSetting("storage.sync_interval", "Only with storage.sync: interval.",
                            [](Config& c) -> auto& { return c.storage.sync_interval; }));
  out.push_back(TimeSetting(
      "storage.retention", "Samples older than this are dropped, by whole UTC days; 0s keeps all.",
      [](Config& c) -> auto& { return c.storage.retention; }, true));
  out.push_back(BytesSetting(
      "storage.retention_size",
      "Bytes that all data may take; beyond it the oldest days go, never an open one. 0B: no "
      "bound.",
      [](Config& c) -> auto& { return c.storage.retention_bytes; }, true));
  out.push_back(Make(
      "storage.retention_rules",
      "List of {match, tenant, raw, five_minutes, hours}: how long samples, 5 m and 1 h buckets of "
      "series are kept, by whole UTC days. The first rule that fits decides; storage.retention "
      "where none does.",
      true, [](Config& c) -> auto& { return c.storage.retention_rules; }, RetentionRules,
      ShowRetentionRules));
  out.push_back(TimeSetting("storage.purge_delay",
                            "A delete is carried out in the files after this long, at the latest.",
                            [](Config& c) -> auto& { return c.storage.purge_delay; }));
  out.push_back(
      BytesSetting("storage.rewrite_rate",
                   "Bytes a second that background rewriting reads and writes; 0B: no "
                   "bound.",
                   [](Config& c) -> auto& { return c.storage.rewrite_bytes_per_second; }));
  out.push_back(BytesSetting("storage.head_memory",
                             "Budget of samples not yet sealed; half of it, 64 to 256 MiB, is that "
                             "of appends that wait for the disk.",
                             [](Config& c) -> auto& { return c.storage.head_memory_bytes; }));
  out.push_back(BytesSetting("storage.cache_memory", "Cache of sealed blocks.",
                             [](Config& c) -> auto& { return c.storage.cache_memory_bytes; }));
  out.push_back(BytesSetting("storage.log_size", "Unsealed log beyond this is sealed early.",
                             [](Config& c) -> auto& { return c.storage.log_bytes; }));
  out.push_back(BytesSetting("storage.disk_reserve",
                             "With less than this free on the disk writes are refused and queries "
                             "go on; 0B waits for a write to fail.",
                             [](Config& c) -> auto& { return c.storage.disk_reserve_bytes; }));
  out.push_back(BytesSetting("storage.disk_resume",
                             "With more than this free, writes that were refused for want of room "
                             "are taken again; at least storage.disk_reserve.",
                             [](Config& c) -> auto& { return c.storage.disk_resume_bytes; }));
  out.push_back(TimeSetting("storage.scrub_interval",
                            "How often everything stored is read and checked; 0s: only on POST "
                            "/api/v1/admin/verify.",
                            [](Config& c) -> auto& { return c.storage.scrub_interval; }));
  out.push_back(BytesSetting("storage.scrub_rate", "Bytes that a scrub reads in a second; 0B: all.",
                             [](Config& c) -> auto& { return c.storage.scrub_bytes_per_second; }));
}

void AddRequestSettings(std::vector<Setting>& out) {
  out.push_back(TimeSetting("query.timeout", "Wall time that one query may take.",
                            [](Config& c) -> auto& { return c.query.timeout; }));
  out.push_back(TimeSetting("query.lookback", "How far back a selector looks for a sample.",
                            [](Config& c) -> auto& { return c.query.lookback; }));
  out.push_back(NumberSetting<uint64_t>("query.max_samples",
                                        "Samples that one query may hold at a time.",
                                        [](Config& c) -> auto& { return c.query.max_samples; }));
  out.push_back(NumberSetting<size_t>("query.max_series", "Series that one selector may match.",
                                      [](Config& c) -> auto& { return c.query.max_series; }));
  out.push_back(BytesSetting("query.memory",
                             "Samples that all running queries may hold together, in bytes.",
                             [](Config& c) -> auto& { return c.query.memory_bytes; }));
  out.push_back(NumberSetting<uint32_t>("query.max_concurrent",
                                        "Queries that run or wait at a time; others get 503.",
                                        [](Config& c) -> auto& { return c.query.max_concurrent; }));
  out.push_back(BytesSetting("query.result_cache",
                             "Answers of range queries kept for the next refresh; 0 keeps none.",
                             [](Config& c) -> auto& { return c.query.result_cache_bytes; }));
  out.push_back(BytesSetting("ingest.max_body", "Largest request, decompressed.",
                             [](Config& c) -> auto& { return c.ingest.max_body_bytes; }));
  out.push_back(NumberSetting<size_t>("ingest.max_labels", "Labels of one series.",
                                      [](Config& c) -> auto& { return c.ingest.max_labels; }));
  out.push_back(BytesSetting("ingest.max_label_name", "Length of a label's name.",
                             [](Config& c) -> auto& { return c.ingest.max_label_name_bytes; }));
  out.push_back(BytesSetting("ingest.max_label_value", "Length of a label's value.",
                             [](Config& c) -> auto& { return c.ingest.max_label_value_bytes; }));
  out.push_back(Make(
      "ingest.unsorted_labels", "sort, or reject, as remote write has it (vmagent does not sort).",
      false, [](Config& c) -> auto& { return c.ingest.unsorted_labels; }, Unsorted,
      [](ingest::UnsortedLabels v) {
        return std::string(v == ingest::UnsortedLabels::kSort ? "sort" : "reject");
      }));
  out.push_back(Text("ingest.ha_cluster_label",
                     "Names the pair that a sender belongs to; empty: there are no pairs.",
                     [](Config& c) -> auto& { return c.ingest.ha.cluster; }));
  out.push_back(
      Text("ingest.ha_replica_label",
           "Tells the senders of a pair apart; one leads and is stored. Not stored itself.",
           [](Config& c) -> auto& { return c.ingest.ha.replica; }));
  out.push_back(TimeSetting("ingest.ha_failover",
                            "A leader that is silent for so long is followed by who sends next.",
                            [](Config& c) -> auto& { return c.ha.failover; }));
  out.push_back(BytesSetting(
      "ingest.ha_held",
      "Requests of standbys that are held, so that a failover leaves no gap; 0B holds none.",
      [](Config& c) -> auto& { return c.ha.max_held_bytes; }));
  out.push_back(NumberSetting<uint64_t>(
      "ingest.max_samples_per_second",
      "Samples of one tenant; ten seconds' worth may come at once. Beyond it 429. 0: no limit.",
      [](Config& c) -> auto& { return c.ingest.max_samples_per_second; }, true));
  out.push_back(NumberSetting<uint64_t>(
      "ingest.max_active_series",
      "Of one tenant: series with samples today or in the last hour. New counters beyond it are "
      "folded into __other__ series, other new ones are left out. 0: no limit.",
      [](Config& c) -> auto& { return c.ingest.max_active_series; }, true));
  out.push_back(NumberSetting<uint64_t>(
      "ingest.max_folded_series",
      "Of one tenant: counters beyond max_active_series that are folded, with sums preserved, at "
      "24 "
      "bytes each; new ones beyond it are left out. 0: none are folded.",
      [](Config& c) -> auto& { return c.ingest.max_folded_series; }, true));
  out.push_back(List(
      "ingest.tenants",
      "Tenants with limits of their own: \"7 max_samples_per_second=1000 max_active_series=5000\"; "
      "also max_folded_series, max_labels, max_label_name, max_label_value, max_body in bytes.",
      [](Config& c) -> auto& { return c.tenant_limits; }, true));
  out.push_back(Make(
      "ingest.overload_status",
      "What HTTP senders are told when there is no room: 429, 503, or auto: 503 for Prometheus and "
      "what is built on its client, which drop what is answered 429, and 429 for all others.",
      false, [](Config& c) -> auto& { return c.ingest.overload_status; }, Overload,
      [](ingest::OverloadStatus v) {
        return std::string(kOverloadNames[static_cast<size_t>(v)].second);
      }));
  out.push_back(TimeSetting("ingest.max_ahead", "How far in the future a sample may lie.",
                            [](Config& c) -> auto& { return c.ingest.max_ahead; }));
}

void AddOtlpSettings(std::vector<Setting>& out) {
  using ingest::otlp::Translation;
  out.push_back(Make(
      "otlp.translation_strategy",
      "UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, "
      "NoUTF8EscapingWithSuffixes or NoTranslation.",
      false, [](Config& c) -> auto& { return c.otlp.translation; },
      [](const YAML::Node& node) -> Result<Translation> {
        BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
        return ingest::otlp::ParseTranslation(text);
      },
      [](Translation t) { return std::string(ingest::otlp::TranslationName(t)); }));
  out.push_back(List("otlp.promote_resource_attributes",
                     "Resource attributes that become labels of every series.",
                     [](Config& c) -> auto& { return c.otlp.promote_resource_attributes; }));
  out.push_back(Flag("otlp.promote_all_resource_attributes",
                     "All of them, but otlp.ignore_resource_attributes.",
                     [](Config& c) -> auto& { return c.otlp.promote_all_resource_attributes; }));
  out.push_back(List("otlp.ignore_resource_attributes", "Not promoted with all others.",
                     [](Config& c) -> auto& { return c.otlp.ignore_resource_attributes; }));
  out.push_back(Flag("otlp.promote_scope_metadata",
                     "Name, version and attributes of the scope become otel_scope_ labels.",
                     [](Config& c) -> auto& { return c.otlp.promote_scope_metadata; }));
  out.push_back(
      Flag("otlp.keep_identifying_resource_attributes",
           "Keep service.name, service.namespace and service.instance.id in target_info, too.",
           [](Config& c) -> auto& { return c.otlp.keep_identifying_resource_attributes; }));
  out.push_back(Flag("otlp.convert_histograms_to_nhcb",
                     "Histograms with bounds become native histograms with custom buckets.",
                     [](Config& c) -> auto& { return c.otlp.convert_histograms_to_nhcb; }));
  out.push_back(Flag("otlp.delta_to_cumulative",
                     "Deltas become running totals; otherwise they are stored as sent, with their "
                     "start timestamps.",
                     [](Config& c) -> auto& { return c.otlp.delta_to_cumulative; }));
  out.push_back(
      Flag("otlp.label_name_preserve_multiple_underscores",
           "Keep runs of underscores in labels, as older translators did.",
           [](Config& c) -> auto& { return c.otlp.label_name_preserve_multiple_underscores; }));
  out.push_back(Flag("otlp.label_name_underscore_sanitization",
                     "A label that begins with one underscore gets \"key\" before it.",
                     [](Config& c) -> auto& { return c.otlp.label_name_underscore_sanitization; }));
}

void AddAlertingSettings(std::vector<Setting>& out) {
  out.push_back(List(
      "slo.paths", "Files, or directories of *.yml and *.yaml, with SLO definitions.",
      [](Config& c) -> auto& { return c.alerting.slo_paths; }, true));
  out.push_back(NumberSetting<size_t>("slo.max_slos",
                                      "SLOs that are evaluated; files with more are refused.",
                                      [](Config& c) -> auto& { return c.alerting.max_slos; }));
  out.push_back(NumberSetting<size_t>(
      "slo.max_groups",
      "Groups of all SLOs together, 4.6 KB each; further ones count in their SLO's __other__.",
      [](Config& c) -> auto& { return c.alerting.max_slo_groups; }));
  out.push_back(Make(
      "slo.period_ratio",
      "What is recorded as the period's ratio: that of its events, or sloth's mean of 5-minute "
      "ratios.",
      false, [](Config& c) -> auto& { return c.alerting.sloth_period_ratio; }, SlothPeriodRatio,
      [](bool is_sloth) { return std::string(is_sloth ? "sloth" : "events"); }));
  out.push_back(Make(
      "alerting.alertmanagers",
      "List of URLs, or of maps as Prometheus' alertmanagers: scheme, path_prefix, timeout, "
      "basic_auth, authorization, tls_config, static_configs, dns_sd_configs, file_sd_configs, "
      "relabel_configs, alert_relabel_configs. Every one is sent every alert.",
      true, [](Config& c) -> auto& { return c.alerting.receivers.alertmanagers; },
      notify::ReadAlertmanagers, notify::ShowAlertmanagers));
  out.push_back(Make(
      "alerting.webhooks",
      "List of {name, url, send_resolved, max_alerts, group_by, repeat_interval, timeout, "
      "basic_auth, authorization, tls_config, alert_relabel_configs}: sent groups of alerts in "
      "Alertmanager's own webhook payload, for sites without one.",
      true, [](Config& c) -> auto& { return c.alerting.receivers.webhooks; }, notify::ReadWebhooks,
      notify::ShowWebhooks));
  out.push_back(Make(
      "alerting.external_labels", "Map of labels for alerts that do not have them.", true,
      [](Config& c) -> auto& { return c.alerting.receivers.external_labels; }, notify::YamlLabels,
      notify::ShowLabels));
  out.push_back(Make(
      "alerting.alert_relabel_configs",
      "Prometheus' relabelling, of every alert before it is sent; a dropped one goes to nobody.",
      true, [](Config& c) -> auto& { return c.alerting.receivers.alert_relabel; },
      notify::ReadRelabelRules, notify::ShowRelabelRules));
  out.push_back(TimeSetting(
      "alerting.resend_delay", "How often Alertmanagers are sent what fires or has just resolved.",
      [](Config& c) -> auto& { return c.alerting.receivers.resend; }, true));
  out.push_back(TimeSetting(
      "alerting.page_ends_after",
      "How long receivers keep a firing page at least after Basalt has died; 0s: four times "
      "alerting.resend_delay, as Prometheus. Up to 1h.",
      [](Config& c) -> auto& { return c.alerting.receivers.page_ends_after; }, true));
  out.push_back(Text("alerting.external_url", "How people reach this server, for links in alerts.",
                     [](Config& c) -> auto& { return c.alerting.external_url; }));
}

}  // namespace

const std::vector<Setting>& Settings() {
  static const auto* const kSettings = [] {
    auto* out = new std::vector<Setting>();
    AddServerSettings(*out);
    AddStorageSettings(*out);
    AddRequestSettings(*out);
    AddOtlpSettings(*out);
    AddAlertingSettings(*out);
    return out;
  }();
  return *kSettings;
}

}  // namespace basalt::admin
