#include "engine/admin/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>

#include "engine/admin/setting.h"
#include "engine/base/labels.h"

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

std::string NameOf(const std::string& prefix) {
  return prefix.empty() ? "the file" : prefix.substr(0, prefix.size() - 1);
}

// Host and port of a server of ours. gRPC itself would take port 99999, and listen on 34463.
Status CheckListen(const char* key, const std::string& listen) {
  const std::string start = std::string(key) + ": \"" + listen + "\"";
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos)
    return InvalidArgument(start + " is not host:port, such as 127.0.0.1:7480");
  const std::string_view port = std::string_view(listen).substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size())
    return InvalidArgument(start + ": the port is not a number from 0 to 65535");
  return OkStatus();
}

// Reads a map whose keys continue `prefix`.
Status ReadMap(const YAML::Node& map, const std::string& prefix, std::string_view name,
               Config& config) {
  if (map.IsNull()) return OkStatus();
  if (!map.IsMap()) return At(name, map.Mark(), NameOf(prefix) + " needs a map of settings");
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
                key + ": unknown key; " + NameOf(prefix) + " knows " + KnownKeys(prefix));
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
  BASALT_TRY(CheckListen("http.listen", config.http.listen));
  if (config.grpc.enabled) BASALT_TRY(CheckListen("grpc.listen", config.grpc.listen));
  if (!config.http.path_prefix.empty() && !config.http.path_prefix.starts_with('/')) {
    return InvalidArgument("http.path_prefix: \"" + config.http.path_prefix +
                           "\" does not begin with '/'");
  }
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
  const notify::Receivers& receivers = config.alerting.receivers;
  if (receivers.resend < std::chrono::seconds(1) || receivers.resend > std::chrono::hours(1))
    return InvalidArgument("alerting.resend_delay: must be 1s to 1h");
  if (receivers.page_ends_after < Duration(0) || receivers.page_ends_after > std::chrono::hours(1))
    return InvalidArgument("alerting.page_ends_after: must be 0s to 1h");
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
    if (entry.value.starts_with('[') || entry.value.starts_with('{')) {
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
