// engine/http/api/slo_json.h -- what the answers about SLOs share: fields that may be null,
// windows, how many groups are shown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/json_writer.h"
#include "engine/slo/view.h"

namespace basalt::http::api {

// `key` and its value; null if there is none.
void WriteOptional(std::string_view key, const std::optional<double>& value, JsonWriter& json);
void WriteOptional(std::string_view key, const std::optional<Timestamp>& time, JsonWriter& json);
void WriteNumber(std::string_view key, double value, JsonWriter& json);
void WriteCount(std::string_view key, uint64_t value, JsonWriter& json);

void WriteWindow(const slo::WindowView& window, JsonWriter& json);

// A parameter that is a whole number up to `most`; `fallback` if it is absent. kInvalidArgument:
// `"x" is not a number up to 100`.
Result<size_t> CountParam(const Call& call, std::string_view name, size_t fallback, size_t most);

// The parameter max_groups.
Result<size_t> GroupsShown(const Call& call);

Answer NoSuchSlo(std::string_view id);
// kNotFound is 404 here, and not an error of execution.
Answer FailAs(const Status& status);

}  // namespace basalt::http::api
