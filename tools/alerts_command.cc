#include "tools/alerts_command.h"

#include <simdjson.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "engine/http/url.h"
#include "tools/server_call.h"

namespace basalt::cli {
namespace {

namespace dom = simdjson::dom;

std::string Path(std::string path,
                 std::initializer_list<std::pair<std::string_view, std::string>> parameters) {
  char joint = '?';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    path += joint;
    path += std::string(name) + "=" + http::EncodeComponent(value);
    joint = '&';
  }
  return path;
}

std::string AlertPath(const AlertsOptions& options, const char* what) {
  return "/api/v1/slo/alerts/" + http::EncodeComponent(options.alert) + "/" + what;
}

std::string Who(const AlertsOptions& options) {
  if (!options.by.empty()) return options.by;
  const char* user = std::getenv("USER");
  return user == nullptr ? "" : user;
}

int Failed(const Status& status) {
  std::fprintf(stderr, "basalt alerts: %s\n", std::string(status.message()).c_str());
  return 1;
}

std::string Text(const dom::element& at, const char* key) {
  std::string_view text;
  return at[key].get(text) == simdjson::SUCCESS ? std::string(text) : "-";
}

void PrintLine(const dom::element& alert) {
  const std::string acknowledged = Text(alert, "acknowledgedBy");
  dom::element feedback;
  const bool judged = alert["feedback"].get(feedback) == simdjson::SUCCESS && !feedback.is_null();
  std::printf("%-8s %-24s %-8s %-6s %-16s %-30s %-14s %s\n", Text(alert, "id").c_str(),
              Text(alert, "startsAt").c_str(), Text(alert, "state").c_str(),
              Text(alert, "severity").c_str(), Text(alert, "team").c_str(),
              Text(alert, "slo").c_str(), acknowledged.empty() ? "-" : acknowledged.c_str(),
              judged ? Text(feedback, "actionable").c_str() : "-");
}

}  // namespace

int RunAlertsList(const AlertsOptions& options) {
  const auto answer =
      CallServer(options.url, "GET",
                 Path("/api/v1/slo/alerts", {{"team", options.team},
                                             {"state", options.state},
                                             {"limit", std::to_string(options.limit)}}));
  if (!answer.ok()) return Failed(answer.status());
  dom::parser parser;
  dom::element root;
  dom::array alerts;
  if (parser.parse(*answer).get(root) != simdjson::SUCCESS ||
      root["data"]["alerts"].get(alerts) != simdjson::SUCCESS) {
    return Failed(Unavailable("the server's answer lacks `alerts`"));
  }
  std::printf("%-8s %-24s %-8s %-6s %-16s %-30s %-14s %s\n", "id", "since", "state", "kind", "team",
              "slo", "acknowledged", "actionable");
  for (const dom::element alert : alerts) PrintLine(alert);
  return 0;
}

int RunAlertsAcknowledge(const AlertsOptions& options) {
  const auto answer = CallServer(options.url, "POST",
                                 Path(AlertPath(options, "acknowledge"), {{"by", Who(options)}}));
  if (!answer.ok()) return Failed(answer.status());
  std::printf("acknowledged\n");
  return 0;
}

int RunAlertsFeedback(const AlertsOptions& options) {
  const auto answer =
      CallServer(options.url, "POST",
                 Path(AlertPath(options, "feedback"), {{"actionable", options.actionable},
                                                       {"minutes", std::to_string(options.minutes)},
                                                       {"by", Who(options)},
                                                       {"ticket", options.ticket},
                                                       {"note", options.note}}));
  if (!answer.ok()) return Failed(answer.status());
  std::printf("noted\n");
  return 0;
}

int RunAlertsReport(const AlertsOptions& options) {
  const auto answer =
      CallServer(options.url, "GET",
                 Path("/api/v1/slo/alerts/report",
                      {{"month", options.month}, {"team", options.team}, {"format", "md"}}));
  if (!answer.ok()) return Failed(answer.status());
  std::fwrite(answer->data(), 1, answer->size(), stdout);
  return 0;
}

}  // namespace basalt::cli
