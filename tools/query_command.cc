#include "tools/query_command.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/labels.h"
#include "engine/http/client.h"
#include "engine/http/url.h"
#include "query/promql/durations.h"
#include "tools/terminal.h"

namespace basalt::cli {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kGraphWidth = 60;
constexpr int64_t kDefaultSteps = 100;

struct Request {
  std::string path;
  std::string form;
};

void AddParameter(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += name;
  form += '=';
  form += http::EncodeComponent(value);
}

std::string Seconds(int64_t ms) { return std::to_string(static_cast<double>(ms) / 1000.0); }

Result<Request> MakeRequest(const QueryCommandOptions& options) {
  Request request;
  AddParameter(request.form, "query", options.expression);
  if (options.explain) AddParameter(request.form, "explain", "1");
  const bool is_range = !options.since.empty() || !options.start.empty();
  if (!is_range) {
    if (!options.end.empty() || !options.step.empty()) {
      return InvalidArgument("--end and --step need --start or --since");
    }
    request.path = "/api/v1/query";
    if (!options.time.empty()) AddParameter(request.form, "time", options.time);
    return request;
  }
  if (!options.time.empty())
    return InvalidArgument("--time is for an instant, --start and --since are for a range");
  if (!options.since.empty() && !options.start.empty())
    return InvalidArgument("--since or --start, not both");
  request.path = "/api/v1/query_range";
  const int64_t now_ms = ToMs(SystemClock().Now());
  std::string step = options.step;
  if (!options.since.empty()) {
    BASALT_TRY_ASSIGN(const Duration since, promql::ParseDuration(options.since));
    if (since <= Duration(0)) return InvalidArgument("--since: must be above 0s");
    AddParameter(request.form, "start", Seconds(now_ms - since.count()));
    if (step.empty()) step = Seconds(std::max<int64_t>(since.count() / kDefaultSteps, 1000));
  } else {
    AddParameter(request.form, "start", options.start);
    if (step.empty()) return InvalidArgument("--step is needed with --start");
  }
  AddParameter(request.form, "end", options.end.empty() ? Seconds(now_ms) : options.end);
  AddParameter(request.form, "step", step);
  return request;
}

std::string SeriesName(dom::element metric) {
  std::vector<Label> labels;
  dom::object object;
  if (metric.get(object) == simdjson::SUCCESS) {
    for (const auto [name, value] : object) {
      std::string_view text;
      if (value.get(text) == simdjson::SUCCESS)
        labels.push_back({std::string(name), std::string(text)});
    }
  }
  return Labels(std::move(labels)).ToString();
}

// [time, "value"], or [time, {histogram}].
std::string PointText(dom::element point) {
  std::string_view text;
  if (point.at(1).get(text) == simdjson::SUCCESS) return std::string(text);
  return simdjson::minify(point.at(1));
}

void PrintVector(dom::array result) {
  std::vector<std::vector<std::string>> rows = {{"SERIES", "VALUE"}};
  for (const dom::element series : result) {
    dom::element value;
    if (series["value"].get(value) != simdjson::SUCCESS &&
        series["histogram"].get(value) != simdjson::SUCCESS)
      continue;
    rows.push_back({SeriesName(series["metric"].value()), PointText(value)});
  }
  if (rows.size() == 1) {
    std::printf("no series\n");
    return;
  }
  std::fputs(Table(rows).c_str(), stdout);
}

void PrintMatrix(dom::array result) {
  std::vector<std::vector<std::string>> rows = {{"SERIES", "MIN", "MAX", "LAST", "GRAPH"}};
  for (const dom::element series : result) {
    std::vector<double> values;
    dom::array points;
    if (series["values"].get(points) == simdjson::SUCCESS) {
      for (const dom::element point : points)
        values.push_back(std::strtod(PointText(point).c_str(), nullptr));
    }
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const double v : values) low = std::fmin(low, v), high = std::fmax(high, v);
    const auto number = [](double v) {
      std::array<char, 32> text{};
      std::snprintf(text.data(), text.size(), "%.6g", v);
      return std::string(text.data());
    };
    if (values.empty()) {
      rows.push_back(
          {SeriesName(series["metric"].value()), "", "", "", "(native histograms; see --json)"});
    } else {
      rows.push_back({SeriesName(series["metric"].value()), number(low), number(high),
                      number(values.back()), Sparkline(Resample(values, kGraphWidth))});
    }
  }
  if (rows.size() == 1) {
    std::printf("no series\n");
    return;
  }
  std::fputs(Table(rows).c_str(), stdout);
}

Status Print(const std::string& body) {
  dom::parser parser;
  dom::element answer;
  if (parser.parse(body).get(answer) != simdjson::SUCCESS) {
    return Internal("the server's answer is no JSON: " + body.substr(0, 200));
  }
  std::string_view text;
  if (answer["error"].get(text) == simdjson::SUCCESS) return InvalidArgument(std::string(text));
  for (const char* kind : {"warnings", "infos"}) {
    dom::array notes;
    if (answer[kind].get(notes) != simdjson::SUCCESS) continue;
    for (const dom::element note : notes) {
      if (note.get(text) == simdjson::SUCCESS) {
        std::fprintf(stderr, "%s: %.*s\n", kind, static_cast<int>(text.size()), text.data());
      }
    }
  }
  dom::array plan;
  if (answer["data"]["plan"].get(plan) == simdjson::SUCCESS) {
    for (const dom::element line : plan) {
      if (line.get(text) == simdjson::SUCCESS)
        std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
    }
    return OkStatus();
  }
  dom::element result;
  std::string_view type;
  if (answer["data"]["resultType"].get(type) != simdjson::SUCCESS ||
      answer["data"]["result"].get(result) != simdjson::SUCCESS) {
    return Internal("the server's answer has no result: " + body.substr(0, 200));
  }
  if (type == "matrix") {
    PrintMatrix(result.get_array());
  } else if (type == "vector") {
    PrintVector(result.get_array());
  } else {
    std::printf("%s\n", PointText(result).c_str());
  }
  return OkStatus();
}

Status Query(const QueryCommandOptions& options) {
  BASALT_TRY_ASSIGN(http::Url url, http::ParseUrl(options.url));
  BASALT_TRY_ASSIGN(const Request request, MakeRequest(options));
  http::Client client(std::move(url), {.timeout = std::chrono::minutes(5)});
  auto response = client.Send(
      "POST", request.path, {{"Content-Type", "application/x-www-form-urlencoded"}}, request.form);
  if (!response.ok()) {
    return response.status().WithContext("is 'basalt serve' running? (--url says where)");
  }
  if (options.json) {
    std::printf("%s\n", response->body.c_str());
    return response->status == 200
               ? OkStatus()
               : InvalidArgument("HTTP status " + std::to_string(response->status));
  }
  return Print(response->body);
}

}  // namespace

int RunQuery(const QueryCommandOptions& options) {
  const Status status = Query(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "basalt query: %.*s\n", static_cast<int>(status.message().size()),
               status.message().data());
  return 1;
}

}  // namespace basalt::cli
