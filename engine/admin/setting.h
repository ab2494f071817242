// engine/admin/setting.h -- one setting: how it is read from YAML, how it is shown. settings.cc has
// the list of them.
#pragma once

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/admin/config.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::admin {

struct Setting {
  std::string key;  // "storage.retention"
  std::string help;
  bool reloadable = false;
  // kInvalidArgument: what is wrong with the value, without key, file and line.
  std::function<Status(const YAML::Node&, Config&)> read;
  // As a YAML value that `read` takes back to the same.
  std::function<std::string(const Config&)> show;
};

// Every key that there is, in the order of their sections.
const std::vector<Setting>& Settings();

// Values as YAML has them. kInvalidArgument: not of the kind.
Result<std::string> Scalar(const YAML::Node& node);
Result<bool> Boolean(const YAML::Node& node);
Result<Duration> Time(const YAML::Node& node);  // "1h30m"
Result<size_t> Bytes(const YAML::Node& node);   // "64MiB"
Result<std::vector<std::string>> Strings(const YAML::Node& node);
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

// A list of rules: maps of `match`, `tenant`, `raw`, `five_minutes`, `hours`.
Result<std::vector<storage::RetentionRule>> RetentionRules(const YAML::Node& node);
std::string ShowRetentionRules(const std::vector<storage::RetentionRule>& rules);

}  // namespace basalt::admin
