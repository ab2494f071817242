// /api/v1/labels, /api/v1/label/<name>/values, /api/v1/series.
#include "engine/base/labels.h"

#include <memory>
#include <utility>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "query/promql/text.h"

namespace basalt::http::api {
namespace {

// What the three have in common. `error` is set if a parameter is wrong; they are looked at in
// upstream's order.
struct Lookup {
  std::optional<Answer> error;
  size_t limit = 0;
  storage::TimeRange range;
  std::vector<storage::MatcherSet> matchers;
};

Lookup ParseLookup(const Call& call, bool name_the_match_parameter) {
  Lookup lookup;
  const Result<size_t> limit = ParseLimit(call.form.Get("limit"));
  const Result<Timestamp> start = call.TimeParam("start", kMinTime);
  const Result<Timestamp> end = call.TimeParam("end", kMaxTime);
  Result<std::vector<storage::MatcherSet>> matchers = ParseMatchers(call.form.All("match[]"));
  if (!limit.ok()) {
    lookup.error = InvalidParameter("limit", limit.status());
  } else if (!start.ok()) {
    lookup.error = InvalidParameter("start", start.status());
  } else if (!end.ok()) {
    lookup.error = InvalidParameter("end", end.status());
  } else if (!matchers.ok()) {
    lookup.error = name_the_match_parameter ? InvalidParameter("match[]", matchers.status())
                                            : FailWith(matchers.status());
  } else {
    lookup.limit = *limit;
    lookup.range = {ToMs(*start), ToMs(*end)};
    lookup.matchers = std::move(*matchers);
  }
  return lookup;
}

Annotations MakeAnnotations(const storage::Snapshot& snapshot, bool truncated) {
  Annotations annotations;
  annotations.warnings = snapshot.Warnings();
  if (truncated) annotations.warnings.emplace_back(kTruncatedWarning);
  return annotations;
}

Answer AnswerStrings(const storage::Snapshot& snapshot, Result<std::vector<std::string>> found,
                     bool truncated) {
  if (!found.ok()) return FailWith(found.status());
  auto texts = std::make_shared<const std::vector<std::string>>(std::move(*found));
  return SucceedWithList(
      texts->size(), [texts](size_t i, JsonWriter& json) { json.String((*texts)[i]); },
      MakeAnnotations(snapshot, truncated));
}

Answer LabelNames(Call& call) {
  Lookup lookup = ParseLookup(call, /*name_the_match_parameter=*/false);
  if (lookup.error.has_value()) return std::move(*lookup.error);
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  bool truncated = false;
  auto names =
      (*snapshot)->LabelNames(call.tenant, lookup.matchers, lookup.range, lookup.limit, truncated);
  return AnswerStrings(**snapshot, std::move(names), truncated);
}

Answer LabelValues(Call& call) {
  const std::string name = UnescapeLabelName(call.request.path_param("name"));
  if (name.empty() || !IsValidUtf8(name)) {
    std::string text = "invalid label name: ";
    promql::AppendGoQuoted(name, text);
    return Fail(ErrorType::kBadData, text);
  }
  Lookup lookup = ParseLookup(call, /*name_the_match_parameter=*/false);
  if (lookup.error.has_value()) return std::move(*lookup.error);
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  bool truncated = false;
  auto values = (*snapshot)->LabelValues(call.tenant, name, lookup.matchers, lookup.range,
                                         lookup.limit, truncated);
  return AnswerStrings(**snapshot, std::move(values), truncated);
}

Answer Series(Call& call) {
  if (!call.form_error.ok())
    return FailWith(call.form_error.WithContext("error parsing form values"));
  if (call.form.All("match[]").empty())
    return Fail(ErrorType::kBadData, "no match[] parameter provided");
  Lookup lookup = ParseLookup(call, /*name_the_match_parameter=*/true);
  if (lookup.error.has_value()) return std::move(*lookup.error);
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  bool truncated = false;
  auto found =
      (*snapshot)->Series(call.tenant, lookup.matchers, lookup.range, lookup.limit, truncated);
  if (!found.ok()) return FailWith(found.status());
  auto series = std::make_shared<const std::vector<Labels>>(std::move(*found));
  return SucceedWithList(
      series->size(), [series](size_t i, JsonWriter& json) { json.LabelSet((*series)[i]); },
      MakeAnnotations(**snapshot, truncated));
}

}  // namespace

void RegisterLabels(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/labels", LabelNames);
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/label/{name}/values", LabelValues);
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/series", Series);
}

}  // namespace basalt::http::api
