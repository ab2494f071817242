#include "engine/admin/config.h"

#include <gtest/gtest.h>

namespace basalt::admin {
namespace {

TEST(Config, ReadsEveryKindOfSetting) {
  Config config;
  ASSERT_TRUE(ApplyYaml(R"(
http:
  listen: 0.0.0.0:80
grpc: {enabled: false}
storage:
  partitions: 16
  sync: interval
  sync_interval: 500ms
  retention: 30d
  head_memory: 1GiB
ingest:
  unsorted_labels: reject
slo:
  paths: [a.yml, slos]
alerting:
  alertmanagers: ["http://localhost:9093"]
  external_url: https://basalt.example
log: {level: warn, format: json}
)",
                        "basalt.yml", config)
                  .ok());
  EXPECT_EQ(config.http.listen, "0.0.0.0:80");
  EXPECT_FALSE(config.grpc.enabled);
  EXPECT_EQ(config.storage.partitions, 16U);
  EXPECT_EQ(config.storage.sync, storage::SyncMode::kInterval);
  EXPECT_EQ(config.storage.sync_interval, Duration(500));
  EXPECT_EQ(config.storage.retention, std::chrono::hours(720));
  EXPECT_EQ(config.storage.head_memory_bytes, size_t{1} << 30);
  EXPECT_EQ(config.ingest.unsorted_labels, ingest::UnsortedLabels::kReject);
  EXPECT_EQ(config.alerting.slo_paths, (std::vector<std::string>{"a.yml", "slos"}));
  EXPECT_EQ(config.alerting.external_url, "https://basalt.example");
  EXPECT_EQ(config.log.format, log::Format::kJson);
  EXPECT_TRUE(ValidateConfig(config).ok());
}

struct BadCase {
  const char* name;
  const char* yaml;
  const char* message;
};
class ConfigRejects : public testing::TestWithParam<BadCase> {};

TEST(ValidateConfig, NamesTheServersWhoseAddressesAreNone) {
  const auto message = [](auto change) {
    Config config;
    change(config);
    return std::string(ValidateConfig(config).message());
  };
  EXPECT_EQ(message([](Config& c) { c.http.listen = "7480"; }),
            "http.listen: \"7480\" is not host:port, such as 127.0.0.1:7480");
  EXPECT_EQ(message([](Config& c) { c.http.listen = "[::1]:http"; }),
            "http.listen: \"[::1]:http\": the port is not a number from 0 to 65535");
  EXPECT_EQ(message([](Config& c) { c.grpc.listen = "[::]:65535"; }), "");
  EXPECT_EQ(message([](Config& c) { c.grpc.listen = "[::]:65536"; }),
            "grpc.listen: \"[::]:65536\": the port is not a number from 0 to 65535");
  EXPECT_EQ(message([](Config& c) { c.grpc = {.enabled = false, .listen = ""}; }), "");
  EXPECT_EQ(message([](Config& c) { c.http.path_prefix = "basalt"; }),
            "http.path_prefix: \"basalt\" does not begin with '/'");
}

TEST_P(ConfigRejects, WithFileLineAndKey) {
  Config config;
  const Status status = ApplyYaml(GetParam().yaml, "f.yml", config);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().message);
  EXPECT_EQ(config.http.listen, Config().http.listen) << "a rejected file changes nothing";
}

INSTANTIATE_TEST_SUITE_P(
    Table, ConfigRejects,
    testing::Values(
        BadCase{
            "unknown_section", "http: {listen: x}\n\nhtpp: 1\n",
            "f.yml:3: htpp: unknown key; the file knows alerting, grpc, http, ingest, log, otlp, "
            "query, self, slo, storage"},
        BadCase{"unknown_key", "http:\n  listen: x\n  port: 80\n",
                "f.yml:3: http.port: unknown key; http knows admin_api, cors_origin, listen, "
                "max_connections, path_prefix"},
        BadCase{"duration_without_unit", "storage:\n  retention: 5\n",
                "f.yml:2: storage.retention: not a valid duration string: \"5\"; write 500ms, 30s, "
                "1h30m, 15d or 1y"},
        BadCase{"twice", "grpc:\n  listen: a\n  listen: b\n",
                "f.yml:3: grpc.listen: is there twice"},
        BadCase{"not_a_number", "storage:\n  partitions: many\n",
                "f.yml:2: storage.partitions: \"many\" is not a whole number"},
        BadCase{"bad_size", "storage:\n  head_memory: 1 MB\n",
                "f.yml:2: storage.head_memory: \"1 MB\" is not a size; write 4096, 64KiB, 512MiB "
                "or 2GiB"},
        BadCase{"bad_duration", "query:\n  timeout: 2 minutes\n",
                "f.yml:2: query.timeout: unknown unit \" minutes\" in duration \"2 minutes\"; "
                "write 500ms, "
                "30s, 1h30m, 15d or 1y"},
        BadCase{"period_ratio", "slo:\n  period_ratio: mean\n",
                "f.yml:2: slo.period_ratio: must be events or sloth"},
        BadCase{"list_wanted", "slo:\n  paths: a.yml\n", "f.yml:2: slo.paths: needs a list"},
        BadCase{"section_wanted", "http: yes\n", "f.yml:1: http needs a map of settings"},
        BadCase{"broken", "http: [\n", "f.yml:2: end of sequence flow not found"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(Config, ReadsReceiversOfAlertsAndShowsThemWithoutTheirSecrets) {
  Config config;
  const Status read = ApplyYaml(R"(
alerting:
  external_labels: {region: eu}
  resend_delay: 30s
  page_ends_after: 30m
  alert_relabel_configs:
    - {source_labels: [a, b], separator: '-', regex: '(.*)x', target_label: c, replacement: 'x$1'}
    - {action: labeldrop, regex: replica}
  alertmanagers:
    - http://localhost:9093/am
    - scheme: https
      path_prefix: am/
      timeout: 3s
      basic_auth: {username: us, password: hush}
      tls_config: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem, server_name: am, min_version: TLS13,
                   insecure_skip_verify: true}
      static_configs: [{targets: ["a:9093"], labels: {zone: x}}]
      dns_sd_configs: [{names: [_am._tcp.x]}, {names: [am.x], type: A, port: 9093, refresh_interval: 10s}]
      file_sd_configs: [{files: ["am-*.yml"]}]
      relabel_configs: [{action: keep, source_labels: [zone], regex: x}]
      alert_relabel_configs: [{action: hashmod, source_labels: [a], modulus: 4, target_label: shard}]
  webhooks:
    - {name: ops, url: "https://hook/x?y=1", authorization: {credentials: hush}, send_resolved: false, max_alerts: 5,
       group_by: ["..."], repeat_interval: 1h}
)",
                                "f.yml", config);
  ASSERT_TRUE(read.ok()) << read.ToString();
  ASSERT_TRUE(ValidateConfig(config).ok());
  const notify::Receivers& receivers = config.alerting.receivers;
  ASSERT_EQ(receivers.alertmanagers.size(), 2U);
  EXPECT_EQ(receivers.alertmanagers[0].targets[0].targets[0], "localhost:9093");
  EXPECT_EQ(receivers.alertmanagers[0].path_prefix, "/am");
  const notify::AlertmanagerSet& set = receivers.alertmanagers[1];
  EXPECT_EQ(set.path_prefix, "/am");
  EXPECT_EQ(set.http.credentials.password, "hush");
  EXPECT_TRUE(set.http.tls.insecure_skip_verify);
  EXPECT_EQ(set.dns[0].type, notify::DnsType::kSrv);
  EXPECT_EQ(set.dns[1].port, 9093);
  EXPECT_EQ(receivers.webhooks[0].max_alerts, 5U);
  const std::string shown = RenderYaml(config);
  EXPECT_EQ(shown.find("hush"), std::string::npos) << shown;
  Config back;
  const Status again = ApplyYaml(shown, "shown", back);
  ASSERT_TRUE(again.ok()) << again.ToString() << shown;
  EXPECT_EQ(RenderYaml(back), shown);
  EXPECT_EQ(back.alerting.receivers.alertmanagers[1].http.credentials.password, "<secret>");
}

struct BadReceivers {
  const char* name;
  const char* yaml;  // below `alerting`
  const char* message;
};
class ReceiversAreRefused : public testing::TestWithParam<BadReceivers> {};

TEST_P(ReceiversAreRefused, WithTheField) {
  Config config;
  const Status status =
      ApplyYaml("alerting: {" + std::string(GetParam().yaml) + "}", "f.yml", config);
  EXPECT_EQ(status.message(), "f.yml:1: alerting." + std::string(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ReceiversAreRefused,
    testing::Values(
        BadReceivers{"url", "alertmanagers: ['localhost:9093']",
                     "alertmanagers: [0]: URL \"localhost:9093\": does not begin with http:// or "
                     "https://"},
        BadReceivers{
            "no_targets", "alertmanagers: [{scheme: http}]",
            "alertmanagers: [0]: static_configs: is missing, and so are dns_sd_configs and "
            "file_sd_configs"},
        BadReceivers{
            "key_without_certificate",
            "alertmanagers: [{tls_config: {key_file: k}, static_configs: [{targets: [a]}]}]",
            "alertmanagers: [0]: tls_config: cert_file: is missing; a certificate needs "
            "both"},
        BadReceivers{"two_passwords",
                     "alertmanagers: [{basic_auth: {username: a, password: b, password_file: c}}]",
                     "alertmanagers: [0]: basic_auth: password_file: there is a password, too"},
        BadReceivers{"two_kinds_of_authorization",
                     "alertmanagers: [{basic_auth: {username: a}, bearer_token: b}]",
                     "alertmanagers: [0]: authorization: there is basic_auth, too"},
        BadReceivers{"a_record_without_port",
                     "alertmanagers: [{dns_sd_configs: [{names: [a], type: A}]}]",
                     "alertmanagers: [0]: dns_sd_configs: [0]: port: is missing; only SRV records "
                     "bring one"},
        BadReceivers{
            "record_type", "alertmanagers: [{dns_sd_configs: [{names: [a], type: MX}]}]",
            "alertmanagers: [0]: dns_sd_configs: [0]: type: \"MX\" is none of A, AAAA, SRV"},
        BadReceivers{"file_kind", "alertmanagers: [{file_sd_configs: [{files: [a.txt]}]}]",
                     "alertmanagers: [0]: file_sd_configs: [0]: files: \"a.txt\" does not end in "
                     ".json, .yml or .yaml, or has a pattern before its last part"},
        BadReceivers{"relabel_action", "alert_relabel_configs: [{action: keepnot}]",
                     "alert_relabel_configs: [0]: action: \"keepnot\" is no action; there are "
                     "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, "
                     "labelkeep, lowercase, uppercase"},
        BadReceivers{"webhook_name", "webhooks: [{url: 'http://a'}]",
                     "webhooks: [0]: name: is missing"},
        BadReceivers{"webhook_twice",
                     "webhooks: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]",
                     "webhooks: [1]: name: \"a\" is there twice"},
        BadReceivers{"unknown", "webhooks: [{name: a, urls: b}]",
                     "webhooks: [0]: urls: unknown key; there are name, url, send_resolved, "
                     "max_alerts, group_by, repeat_interval, alert_relabel_configs, basic_auth, "
                     "authorization, bearer_token, bearer_token_file, tls_config, timeout"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(ValidateConfig, NamesTheKey) {
  Config config;
  config.storage.partitions = 12;
  EXPECT_EQ(ValidateConfig(config).message(),
            "storage.partitions: 12 is not a power of two in 1..65536");
  config = {};
  config.alerting.receivers.resend = Duration(10);
  EXPECT_EQ(ValidateConfig(config).message(), "alerting.resend_delay: must be 1s to 1h");
}

TEST(Config, ReadsBackWhatItRenders) {
  Config config;
  config.http.cors_origin = "";
  config.storage.retention = std::chrono::hours(36);
  config.alerting.slo_paths = {"a.yml", "slos/b, c \"d\".yml"};
  config.alerting.sloth_period_ratio = true;
  config.alerting.max_slos = 7;
  config.alerting.max_slo_groups = 70;
  Config back;
  ASSERT_TRUE(ApplyYaml(RenderYaml(config), "rendered", back).ok()) << RenderYaml(config);
  EXPECT_EQ(RenderYaml(back), RenderYaml(config));
  EXPECT_EQ(back.storage.retention, config.storage.retention);
  EXPECT_EQ(back.alerting.slo_paths, config.alerting.slo_paths);
  EXPECT_TRUE(back.alerting.sloth_period_ratio);
  EXPECT_EQ(back.alerting.max_slos, 7U);
  EXPECT_EQ(back.alerting.max_slo_groups, 70U);
  EXPECT_EQ(back.http.cors_origin, "");
}

TEST(Config, ReadsRetentionRulesAndShowsThemAsTheyWere) {
  Config config;
  const Status read = ApplyYaml(R"(
storage:
  retention: 30d
  retention_size: 200GiB
  retention_rules:
    - {match: '{job="node"}', tenant: 7, raw: 14d, five_minutes: 90d, hours: 2y}
    - match: 'debug_.*|tmp{env!="prod"}'
      raw: 1d
)",
                                "basalt.yml", config);
  EXPECT_FALSE(read.ok());  // a metric name is no regular expression
  EXPECT_NE(std::string(read.message()).find("basalt.yml:6: storage.retention_rules: [1]: match: "),
            std::string::npos)
      << read.ToString();
  ASSERT_TRUE(ApplyYaml(R"(
storage:
  retention: 30d
  retention_size: 200GiB
  retention_rules:
    - {match: '{job="node"}', tenant: 7, raw: 14d, five_minutes: 90d, hours: 2y}
    - match: '{__name__=~"debug_.*|tmp", env!="prod"}'
      raw: 1d
)",
                        "basalt.yml", config)
                  .ok());
  ASSERT_TRUE(ValidateConfig(config).ok());
  const storage::RetentionPolicy policy = RetentionOf(config.storage);
  EXPECT_EQ(policy.keep, std::chrono::hours(720));
  EXPECT_EQ(policy.bytes, uint64_t{200} << 30);
  ASSERT_EQ(policy.rules.size(), 2U);
  EXPECT_EQ(policy.rules[0].tenant, TenantId{7});
  EXPECT_EQ(policy.rules[0].five_minutes, std::chrono::hours(90 * 24));
  EXPECT_FALSE(policy.rules[1].tenant.has_value());
  EXPECT_EQ(policy.rules[1].matchers.size(), 2U);
  Config back;
  ASSERT_TRUE(ApplyYaml(RenderYaml(config), "rendered", back).ok()) << RenderYaml(config);
  EXPECT_EQ(RenderYaml(back), RenderYaml(config));
  config.storage.retention_rules[0].hours = std::chrono::hours(24);
  EXPECT_EQ(std::string(ValidateConfig(config).message()),
            "storage.retention_rules[0].hours: 1d is not longer than raw, 14d");
}

TEST(Config, TellsWhatAReloadCannotChange) {
  Config running;
  Config wanted;
  wanted.log.level = log::Level::kDebug;
  wanted.alerting.slo_paths = {"x"};
  EXPECT_TRUE(KeysThatNeedRestart(running, wanted).empty());
  wanted.storage.retention = std::chrono::hours(24);
  wanted.storage.partitions = 16;
  EXPECT_EQ(KeysThatNeedRestart(running, wanted), std::vector<std::string>{"storage.partitions"});
}

TEST(Bytes, RoundTrip) {
  for (const size_t n : {size_t{0}, size_t{1}, size_t{4096}, size_t{512} << 20, size_t{3} << 40}) {
    EXPECT_EQ(ParseBytes(FormatBytes(n)).value(), n);
  }
  EXPECT_FALSE(ParseBytes("99999999999TiB").ok());
}

TEST(Config, TheDiskThresholdsAndTheAnswerToOverloadAreChecked) {
  Config config;
  ASSERT_TRUE(ApplyYaml("storage: {disk_reserve: 1GiB, disk_resume: 2GiB, scrub_interval: 1d}\n"
                        "ingest: {overload_status: 429}",
                        "c.yml", config)
                  .ok());
  EXPECT_EQ(config.storage.disk_reserve_bytes, size_t{1} << 30);
  EXPECT_EQ(config.storage.disk_resume_bytes, size_t{2} << 30);
  EXPECT_EQ(config.storage.scrub_interval, std::chrono::hours(24));
  EXPECT_EQ(config.ingest.overload_status, ingest::OverloadStatus::k429);
  EXPECT_TRUE(ValidateConfig(config).ok());
  config.storage.disk_resume_bytes = 1;
  EXPECT_EQ(ValidateConfig(config).message(),
            "storage.disk_resume: 1B is below storage.disk_reserve, 1GiB");
  EXPECT_EQ(ApplyYaml("ingest: {overload_status: 500}", "c.yml", config).message(),
            "c.yml:1: ingest.overload_status: \"500\" is not one of auto, 429, 503");
}

}  // namespace
}  // namespace basalt::admin
