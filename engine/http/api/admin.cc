// /, /-/healthy, /-/ready, /-/reload, /-/settle, /metrics.
#include <string>
#include <utility>

#include "engine/http/api/endpoint.h"
#include "storage/store.h"

namespace basalt::http::api {
namespace {

void AddAdmin(const SharedContext& context, Router& router, Method method, std::string_view pattern,
              Response (*respond)(const ApiContext&)) {
  router.Add(
      method, pattern,
      {RouteClass::kAdmin, kMaxFormBytes,
       [context, respond](Request, ResponseWriter writer) { writer.Send(respond(*context)); }});
}

// A full disk is no reason to restart the server or to send queries elsewhere, but it is said.
std::string WithDetail(const ApiContext& context, const char* text) {
  if (context.stats == nullptr) return text;
  const storage::StoreStats stats = context.stats();
  return stats.read_only ? std::string(text) + " It takes no writes: " + stats.read_only_reason
                         : text;
}

Response Healthy(const ApiContext& context) {
  return TextResponse(200, WithDetail(context, "Basalt is Healthy."));
}

Response Ready(const ApiContext& context) {
  const Status status = context.ready == nullptr ? OkStatus() : context.ready();
  if (status.ok()) return TextResponse(200, WithDetail(context, "Basalt is Ready."));
  return TextResponse(503, "Service Unavailable: " + std::string(status.message()));
}

Response Reload(const ApiContext& context) {
  const Status status = context.reload();
  Response done;
  return status.ok()
             ? done
             : TextResponse(500, "failed to reload config: " + std::string(status.message()));
}

Response Settle(const ApiContext& context) {
  const Status status = context.settle();
  return status.ok() ? TextResponse(200, "settled")
                     : TextResponse(500, "failed to settle: " + std::string(status.message()));
}

// For who opens the server in a browser: where to look. Grafana draws.
constexpr std::string_view kFrontPage = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Basalt</title>
<style>
body { font: 1rem/1.5 sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
:root { color-scheme: light dark; }
</style>
</head>
<body>
<h1>Basalt</h1>
<p>It answers <em>Prometheus</em>' HTTP API: give Grafana this address as a data source of that type.</p>
<ul>
<li><a href="-/ready">Is it ready?</a></li>
<li><a href="api/v1/query?query=up">An instant query: <code>up</code></a></li>
<li><a href="api/v1/slo">SLOs, their burn rates and budgets</a></li>
<li><a href="api/v1/alerts">Alerts that fire</a></li>
<li><a href="api/v1/status/tsdb">Series by metric and label</a></li>
<li><a href="api/v1/status/ingest">What is written, and what was refused</a></li>
<li><a href="api/v1/status/config">The configuration</a></li>
<li><a href="metrics">Its own metrics</a></li>
</ul>
</body>
</html>
)";

Response FrontPage(const ApiContext&) {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.body = kFrontPage;
  return response;
}

Response Metrics(const ApiContext& context) {
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics::RenderText(context.registry->Collect());
  return response;
}

}  // namespace

void RegisterAdmin(const SharedContext& context, Router& router) {
  AddAdmin(context, router, Method::kGet, "/", FrontPage);
  AddAdmin(context, router, Method::kGet, "/-/healthy", Healthy);
  AddAdmin(context, router, Method::kGet, "/-/ready", Ready);
  if (context->reload != nullptr) {
    AddAdmin(context, router, Method::kPost, "/-/reload", Reload);
    AddAdmin(context, router, Method::kPut, "/-/reload", Reload);
  }
  if (context->settle != nullptr) AddAdmin(context, router, Method::kPost, "/-/settle", Settle);
  if (context->registry != nullptr) AddAdmin(context, router, Method::kGet, "/metrics", Metrics);
}

}  // namespace basalt::http::api
