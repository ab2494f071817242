#include "engine/notify/yaml_fields.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "query/promql/durations.h"

namespace basalt::notify {

Result<std::string> YamlText(const YAML::Node& node) {
  if (!node.IsScalar()) return InvalidArgument("needs a single value");
  return node.Scalar();
}

Result<bool> YamlBool(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, YamlText(node));
  if (text == "true") return true;
  if (text == "false") return false;
  return InvalidArgument("\"" + text + "\" is neither true nor false");
}

Result<uint64_t> YamlWhole(const YAML::Node& node, uint64_t most) {
  BASALT_TRY_ASSIGN(const std::string text, YamlText(node));
  uint64_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size() || value > most)
    return InvalidArgument("\"" + text + "\" is no whole number up to " + std::to_string(most));
  return value;
}

Result<Duration> YamlDuration(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, YamlText(node));
  BASALT_TRY_ASSIGN(const Duration duration, promql::ParseDuration(text));
  if (duration <= Duration(0)) return InvalidArgument("\"" + text + "\" must be above 0s");
  return duration;
}

Status ForEachItem(const YAML::Node& node, const std::function<Status(const YAML::Node&)>& read) {
  if (!node.IsSequence()) return InvalidArgument("needs a list");
  size_t number = 0;
  for (const YAML::Node& item : node) {
    if (const Status status = read(item); !status.ok())
      return status.WithContext("[" + std::to_string(number) + "]");
    ++number;
  }
  return OkStatus();
}

Result<std::vector<std::string>> YamlTexts(const YAML::Node& node) {
  std::vector<std::string> out;
  BASALT_TRY(ForEachItem(node, [&](const YAML::Node& item) -> Status {
    BASALT_TRY_ASSIGN(std::string text, YamlText(item));
    out.push_back(std::move(text));
    return OkStatus();
  }));
  return out;
}

Result<Labels> YamlLabels(const YAML::Node& node) {
  if (!node.IsMap()) return InvalidArgument("needs a map of labels");
  Labels labels;
  for (const auto& item : node) {
    BASALT_TRY_ASSIGN(const std::string name, YamlText(item.first));
    if (name.empty() || !IsValidUtf8(name))
      return InvalidArgument("\"" + name + "\" is no label name");
    const Result<std::string> value = YamlText(item.second);
    if (!value.ok()) return value.status().WithContext(name);
    if (labels.Has(name)) return InvalidArgument(name + ": is there twice");
    labels.Set(name, *value);
  }
  return labels;
}

Status ReadFields(const YAML::Node& node, const std::vector<YamlField>& fields) {
  if (!node.IsMap()) return InvalidArgument("needs a map");
  std::set<std::string> seen;
  for (const auto& item : node) {
    BASALT_TRY_ASSIGN(const std::string key, YamlText(item.first));
    if (!seen.insert(key).second) return InvalidArgument(key + ": is there twice");
    const auto it = std::find_if(fields.begin(), fields.end(),
                                 [&](const YamlField& field) { return field.name == key; });
    if (it == fields.end()) {
      std::string known;
      for (const YamlField& field : fields)
        known += (known.empty() ? "" : ", ") + std::string(field.name);
      return InvalidArgument(key + ": unknown key; there are " + known);
    }
    if (const Status status = it->read(item.second); !status.ok()) return status.WithContext(key);
  }
  return OkStatus();
}

}  // namespace basalt::notify
