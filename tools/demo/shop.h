// tools/demo/shop.h -- a small shop of services, as its metrics would show it. Deterministic for a
// seed.
//
// Each service has instances; each instance serves routes. Traffic follows the time of day,
// wobbles, and is counted the way client libraries count: http_requests_total by route and code,
// http_request_duration_seconds as a classic histogram, and a few gauges. During an outage one
// service answers most requests with 503, slowly.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "tools/demo/remote_write_client.h"

namespace basalt::demo {

struct Outage {
  std::string service = "checkout";
  Timestamp begin{};
  Timestamp end{};
  double error_share = 0.9;
};

class Shop {
 public:
  Shop(uint64_t seed, int instances_per_service);

  // Labels by series index; fixed from construction on.
  [[nodiscard]] const std::vector<Labels>& series() const { return labels_; }

  // Moves the counters from the last call's time to `now` and appends one point a series. The first
  // call only sets the clock's start. Times must not go back.
  void Scrape(Timestamp now, const std::vector<Outage>& outages, std::vector<Point>& points);

 private:
  struct Route {
    double share;           // of the service's traffic
    double median_seconds;  // of a request
    size_t ok = 0;          // series indexes
    size_t client_error = 0;
    size_t server_error = 0;
    std::vector<size_t> buckets;
    size_t sum = 0;
    size_t count = 0;
  };
  struct Instance {
    size_t service;
    std::vector<Route> routes;
    size_t up = 0;
    size_t cpu = 0;
    size_t memory = 0;
    size_t in_flight = 0;
    double speed;  // machines differ
  };

  size_t AddSeries(Labels labels);
  void Serve(const Instance& instance, const Route& route, double requests, double error_share);
  // A whole number near `mean`, as a Poisson process gives.
  uint64_t Draw(double mean);

  std::mt19937_64 random_;
  std::vector<Labels> labels_;
  std::vector<double> values_;
  std::vector<Instance> instances_;
  Timestamp last_{};
  bool started_ = false;
};

}  // namespace basalt::demo
