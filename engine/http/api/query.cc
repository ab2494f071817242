// /api/v1/query and /api/v1/query_range.
#include <algorithm>
#include <stop_token>
#include <utility>
#include <variant>

#include "engine/base/labels.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "engine/http/api/query_body.h"
#include "query/engine.h"
#include "query/promql/parser.h"
#include "query/promql/text.h"

namespace basalt::http::api {
namespace {

// `timeout`, `lookback_delta` and `downsample`; the rest is looked at in upstream's order by the
// endpoints.
std::optional<Answer> ReadOptions(const Call& call, query::QueryOptions& options) {
  if (const std::string_view text = call.form.Get("timeout"); !text.empty()) {
    const Result<Duration> timeout = ParseDurationParam(text);
    if (!timeout.ok()) return InvalidParameter("timeout", timeout.status());
    // One that is over before it begins times out, but not before the query was parsed.
    if (*timeout <= Duration::zero()) {
      const Result<promql::ExprPtr> expr = promql::ParseExpr(call.form.Get("query"));
      if (!expr.ok()) return InvalidParameter("query", expr.status());
      return Fail(ErrorType::kTimeout,
                  "query timed out in query execution: its timeout is not above 0");
    }
    options.timeout = std::min(*timeout, call.context.engine->options().timeout);
  }
  if (const std::string_view text = call.form.Get("lookback_delta"); !text.empty()) {
    const Result<Duration> lookback = ParseDurationParam(text);
    if (!lookback.ok())
      return FailWith(lookback.status().WithContext("error parsing lookback delta duration"));
    options.lookback = std::max(*lookback, Duration(0));
  }
  if (const std::string_view text = call.form.Get("downsample"); !text.empty()) {
    if (text != "auto") {
      return InvalidParameter("downsample",
                              InvalidArgument("\"" + std::string(text) + "\" is not \"auto\""));
    }
    options.downsample = query::Downsample::kAuto;
  }
  return std::nullopt;
}

StatsLevel ReadStats(std::string_view text, Annotations& annotations) {
  if (text.empty()) return StatsLevel::kNone;
  if (text == "all") return StatsLevel::kAll;
  if (text != "true") {
    std::string warning = "value ";
    promql::AppendGoQuoted(text, warning);
    warning +=
        R"( for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all")";
    annotations.warnings.push_back(std::move(warning));
  }
  return StatsLevel::kBasic;
}

// Cuts a vector or matrix; true if anything was cut.
bool Truncate(query::Value& value, size_t limit) {
  const auto cut = [limit](auto& elements) {
    if (limit == 0 || elements.size() <= limit) return false;
    elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(limit), elements.end());
    return true;
  };
  if (auto* vector = std::get_if<query::Vector>(&value)) return cut(*vector);
  if (auto* matrix = std::get_if<query::Matrix>(&value)) return cut(*matrix);
  return false;
}

Answer FailQuery(const Status& status) {
  switch (query::ErrorKindOf(status)) {
    case query::ErrorKind::kBadData:
      return InvalidParameter("query", status);
    case query::ErrorKind::kExecution:
      return Fail(ErrorType::kExecution, status.message());
    case query::ErrorKind::kCanceled:
      return Fail(ErrorType::kCanceled, status.message());
    case query::ErrorKind::kTimeout:
      return Fail(ErrorType::kTimeout, status.message());
    case query::ErrorKind::kInternal:
      return Fail(ErrorType::kInternal, status.message());
  }
  return Fail(ErrorType::kInternal, status.message());
}

// Runs `evaluate(snapshot, options)` so that a client that leaves stops it, and makes the answer of
// what it gives.
template <typename Evaluate>
Answer RunQuery(const Call& call, size_t limit, query::QueryOptions options, Evaluate evaluate) {
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  query::CancelToken cancel;
  const std::stop_callback on_stop(call.request.cancel, [&cancel] { cancel.Cancel(); });
  options.cancel = &cancel;
  const std::string_view no_cache = call.form.Get("nocache");
  options.trace = call.form.Get("stats") == "all";
  options.no_cache = !no_cache.empty() && no_cache != "0" && no_cache != "false";
  Result<query::QueryResult> result = evaluate(**snapshot, options);
  if (!result.ok()) return FailQuery(result.status());

  Annotations annotations{std::move(result->warnings), std::move(result->infos)};
  for (std::string& warning : (*snapshot)->Warnings()) {
    if (std::find(annotations.warnings.begin(), annotations.warnings.end(), warning) ==
        annotations.warnings.end()) {
      annotations.warnings.push_back(std::move(warning));
    }
  }
  if (Truncate(result->value, limit)) annotations.warnings.emplace_back(kTruncatedWarning);
  const StatsLevel stats = ReadStats(call.form.Get("stats"), annotations);
  Answer answer;
  answer.head.content_type = "application/json";
  answer.stream = std::make_unique<QueryBody>(std::move(*result), std::move(annotations), stats);
  return answer;
}

bool WantsExplanation(const Call& call) {
  const std::string_view text = call.form.Get("explain");
  return !text.empty() && text != "0" && text != "false";
}

// {"plan":["fold partitions: ...", ...]}, and nothing is evaluated.
Answer Explain(const Call& call, Timestamp start, Timestamp end, Duration step,
               const query::QueryOptions& options) {
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  const Result<std::vector<std::string>> lines = call.context.engine->Explain(
      **snapshot, call.tenant, call.form.Get("query"), start, end, step, options);
  if (!lines.ok()) return FailQuery(lines.status());
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("plan");
  json.BeginArray();
  for (const std::string& line : *lines) json.String(line);
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

Answer InstantQuery(Call& call) {
  const Result<size_t> limit = ParseLimit(call.form.Get("limit"));
  if (!limit.ok()) return InvalidParameter("limit", limit.status());
  const Result<Timestamp> time = call.TimeParam("time", call.context.clock->Now());
  if (!time.ok()) return InvalidParameter("time", time.status());
  query::QueryOptions options;
  if (std::optional<Answer> error = ReadOptions(call, options)) return std::move(*error);
  if (WantsExplanation(call)) return Explain(call, *time, *time, Duration(0), options);
  return RunQuery(call, *limit, options,
                  [&](const storage::Snapshot& snapshot, const query::QueryOptions& with) {
                    return call.context.engine->Instant(snapshot, call.tenant,
                                                        call.form.Get("query"), *time, with);
                  });
}

Answer RangeQuery(Call& call) {
  const Result<size_t> limit = ParseLimit(call.form.Get("limit"));
  if (!limit.ok()) return InvalidParameter("limit", limit.status());
  const Result<Timestamp> start = ParseTime(call.form.Get("start"));
  if (!start.ok()) return InvalidParameter("start", start.status());
  const Result<Timestamp> end = ParseTime(call.form.Get("end"));
  if (!end.ok()) return InvalidParameter("end", end.status());
  if (*end < *start)
    return InvalidParameter("end", InvalidArgument("end timestamp must not be before start time"));
  const Result<Duration> step = ParseDurationParam(call.form.Get("step"));
  if (!step.ok()) return InvalidParameter("step", step.status());
  if (*step <= Duration::zero()) {
    return InvalidParameter("step", InvalidArgument("zero or negative query resolution step widths "
                                                    "are not accepted. Try a positive integer"));
  }
  if (const Status status = query::CheckResolution(*start, *end, *step); !status.ok())
    return FailWith(status);
  query::QueryOptions options;
  if (std::optional<Answer> error = ReadOptions(call, options)) return std::move(*error);
  if (WantsExplanation(call)) return Explain(call, *start, *end, *step, options);
  return RunQuery(call, *limit, options,
                  [&](const storage::Snapshot& snapshot, const query::QueryOptions& with) {
                    return call.context.engine->Range(snapshot, call.tenant, call.form.Get("query"),
                                                      *start, *end, *step, with);
                  });
}

}  // namespace

void RegisterQuery(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/query", InstantQuery);
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/query_range", RangeQuery);
}

}  // namespace basalt::http::api
