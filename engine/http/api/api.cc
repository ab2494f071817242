#include "engine/http/api/api.h"

#include <memory>

#include "engine/http/api/endpoint.h"

namespace basalt::http::api {

void RegisterApi(const ApiContext& context, Router& router) {
  const auto shared = std::make_shared<const ApiContext>(context);
  RegisterQuery(shared, router);
  RegisterLabels(shared, router);
  RegisterExport(shared, router);
  RegisterExemplars(shared, router);
  RegisterDeletes(shared, router);
  RegisterMetadata(shared, router);
  RegisterExpressions(shared, router);
  RegisterRules(shared, router);
  RegisterSlo(shared, router);
  RegisterSloExclusions(shared, router);
  RegisterSloExplanations(shared, router);
  RegisterSloSimulation(shared, router);
  RegisterSloAlerts(shared, router);
  RegisterStatus(shared, router);
  RegisterMaintenance(shared, router);
  RegisterAdmin(shared, router);
  RegisterWrites(shared, router);
}

}  // namespace basalt::http::api
