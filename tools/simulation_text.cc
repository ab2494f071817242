#include "tools/simulation_text.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "engine/http/api/params.h"
#include "query/promql/durations.h"

namespace basalt::cli {
namespace {

Result<slo::Fraction> ParseShare(const std::string& text) {
  const bool percent = text.ends_with('%');
  const std::string number = percent ? text.substr(0, text.size() - 1) : text;
  BASALT_TRY_ASSIGN(const slo::Fraction value, slo::ParseDecimal(number));
  BASALT_TRY_ASSIGN(const slo::Fraction share,
                    slo::Multiply(value, slo::Fraction{1, percent ? 100 : 1}));
  if (share.num <= 0 || share.num > share.den) {
    return InvalidArgument("error=" + text + " is not a share above 0 and up to 100%");
  }
  return share;
}

}  // namespace

Result<int64_t> ParseMoment(const std::string& text, int64_t base_ms) {
  if (text.starts_with('-')) {
    BASALT_TRY_ASSIGN(const Duration ago, promql::ParseDuration(text.substr(1)));
    return base_ms - ago.count();
  }
  BASALT_TRY_ASSIGN(const Timestamp time, http::api::ParseTime(text));
  return ToMs(time);
}

Result<slo::Injection> ParseInjection(const std::string& text, int64_t now_ms) {
  std::istringstream words(text);
  std::string word;
  words >> word;
  slo::Injection injection;
  BASALT_TRY_ASSIGN(injection.from_ms, ParseMoment(word, now_ms));
  while (words >> word) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (key == "for") {
      BASALT_TRY_ASSIGN(const Duration length, promql::ParseDuration(value));
      injection.to_ms = injection.from_ms + length.count();
    } else if (key == "error") {
      BASALT_TRY_ASSIGN(injection.share, ParseShare(value));
    } else if (key == "slo") {
      injection.slo = value;
    } else {
      return InvalidArgument("\"" + word + "\" is not for=, error= or slo=");
    }
  }
  if (injection.to_ms <= injection.from_ms) return InvalidArgument("needs for=LENGTH");
  return injection;
}

Result<std::vector<slo::Incident>> ReadIncidents(const std::string& path, int64_t now_ms) {
  std::ifstream in(path);
  if (!in) return NotFound(path + " cannot be read");
  std::vector<slo::Incident> incidents;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == ',' && fields.size() < 4) {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    fields.resize(std::max<size_t>(fields.size(), 4));
    if (number == 1 && fields[0] == "from") continue;  // a heading
    const std::string where = path + ":" + std::to_string(number);
    const Result<int64_t> from = ParseMoment(fields[0], now_ms);
    if (!from.ok()) return from.status().WithContext(where + ": from");
    const Result<int64_t> to = ParseMoment(fields[1], now_ms);
    if (!to.ok()) return to.status().WithContext(where + ": to");
    if (*to <= *from) return InvalidArgument(where + ": `to` is not after `from`");
    incidents.push_back({*from, *to, fields[2], fields[3]});
  }
  if (incidents.empty()) return InvalidArgument(path + " holds no incident");
  return incidents;
}

}  // namespace basalt::cli
