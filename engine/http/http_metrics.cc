#include "engine/http/http_metrics.h"

#include <string>

namespace basalt::http {
namespace {

constexpr std::array<std::string_view, kRefusals> kReasons = {
    "malformed",   "too_large",      "body_memory",  "queue_full",
    "connections", "header_timeout", "body_timeout", "write_timeout"};

}  // namespace

HttpMetrics::HttpMetrics(metrics::Registry* registry) : registry_(registry) {
  if (registry == nullptr) return;
  for (size_t i = 0; i < kRouteClasses; ++i) {
    seconds_[i] = &registry->AddHistogram(
        "basalt_http_request_duration_seconds",
        "From the end of a request's header to the end of its answer.", metrics::DurationBounds(),
        Labels{{"class", std::string(RouteClassName(static_cast<RouteClass>(i)))}});
  }
  for (size_t i = 0; i < kRefusals; ++i) {
    refusals_[i] = &registry->AddCounter("basalt_http_refused_total",
                                         "Requests and connections turned away without a handler.",
                                         Labels{{"reason", std::string(kReasons[i])}});
  }
  connections_ =
      &registry->AddCounter("basalt_http_connections_accepted_total", "Connections accepted.");
  received_ = &registry->AddCounter("basalt_http_received_bytes_total", "Bytes read from clients.");
  sent_ = &registry->AddCounter("basalt_http_sent_bytes_total", "Bytes written to clients.");
  open_ = &registry->AddGauge("basalt_http_connections", "Connections open now.");
}

void HttpMetrics::CountRequest(RouteClass route_class, int status, double seconds) {
  if (registry_ == nullptr || status < 0 || status >= 600) return;
  const auto index = static_cast<size_t>(route_class);
  std::atomic<metrics::Counter*>& slot = requests_[index][static_cast<size_t>(status)];
  metrics::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may come here together; the registry gives both the same counter.
    counter = &registry_->AddCounter("basalt_http_requests_total", "Requests answered.",
                                     Labels{{"class", std::string(RouteClassName(route_class))},
                                            {"code", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->Add();
  seconds_[index]->Observe(seconds);
}

void HttpMetrics::CountRefusal(Refusal reason) {
  if (registry_ != nullptr) refusals_[static_cast<size_t>(reason)]->Add();
}

void HttpMetrics::CountConnection() {
  if (registry_ != nullptr) connections_->Add();
}

void HttpMetrics::CountBytes(size_t received, size_t sent) {
  if (registry_ == nullptr) return;
  if (received > 0) received_->Add(received);
  if (sent > 0) sent_->Add(sent);
}

void HttpMetrics::AddOpen(int delta) {
  if (registry_ != nullptr) open_->Add(delta);
}

}  // namespace basalt::http
