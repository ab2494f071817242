#include "engine/admin/setting.h"

#include "query/promql/durations.h"

namespace basalt::admin {

Result<std::string> Scalar(const YAML::Node& node) {
  if (!node.IsScalar()) return InvalidArgument("needs a single value");
  return node.Scalar();
}

Result<bool> Boolean(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  if (text == "true") return true;
  if (text == "false") return false;
  return InvalidArgument("\"" + text + "\" is neither true nor false");
}

Result<Duration> Time(const YAML::Node& node) {
  BASALT_TRY_ASSIGN(const std::string text, Scalar(node));
  auto duration = promql::ParseDuration(text);
  if (duration.ok()) return duration;
  return InvalidArgument(std::string(duration.status().message()) +
                         "; write 500ms, 30s, 1h30m, 15d or 1y");
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

}  // namespace basalt::admin
