// engine/http/router.h -- from method and path to a handler.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/http/message.h"
#include "engine/http/response_writer.h"

namespace basalt::http {

// Which executor a route's handler runs on, so that none of the three can starve another (DESIGN
// decision 17).
enum class RouteClass : uint8_t { kIngest, kQuery, kAdmin };
inline constexpr size_t kRouteClasses = 3;
std::string_view RouteClassName(RouteClass route_class);  // "ingest"

// Called on the executor of its class; may return before it has answered.
// One that throws (std::bad_alloc, that is) answers 500.
using Handler = std::function<void(Request, ResponseWriter)>;

// Go's limit on form bodies, which is what Prometheus' API has.
inline constexpr size_t kMaxFormBytes = 10u << 20;

struct Route {
  RouteClass route_class = RouteClass::kAdmin;
  // Larger bodies are answered 413, from Content-Length where there is one.
  size_t max_body_bytes = kMaxFormBytes;
  Handler handler;
};

// Filled before the server starts, then only read. Thread-compatible.
class Router {
 public:
  // `pattern` is an absolute path whose segments are literal, or "{name}" for any one non-empty
  // segment; a last segment "*" takes the rest of the path, empty included. More literal wins over
  // less. HEAD goes where GET goes. The same method and pattern twice is our own mistake.
  void Add(Method method, std::string_view pattern, Route route);

  struct Match {
    const Route* route = nullptr;  // null: no such path, or `allow` says which methods there are
    std::vector<std::pair<std::string, std::string>> path_params;
    std::string allow;  // "GET, HEAD, OPTIONS" for a known path, whether or not the method fits
  };
  // `path` starts with '/' and is percent-encoded; segments are compared decoded. A path whose
  // encoding is broken matches nothing.
  [[nodiscard]] Match Find(Method method, std::string_view path) const;

 private:
  struct Entry {
    std::vector<std::string> segments;
    bool takes_rest = false;
    std::vector<std::pair<Method, Route>> methods;
  };
  [[nodiscard]] const Entry* FindEntry(const std::vector<std::string>& segments) const;
  std::vector<Entry> entries_;  // most literal first
};

}  // namespace basalt::http
