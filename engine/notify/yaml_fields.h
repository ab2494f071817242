// engine/notify/yaml_fields.h -- a YAML map read field by field: nothing unknown, nothing twice,
// and every error begins with the field's name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace YAML {
class Node;
}

namespace basalt::notify {

Result<std::string> YamlText(const YAML::Node& node);
Result<bool> YamlBool(const YAML::Node& node);
Result<uint64_t> YamlWhole(const YAML::Node& node, uint64_t most);
Result<Duration> YamlDuration(const YAML::Node& node);  // "30s", "1h30m"; above 0
Result<std::vector<std::string>> YamlTexts(const YAML::Node& node);
Result<Labels> YamlLabels(const YAML::Node& node);

// For each item, with "[n]" before its error.
Status ForEachItem(const YAML::Node& node, const std::function<Status(const YAML::Node&)>& read);

struct YamlField {
  std::string_view name;
  std::function<Status(const YAML::Node&)> read;
};
// Makes a YamlField that stores what `parse` gives.
template <typename T, typename Parse>
YamlField Into(std::string_view name, T& to, Parse parse) {
  return {name, [&to, parse](const YAML::Node& node) -> Status {
            auto value = parse(node);
            if (!value.ok()) return value.status();
            to = *std::move(value);
            return OkStatus();
          }};
}
// kInvalidArgument, also for a key that is not listed, with those there are.
Status ReadFields(const YAML::Node& node, const std::vector<YamlField>& fields);

}  // namespace basalt::notify
