// engine/http/api/endpoint.h -- what all endpoints share: parameters, tenant, snapshot,
// registration.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/http/api/answer.h"
#include "engine/http/api/api.h"
#include "engine/http/message.h"
#include "engine/http/router.h"
#include "engine/http/url.h"
#include "storage/reader.h"

namespace basalt::http::api {

// One request of the API, its parameters read.
struct Call {
  const ApiContext& context;
  const Request& request;
  Form form;  // body first, then URL, as Go's FormValue has it
  Status
      form_error;  // what of them could not be read; most endpoints go on without, as upstream does
  TenantId tenant = kDefaultTenant;

  // The parameter as a time; `fallback` if it is absent or empty. Errors in upstream's words.
  [[nodiscard]] Result<Timestamp> TimeParam(std::string_view name, Timestamp fallback) const;
  // What this request may see; honours `min_seq=<lane>:<seq>`, waiting at most kReadYourWritesWait.
  [[nodiscard]] Result<std::shared_ptr<const storage::Snapshot>> TakeSnapshot() const;
};

inline constexpr Duration kReadYourWritesWait = std::chrono::seconds(10);

using Endpoint = std::function<Answer(Call&)>;
using SharedContext = std::shared_ptr<const ApiContext>;

// Adds `endpoint` for each method, on the executor of `route_class`. Answers 503 while the context
// is not ready, and 400 if the tenant header is wrong.
void AddEndpoint(const SharedContext& context, Router& router, std::vector<Method> methods,
                 std::string_view pattern, Endpoint endpoint,
                 RouteClass route_class = RouteClass::kQuery);

// The same for an answer that is no JSON: `endpoint` writes it itself.
using RawEndpoint = std::function<void(Call&, ResponseWriter)>;
void AddRawEndpoint(const SharedContext& context, Router& router, std::vector<Method> methods,
                    std::string_view pattern, RawEndpoint endpoint);

// match[] as matcher sets. kInvalidArgument in upstream's words, also for a set that matches an
// absent label only.
Result<std::vector<storage::MatcherSet>> ParseMatchers(
    const std::vector<std::string_view>& selectors);

// One family each; api.cc calls them.
void RegisterQuery(const SharedContext& context, Router& router);
void RegisterLabels(const SharedContext& context, Router& router);
void RegisterExport(const SharedContext& context, Router& router);
void RegisterExemplars(const SharedContext& context, Router& router);
void RegisterDeletes(const SharedContext& context, Router& router);
void RegisterMetadata(const SharedContext& context, Router& router);
void RegisterExpressions(const SharedContext& context, Router& router);
void RegisterRules(const SharedContext& context, Router& router);
void RegisterSlo(const SharedContext& context, Router& router);
void RegisterSloExclusions(const SharedContext& context, Router& router);
void RegisterSloExplanations(const SharedContext& context, Router& router);
void RegisterSloSimulation(const SharedContext& context, Router& router);
void RegisterSloAlerts(const SharedContext& context, Router& router);
void RegisterStatus(const SharedContext& context, Router& router);
void RegisterMaintenance(const SharedContext& context, Router& router);
void RegisterAdmin(const SharedContext& context, Router& router);
void RegisterWrites(const SharedContext& context, Router& router);

}  // namespace basalt::http::api
