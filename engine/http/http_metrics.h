// engine/http/http_metrics.h -- what the server counts. Names in engine/http/README.md.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "engine/base/metrics.h"
#include "engine/http/router.h"

namespace basalt::http {

// Why a request or a connection was turned away without a handler.
enum class Refusal : uint8_t {
  kMalformed,      // 400, 417, 431, 501
  kTooLarge,       // 413
  kBodyMemory,     // 503
  kQueueFull,      // 503
  kConnections,    // 503
  kHeaderTimeout,  // 408
  kBodyTimeout,    // 408
  kWriteTimeout,   // cut
};
inline constexpr size_t kRefusals = 8;

// Thread-safe.
class HttpMetrics {
 public:
  // Null counts nothing.
  explicit HttpMetrics(metrics::Registry* registry);

  void CountRequest(RouteClass route_class, int status, double seconds);
  void CountRefusal(Refusal reason);
  void CountConnection();
  void CountBytes(size_t received, size_t sent);
  void AddOpen(int delta);

 private:
  metrics::Registry* const registry_;
  // Found at the first request with that status; statuses are few and below 600.
  std::array<std::array<std::atomic<metrics::Counter*>, 600>, kRouteClasses> requests_{};
  std::array<metrics::Histogram*, kRouteClasses> seconds_{};
  std::array<metrics::Counter*, kRefusals> refusals_{};
  metrics::Counter* connections_ = nullptr;
  metrics::Counter* received_ = nullptr;
  metrics::Counter* sent_ = nullptr;
  metrics::Gauge* open_ = nullptr;
};

}  // namespace basalt::http
