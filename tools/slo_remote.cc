#include "tools/slo_remote.h"

#include <simdjson.h>

#include <chrono>
#include <string_view>

#include "engine/http/client.h"
#include "engine/http/url.h"
#include "engine/slo/slo_files.h"

namespace basalt::cli {
namespace {

namespace dom = simdjson::dom;

// Thirty days of a thousand series take seconds; a loaded server may take longer.
constexpr Duration kTimeout = std::chrono::minutes(10);
constexpr size_t kMaxAnswerBytes = 256u << 20;

void AddParameter(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += name;
  form += '=';
  form += http::EncodeComponent(value);
}

std::string Text(const dom::element& at, const char* key) {
  std::string_view text;
  return at[key].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}
double Number(const dom::element& at, const char* key) {
  double value = 0;
  return at[key].get(value) == simdjson::SUCCESS ? value : 0;
}
int64_t Integer(const dom::element& at, const char* key) {
  int64_t value = 0;
  return at[key].get(value) == simdjson::SUCCESS ? value : 0;
}

slo::SimulatedAlert AlertOf(const dom::element& at) {
  slo::SimulatedAlert alert;
  alert.slo = Text(at, "slo");
  alert.severity = Text(at, "severity") == "page" ? slo::Severity::kPage : slo::Severity::kTicket;
  alert.starts_ms = Integer(at, "startsMs");
  bool held_back = false;
  if (at["heldBack"].get(held_back) == simdjson::SUCCESS) alert.held_back = held_back;
  int64_t ends_ms = 0;
  if (at["endsMs"].get(ends_ms) == simdjson::SUCCESS) alert.ends_ms = ends_ms;
  dom::object labels;
  if (at["group"].get(labels) == simdjson::SUCCESS) {
    for (const auto [name, value] : labels) {
      std::string_view text;
      if (value.get(text) == simdjson::SUCCESS) alert.group.Set(name, text);
    }
  }
  return alert;
}

Result<slo::SimulationReport> ReportOf(const std::string& body) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(body).get(root) != simdjson::SUCCESS) {
    return Unavailable("the server's answer is not JSON");
  }
  if (Text(root, "status") != "success") return InvalidArgument(Text(root, "error"));
  slo::SimulationReport report;
  dom::element data;
  dom::array slos;
  dom::array alerts;
  if (root["data"].get(data) != simdjson::SUCCESS || data["slos"].get(slos) != simdjson::SUCCESS ||
      data["alerts"].get(alerts) != simdjson::SUCCESS) {
    return Unavailable("the server's answer lacks `slos` or `alerts`");
  }
  report.rounds = static_cast<uint64_t>(Integer(data, "rounds"));
  for (const dom::element at : slos) {
    report.slos.push_back({Text(at, "id"), static_cast<size_t>(Integer(at, "groups")),
                           Number(at, "bad"), Number(at, "total"), Number(at, "budget")});
  }
  for (const dom::element at : alerts) report.alerts.push_back(AlertOf(at));
  return report;
}

}  // namespace

Result<slo::SimulationReport> SimulateOnServer(const std::string& url,
                                               const std::vector<std::string>& paths,
                                               const slo::SimulationOptions& options,
                                               const std::vector<std::string>& injections) {
  BASALT_TRY_ASSIGN(const std::string text, slo::ReadSloFiles(paths));
  std::string form;
  AddParameter(form, "slos", text);
  AddParameter(form, "from", std::to_string(static_cast<double>(options.from_ms) / 1000));
  AddParameter(form, "to", std::to_string(static_cast<double>(options.to_ms) / 1000));
  for (const std::string& injection : injections) AddParameter(form, "inject", injection);
  BASALT_TRY_ASSIGN(http::Url parsed, http::ParseUrl(url));
  http::Client client(std::move(parsed),
                      {.timeout = kTimeout, .max_response_bytes = kMaxAnswerBytes});
  BASALT_TRY_ASSIGN(const http::ClientResponse response,
                    client.Send("POST", "/api/v1/slo/simulate",
                                {{"Content-Type", "application/x-www-form-urlencoded"}}, form));
  return ReportOf(response.body);
}

}  // namespace basalt::cli
