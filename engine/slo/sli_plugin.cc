#include "engine/slo/sli_plugin.h"

#include <regex>

namespace basalt::slo {
namespace {

std::string Filter(std::string_view text) {
  const auto trim = [&](std::string_view drop) {
    while (!text.empty() && drop.find(text.front()) != std::string_view::npos)
      text.remove_prefix(1);
    while (!text.empty() && drop.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  };
  trim("{} ");
  trim(", ");
  return text.empty() ? "" : std::string(text) + ",";
}

}  // namespace

SliPlugins BuiltInSliPlugins() {
  SliPlugins plugins;
  constexpr std::string_view kRequests = "http_request_duration_seconds_count";
  const std::string of_job = "{{.filter}}job=\"{{.job}}\"";
  plugins["getting_started_availability"] = {
      {"job"},
      {"owner", "tier"},
      "sum(rate(" + std::string(kRequests) + "{" + of_job +
          ",code=~\"(5..|429)\"}[{{.window}}])) / sum(rate(" + std::string(kRequests) + "{" +
          of_job + "}[{{.window}}]))"};
  return plugins;
}

Result<std::string> ExpandSliPlugin(const SliPlugin& plugin, const Labels& options,
                                    const Labels& labels) {
  for (const std::string& name : plugin.required_options) {
    if (options.Get(name).empty()) return InvalidArgument("lacks the option `" + name + "`");
  }
  for (const std::string& name : plugin.required_labels) {
    if (labels.Get(name).empty()) {
      return InvalidArgument("needs the label `" + name + "` on the SLO or its service");
    }
  }
  static const std::regex kPlaceholder(R"(\{\{\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\})");
  std::string out;
  std::string rest = plugin.error_ratio_query;
  Labels unused = options;
  for (std::smatch match; std::regex_search(rest, match, kPlaceholder); rest = match.suffix()) {
    out += match.prefix();
    const std::string name = match[1];
    if (name == "window") {
      out += "{{.window}}";
    } else {
      const std::string value(options.Get(name));
      out += name == "filter" ? Filter(value) : value;
      unused.Remove(name);
    }
  }
  for (const Label& option : unused) {
    return InvalidArgument("has the option `" + option.name + "`, which the plugin does not use");
  }
  return out + rest;
}

}  // namespace basalt::slo
