#include "tools/slo_remote.h"

#include <simdjson.h>

#include <algorithm>
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
  alert.setting = Text(at, "setting");
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

Result<slo::SimulationReport> ReportOf(const http::ClientResponse& response) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(response.body).get(root) != simdjson::SUCCESS) {
    return Unavailable("HTTP " + std::to_string(response.status) +
                       ", and the answer is not JSON; is it a Basalt server's base URL?");
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
                           Number(at, "bad"), Number(at, "total"), Number(at, "budget"),
                           Text(at, "setting")});
  }
  for (const dom::element at : alerts) report.alerts.push_back(AlertOf(at));
  return report;
}

}  // namespace

Result<slo::SimulationReport> SimulateOnServer(const std::string& url,
                                               const RemoteSimulation& simulation) {
  BASALT_TRY_ASSIGN(const std::string text, slo::ReadSloFiles(simulation.paths));
  std::string form;
  AddParameter(form, "slos", text);
  AddParameter(form, "from", std::to_string(static_cast<double>(simulation.from_ms) / 1000));
  AddParameter(form, "to", std::to_string(static_cast<double>(simulation.to_ms) / 1000));
  for (const std::string& injection : simulation.injections) {
    AddParameter(form, "inject", injection);
  }
  for (const std::string& sweep : simulation.sweeps) AddParameter(form, "sweep", sweep);
  Result<http::Url> parsed = http::ParseUrl(url);
  if (!parsed.ok()) return parsed.status().WithContext("--url " + url);
  http::Client client(std::move(parsed).value(),
                      {.timeout = kTimeout, .max_response_bytes = kMaxAnswerBytes});
  const Result<http::ClientResponse> response =
      client.Send("POST", "/api/v1/slo/simulate",
                  {{"Content-Type", "application/x-www-form-urlencoded"}}, form);
  if (!response.ok()) return response.status().WithContext("--url " + url);
  Result<slo::SimulationReport> report = ReportOf(*response);
  if (!report.ok()) return report.status().WithContext("--url " + url);
  // One from before sweeps ignores what it does not know, and simulates the files as they are.
  const bool knows_sweeps = std::none_of(report->slos.begin(), report->slos.end(),
                                         [](const auto& one) { return one.setting.empty(); });
  if (!simulation.sweeps.empty() && !knows_sweeps) {
    return Unimplemented("--url " + url +
                         ": the server knows of no sweeps; update it, or sweep over a backup of it "
                         "by --data");
  }
  return report;
}

}  // namespace basalt::cli
