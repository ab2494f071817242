// storage.retention_rules: retention and downsampling by matchers.
#include <array>
#include <set>

#include "engine/admin/setting.h"
#include "engine/base/labels.h"
#include "query/promql/durations.h"
#include "query/promql/parser.h"

namespace basalt::admin {
namespace {

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

}  // namespace

Result<std::vector<storage::RetentionRule>> RetentionRules(const YAML::Node& node) {
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
      if (value != Duration(0))
        out += std::string(", ") + name + ": " + promql::FormatDuration(value);
    }
    out += '}';
  }
  return out + "]";
}

}  // namespace basalt::admin
