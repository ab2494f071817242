#include "engine/http/api/endpoint.h"

#include <optional>
#include <utility>

#include "engine/http/api/params.h"
#include "query/promql/parser.h"
#include "query/promql/regex.h"

namespace basalt::http::api {
namespace {

bool HasFormBody(const Request& request) {
  if (request.method != Method::kPost && request.method != Method::kPut &&
      request.method != Method::kPatch)
    return false;
  const std::string_view type = request.headers.Get("Content-Type");
  return EqualsIgnoringCase(type.substr(0, type.find(';')), "application/x-www-form-urlencoded");
}

// What is wrong with the request before any endpoint looks at it.
std::optional<Answer> Read(const ApiContext& context, const Request& request, Call& call) {
  if (context.ready != nullptr) {
    if (const Status ready = context.ready(); !ready.ok())
      return Fail(ErrorType::kUnavailable, ready.message());
  }
  Result<TenantId> tenant = ParseTenant(request.headers.Get(kTenantHeader));
  if (!tenant.ok()) return Fail(ErrorType::kBadData, tenant.status().message());
  call.tenant = *tenant;
  if (HasFormBody(request)) call.form_error = call.form.Parse(request.body.view());
  const Status url_error = call.form.Parse(request.query);
  if (call.form_error.ok()) call.form_error = url_error;
  return std::nullopt;
}

Answer Run(const ApiContext& context, const Request& request, const Endpoint& endpoint) {
  Call call{context, request, {}, {}, kDefaultTenant};
  std::optional<Answer> refused = Read(context, request, call);
  return refused.has_value() ? *std::move(refused) : endpoint(call);
}

}  // namespace

Result<Timestamp> Call::TimeParam(std::string_view name, Timestamp fallback) const {
  const std::string_view text = form.Get(name);
  if (text.empty()) return fallback;
  Result<Timestamp> time = ParseTime(text);
  if (time.ok()) return time;
  return time.status().WithContext("invalid time value for '" + std::string(name) + "'");
}

Result<std::shared_ptr<const storage::Snapshot>> Call::TakeSnapshot() const {
  const std::string_view at_least = form.Get("min_seq");
  if (at_least.empty()) return context.reader->TakeSnapshot();
  const Result<LogPosition> position = ParseLogPosition(at_least);
  if (!position.ok()) return position.status().WithContext("invalid parameter \"min_seq\"");
  return context.reader->TakeSnapshot(*position, kReadYourWritesWait);
}

void AddEndpoint(const SharedContext& context, Router& router, std::vector<Method> methods,
                 std::string_view pattern, Endpoint endpoint, RouteClass route_class) {
  const Handler handler = [context, endpoint = std::move(endpoint)](Request request,
                                                                    ResponseWriter writer) {
    Answer answer = Run(*context, request, endpoint);
    request.body.Release();  // nothing needs the form while the answer goes out
    Deliver(std::move(answer), std::move(writer));
  };
  for (const Method method : methods)
    router.Add(method, pattern, {route_class, kMaxFormBytes, handler});
}

void AddRawEndpoint(const SharedContext& context, Router& router, std::vector<Method> methods,
                    std::string_view pattern, RawEndpoint endpoint) {
  const Handler handler = [context, endpoint = std::move(endpoint)](const Request& request,
                                                                    ResponseWriter writer) {
    Call call{*context, request, {}, {}, kDefaultTenant};
    if (std::optional<Answer> refused = Read(*context, request, call); refused.has_value())
      return Deliver(*std::move(refused), std::move(writer));
    endpoint(call, std::move(writer));
  };
  for (const Method method : methods)
    router.Add(method, pattern, {RouteClass::kQuery, kMaxFormBytes, handler});
}

Result<std::vector<storage::MatcherSet>> ParseMatchers(
    const std::vector<std::string_view>& selectors) {
  std::vector<storage::MatcherSet> sets;
  sets.reserve(selectors.size());
  for (const std::string_view selector : selectors) {
    BASALT_TRY_ASSIGN(storage::MatcherSet matchers, promql::ParseMetricSelector(selector));
    sets.push_back(std::move(matchers));
  }
  for (const storage::MatcherSet& matchers : sets) {
    bool selective = false;
    for (const storage::Matcher& matcher : matchers)
      selective = selective || !promql::MatchesEmpty(matcher);
    if (!selective) return InvalidArgument("match[] must contain at least one non-empty matcher");
  }
  return sets;
}

}  // namespace basalt::http::api
