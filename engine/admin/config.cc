#include "engine/admin/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "engine/base/labels.h"
#include "query/promql/durations.h"
#include "query/promql/parser.h"

namespace basalt::admin {
namespace {

constexpr size_t kMaxConfigBytes = 1u << 20;

struct Unit {
  std::string_view name;
  size_t bytes;
};
constexpr std::array<Unit, 5> kUnits = {{{"TiB", size_t{1} << 40},
                                         {"GiB", size_t{1} << 30},
                                         {"MiB", size_t{1} << 20},
                                         {"KiB", size_t{1} << 10},
                                         {"B", 1}}};

// One setting: how it is read from YAML, how it is shown. The table below is the only list of keys
// that there is.
struct Setting {
  std::string key;
  std::string help;
  bool reloadable = false;
  std::function<Status(const YAML::Node&, Config&)> read;
  std::function<std::string(const Config&)> show;
};

Result<std::string> Scalar(const YAML::Node& node) {
  if (!node.IsScalar()) return InvalidArgument("needs a single value");
  return node.Scalar();
}

template <typename T>
Result<T> Number(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  T value{};
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size()) {
    return InvalidArgument("\"" + text + "\" is not a whole number");
  }
  return value;
}

Result<bool> Boolean(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "true") return true;
  if (text == "false") return false;
  return InvalidArgument("\"" + text + "\" is neither true nor false");
}

Result<Duration> Time(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return promql::ParseDuration(text);
}

Result<size_t> Bytes(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return ParseBytes(text);
}

Result<std::vector<std::string>> Strings(const YAML::Node& node) {
  if (!node.IsSequence()) return InvalidArgument("needs a list");
  std::vector<std::string> out;
  for (const YAML::Node& item : node) {
    BASALT_TRY_ASSIGN(std::string text, Scalar(item));
    out.push_back(std::move(text));
  }
  return out;
}

std::string ShowDuration(Duration d) { return promql::FormatDuration(d); }

std::string ShowList(const std::vector<std::string>& items) {
  std::string out = "[";
  for (size_t i = 0; i < items.size(); ++i) out += (i == 0 ? "" : ", ") + items[i];
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

// One rule: a map of `match`, `tenant`, `raw`, `five_minutes`, `hours`.
Result<storage::RetentionRule> RetentionRuleOf(const YAML::Node& node) {
  if (!node.IsMap())
    return InvalidArgument("needs a map of match, tenant, raw, five_minutes, hours");
  storage::RetentionRule rule;
  std::set<std::string> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) return InvalidArgument("a key must be a plain name");
    const std::string& key = item.first.Scalar();
    if (!seen.insert(key).second) return InvalidArgument(key + ": is there twice");
    const auto time = [&](Duration& out) -> Status {
      BASALT_TRY_ASSIGN(out, Time(item.second));
      return OkStatus();
    };
    Status status;
    if (key == "match") {
      const Result<std::string> text = Scalar(item.second);
      status = text.status();
      if (status.ok()) {
        auto matchers = promql::ParseMetricSelector(*text);
        status = matchers.status();
        if (status.ok()) rule.matchers = *std::move(matchers);
      }
    } else if (key == "tenant") {
      const Result<uint32_t> tenant = Number<uint32_t>(item.second);
      status = tenant.status();
      if (status.ok()) rule.tenant = TenantId{*tenant};
    } else if (key == "raw") {
      status = time(rule.raw);
    } else if (key == "five_minutes") {
      status = time(rule.five_minutes);
    } else if (key == "hours") {
      status = time(rule.hours);
    } else {
      status = InvalidArgument("unknown key; a rule knows match, tenant, raw, five_minutes, hours");
    }
    if (!status.ok()) return status.WithContext(key);
  }
  return rule;
}

Result<std::vector<storage::RetentionRule>> RetentionRuleList(const YAML::Node& node) {
  if (!node.IsSequence()) return InvalidArgument("needs a list of rules");
  std::vector<storage::RetentionRule> rules;
  for (const YAML::Node& item : node) {
    Result<storage::RetentionRule> rule = RetentionRuleOf(item);
    if (!rule.ok()) return rule.status().WithContext("[" + std::to_string(rules.size()) + "]");
    rules.push_back(*std::move(rule));
  }
  return rules;
}

// As the file would have it, in one line.
std::string ShowRetentionRules(const std::vector<storage::RetentionRule>& rules) {
  static constexpr std::array<std::string_view, 4> kOperators = {"=", "!=", "=~", "!~"};
  std::string out = "[";
  for (const storage::RetentionRule& rule : rules) {
    if (out.size() > 1) out += ", ";
    std::string selector = "{";
    for (const storage::Matcher& m : rule.matchers) {
      if (selector.size() > 1) selector += ',';
      AppendQuoted(m.name, selector);
      selector += kOperators[static_cast<size_t>(m.type)];
      AppendQuoted(m.value, selector);
    }
    out += "{match: ";
    AppendQuoted(selector + "}", out);
    if (rule.tenant.has_value()) {
      out += ", tenant: " + std::to_string(static_cast<uint32_t>(*rule.tenant));
    }
    for (const auto& [name, value] :
         {std::pair{"raw", rule.raw}, std::pair{"five_minutes", rule.five_minutes},
          std::pair{"hours", rule.hours}}) {
      if (value != Duration(0)) out += std::string(", ") + name + ": " + ShowDuration(value);
    }
    out += '}';
  }
  return out + "]";
}

Result<ingest::UnsortedLabels> Unsorted(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "reject") return ingest::UnsortedLabels::kReject;
  if (text == "sort") return ingest::UnsortedLabels::kSort;
  return InvalidArgument("\"" + text + "\" is neither reject nor sort");
}

Result<int> Overload(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "503") return 503;
  if (text == "429") return 429;
  return InvalidArgument("\"" + text + "\" is neither 503 nor 429");
}

Result<log::Level> LogLevel(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return log::ParseLevel(text);
}

Result<log::Format> LogFormat(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  return log::ParseFormat(text);
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
      "storage.retention", "Samples older than this are dropped, by whole days; 0s keeps all.",
      [](Config& c) -> auto& { return c.storage.retention; }, true));
  out.push_back(BytesSetting(
      "storage.retention_size",
      "Bytes that all data may take; beyond it the oldest days go, never an open one. 0B: no "
      "bound.",
      [](Config& c) -> auto& { return c.storage.retention_bytes; }, true));
  out.push_back(Make(
      "storage.retention_rules",
      "List of {match, tenant, raw, five_minutes, hours}: how long samples, 5 m and 1 h buckets of "
      "series are kept. The first rule that fits decides; storage.retention where none does.",
      true, [](Config& c) -> auto& { return c.storage.retention_rules; }, RetentionRuleList,
      ShowRetentionRules));
  out.push_back(TimeSetting("storage.purge_delay",
                            "A delete is carried out in the files after this long, at the latest.",
                            [](Config& c) -> auto& { return c.storage.purge_delay; }));
  out.push_back(
      BytesSetting("storage.rewrite_rate",
                   "Bytes a second that background rewriting reads and writes; 0B: no "
                   "bound.",
                   [](Config& c) -> auto& { return c.storage.rewrite_bytes_per_second; }));
  out.push_back(BytesSetting("storage.head_memory", "Budget of samples not yet sealed.",
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
      "ingest.unsorted_labels", "reject, as remote write prescribes, or sort.", false,
      [](Config& c) -> auto& { return c.ingest.unsorted_labels; }, Unsorted,
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
      "Of one tenant: series with samples today or in the last hour. New ones beyond it are left "
      "out. 0: no limit.",
      [](Config& c) -> auto& { return c.ingest.max_active_series; }, true));
  out.push_back(List(
      "ingest.tenants",
      "Tenants with limits of their own: \"7 max_samples_per_second=1000 max_active_series=5000\"; "
      "also max_labels, max_label_name, max_label_value, max_body in bytes.",
      [](Config& c) -> auto& { return c.tenant_limits; }, true));
  out.push_back(Make(
      "ingest.overload_status",
      "What HTTP senders are told when there is no room: 503, which Prometheus tries again, or "
      "429, "
      "which it drops unless retry_on_http_429 is set.",
      false, [](Config& c) -> auto& { return c.ingest.overload_status; }, Overload,
      [](int v) { return std::to_string(v); }));
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
  out.push_back(List("alerting.alertmanagers", "Base URLs; every one is sent every alert.",
                     [](Config& c) -> auto& { return c.alerting.alertmanagers; }));
  out.push_back(Text("alerting.external_url", "How people reach this server, for links in alerts.",
                     [](Config& c) -> auto& { return c.alerting.external_url; }));
}

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

Status At(std::string_view name, const YAML::Mark& mark, std::string_view message) {
  return InvalidArgument(std::string(name) + ":" + std::to_string(mark.line + 1) + ": " +
                         std::string(message));
}

std::string KnownKeys(std::string_view prefix) {
  std::set<std::string> names;
  for (const Setting& setting : Settings()) {
    if (!setting.key.starts_with(prefix)) continue;
    const std::string rest = setting.key.substr(prefix.size());
    names.insert(rest.substr(0, rest.find('.')));
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Reads a map whose keys continue `prefix`.
Status ReadMap(const YAML::Node& map, const std::string& prefix, std::string_view name,
               Config& config) {
  if (map.IsNull()) return OkStatus();
  if (!map.IsMap())
    return At(name, map.Mark(),
              (prefix.empty() ? "the file" : prefix) + " needs a map of settings");
  std::set<std::string> seen;
  for (const auto& item : map) {
    if (!item.first.IsScalar()) return At(name, item.first.Mark(), "a key must be a plain name");
    const std::string key = prefix + item.first.Scalar();
    // yaml-cpp takes the same key twice without a word.
    if (!seen.insert(key).second) return At(name, item.first.Mark(), key + ": is there twice");
    const auto& settings = Settings();
    const auto exact = std::find_if(settings.begin(), settings.end(),
                                    [&](const Setting& setting) { return setting.key == key; });
    if (exact != settings.end()) {
      if (const Status status = exact->read(item.second, config); !status.ok()) {
        return At(name, item.second.Mark(), key + ": " + std::string(status.message()));
      }
      continue;
    }
    const bool is_section =
        std::any_of(settings.begin(), settings.end(),
                    [&](const Setting& setting) { return setting.key.starts_with(key + "."); });
    if (!is_section) {
      return At(name, item.first.Mark(),
                key + ": unknown key; " +
                    (prefix.empty() ? "the file" : prefix.substr(0, prefix.size() - 1)) +
                    " knows " + KnownKeys(prefix));
    }
    BASALT_TRY(ReadMap(item.second, key + ".", name, config));
  }
  return OkStatus();
}

}  // namespace

storage::RetentionPolicy RetentionOf(const StorageConfig& config) {
  return {
      .keep = config.retention, .bytes = config.retention_bytes, .rules = config.retention_rules};
}

Result<size_t> ParseBytes(std::string_view text) {
  size_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(at, static_cast<size_t>(text.data() + text.size() - at));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (unit.empty()) unit = "B";
  for (const Unit& known : kUnits) {
    size_t bytes = 0;
    if (error == std::errc() && known.name == unit &&
        !__builtin_mul_overflow(value, known.bytes, &bytes))
      return bytes;
  }
  return InvalidArgument("\"" + std::string(text) +
                         "\" is not a size; write 4096, 64KiB, 512MiB or 2GiB");
}

std::string FormatBytes(size_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0)
      return std::to_string(bytes / unit.bytes) + std::string(unit.name);
  }
  return "0B";
}

Status ApplyYaml(std::string_view text, std::string_view name, Config& config) {
  if (text.size() > kMaxConfigBytes)
    return InvalidArgument(std::string(name) + ": larger than 1 MiB");
  Config next = config;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1)
      return At(name, documents[1].Mark(), "a second document; one is read");
    if (!documents.empty()) BASALT_TRY(ReadMap(documents[0], "", name, next));
  } catch (const YAML::Exception& e) {
    return At(name, e.mark, e.msg);
  }
  config = std::move(next);
  return OkStatus();
}

Status ApplyYamlFile(const std::string& path, Config& config) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("configuration file " + path + ": cannot be opened");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return Unavailable("configuration file " + path + ": cannot be read");
  return ApplyYaml(text, path, config);
}

Status ValidateConfig(const Config& config) {
  const uint32_t n = config.storage.partitions;
  if (n == 0 || n > 65'536 || (n & (n - 1)) != 0) {
    return InvalidArgument("storage.partitions: " + std::to_string(n) +
                           " is not a power of two in 1..65536");
  }
  if (config.storage.directory.empty()) return InvalidArgument("storage.directory: empty");
  constexpr size_t kLeastBudget = 8u << 20;
  for (const auto& [key, bytes] :
       {std::pair{"storage.head_memory", config.storage.head_memory_bytes},
        std::pair{"storage.cache_memory", config.storage.cache_memory_bytes},
        std::pair{"storage.log_size", config.storage.log_bytes}}) {
    if (bytes < kLeastBudget)
      return InvalidArgument(std::string(key) + ": " + FormatBytes(bytes) + " is below 8MiB");
  }
  if (const Status status = storage::CheckRetention(RetentionOf(config.storage)); !status.ok()) {
    return InvalidArgument("storage.retention_" + std::string(status.message()));
  }
  if (config.storage.purge_delay < Duration(0))
    return InvalidArgument("storage.purge_delay: must not be below 0s");
  if (config.storage.disk_resume_bytes < config.storage.disk_reserve_bytes) {
    return InvalidArgument("storage.disk_resume: " + FormatBytes(config.storage.disk_resume_bytes) +
                           " is below storage.disk_reserve, " +
                           FormatBytes(config.storage.disk_reserve_bytes));
  }
  if (config.query.timeout <= Duration(0))
    return InvalidArgument("query.timeout: must be above 0s");
  if (config.query.lookback <= Duration(0))
    return InvalidArgument("query.lookback: must be above 0s");
  if (config.query.max_samples == 0) return InvalidArgument("query.max_samples: must be above 0");
  if (config.query.max_concurrent == 0)
    return InvalidArgument("query.max_concurrent: must be above 0");
  if (config.ingest.max_labels == 0) return InvalidArgument("ingest.max_labels: must be above 0");
  if (config.ha.failover <= Duration(0))
    return InvalidArgument("ingest.ha_failover: must be above 0s");
  if (!config.ingest.ha.cluster.empty() &&
      (config.ingest.ha.replica.empty() || config.ingest.ha.replica == config.ingest.ha.cluster)) {
    return InvalidArgument("ingest.ha_replica_label: must be another label than ha_cluster_label");
  }
  for (const std::string& text : config.tenant_limits) {
    const auto parsed = ingest::ParseTenantLimits(text, config.ingest);
    if (!parsed.ok()) return parsed.status().WithContext("ingest.tenants: \"" + text + "\"");
    if (parsed->second.max_labels == 0) {
      return InvalidArgument("ingest.tenants: \"" + text + "\": max_labels: must be above 0");
    }
  }
  if (config.self.interval != Duration(0) && config.self.interval < std::chrono::seconds(1)) {
    return InvalidArgument("self.interval: must be 0s or at least 1s");
  }
  for (const std::string& url : config.alerting.alertmanagers) {
    if (!url.starts_with("http://")) {
      return InvalidArgument("alerting.alertmanagers: \"" + url + "\" does not begin with http://");
    }
  }
  return OkStatus();
}

std::vector<std::string> KeysThatNeedRestart(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  for (const Setting& setting : Settings()) {
    if (!setting.reloadable && setting.show(running) != setting.show(wanted))
      keys.push_back(setting.key);
  }
  return keys;
}

std::vector<ConfigEntry> DescribeConfig(const Config& config) {
  std::vector<ConfigEntry> entries;
  for (const Setting& setting : Settings()) {
    entries.push_back({setting.key, setting.show(config), setting.help, setting.reloadable});
  }
  std::sort(entries.begin(), entries.end(),
            [](const ConfigEntry& a, const ConfigEntry& b) { return a.key < b.key; });
  return entries;
}

std::string RenderYaml(const Config& config) {
  std::string out;
  std::string section;
  for (const ConfigEntry& entry : DescribeConfig(config)) {
    const size_t dot = entry.key.find('.');
    if (const std::string_view name = std::string_view(entry.key).substr(0, dot); name != section) {
      section = name;
      out += section + ":\n";
    }
    out += "  " + entry.key.substr(dot + 1) + ": ";
    if (entry.value.starts_with('[')) {
      out += entry.value;
    } else {
      AppendQuoted(entry.value, out);
    }
    out += '\n';
  }
  return out;
}

ingest::LimitTable LimitsOf(const Config& config) {
  ingest::LimitTable table(config.ingest);
  for (const std::string& text : config.tenant_limits) {
    if (auto parsed = ingest::ParseTenantLimits(text, config.ingest); parsed.ok())
      table.tenants.insert_or_assign(parsed->first, parsed->second);
  }
  return table;
}

}  // namespace basalt::admin
