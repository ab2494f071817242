#include "engine/http/api/slo_json.h"

#include <charconv>
#include <string>

#include "query/promql/durations.h"

namespace basalt::http::api {
namespace {

constexpr size_t kGroupsShown = 100;
constexpr size_t kMaxGroupsShown = 100'000;

}  // namespace

void WriteOptional(std::string_view key, const std::optional<double>& value, JsonWriter& json) {
  json.Key(key);
  if (value.has_value()) {
    json.Float(*value);
  } else {
    json.Null();
  }
}

void WriteNumber(std::string_view key, double value, JsonWriter& json) {
  json.Key(key);
  json.Float(value);
}

void WriteOptional(std::string_view key, const std::optional<Timestamp>& time, JsonWriter& json) {
  json.Key(key);
  if (time.has_value()) {
    json.Time(*time);
  } else {
    json.Null();
  }
}

void WriteCount(std::string_view key, uint64_t value, JsonWriter& json) {
  json.Key(key);
  json.Uint(value);
}

void WriteWindow(const slo::WindowView& window, JsonWriter& json) {
  json.BeginObject();
  json.Field("window", promql::FormatDuration(window.length));
  WriteNumber("bad", window.bad, json);
  WriteNumber("total", window.total, json);
  WriteOptional("ratio", window.ratio, json);
  WriteOptional("burnRate", window.burn_rate, json);
  json.Field("exact", window.exact);
  json.EndObject();
}

Result<size_t> CountParam(const Call& call, std::string_view name, size_t fallback, size_t most) {
  const std::string_view text = call.form.Get(name);
  if (text.empty()) return fallback;
  size_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size() || value > most) {
    return InvalidArgument("\"" + std::string(text) + "\" is not a number up to " +
                           std::to_string(most));
  }
  return value;
}

Result<size_t> GroupsShown(const Call& call) {
  return CountParam(call, "max_groups", kGroupsShown, kMaxGroupsShown);
}

Answer NoSuchSlo(std::string_view id) {
  return Fail(ErrorType::kNotFound,
              "no SLO has the id \"" + std::string(id) + "\"; /api/v1/slo lists them");
}

Answer FailAs(const Status& status) {
  return status.code() == StatusCode::kNotFound
             ? Fail(ErrorType::kNotFound, std::string(status.message()))
             : FailWith(status);
}

}  // namespace basalt::http::api
