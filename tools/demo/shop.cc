#include "tools/demo/shop.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace basalt::demo {
namespace {

struct RouteShape {
  const char* path;
  double share;
  double median_seconds;
};
struct ServiceShape {
  const char* name;
  const char* team;
  double requests_per_second;  // of all instances, at noon
  std::array<RouteShape, 3> routes;
};

constexpr std::array<ServiceShape, 4> kServices = {{
    {"frontend",
     "web",
     120,
     {{{"/", 0.6, 0.030}, {"/product", 0.3, 0.045}, {"/cart", 0.1, 0.060}}}},
    {"catalog",
     "search",
     90,
     {{{"/search", 0.5, 0.080}, {"/item", 0.45, 0.012}, {"/suggest", 0.05, 0.006}}}},
    {"checkout",
     "payments",
     25,
     {{{"/order", 0.4, 0.120}, {"/quote", 0.5, 0.050}, {"/refund", 0.1, 0.200}}}},
    {"payment",
     "payments",
     15,
     {{{"/charge", 0.7, 0.180}, {"/verify", 0.25, 0.070}, {"/webhook", 0.05, 0.020}}}},
}};

constexpr std::array<double, 11> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                            0.5,   1,    2.5,   5,    10};
constexpr std::array<const char*, 12> kLe = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                             "0.5",   "1",    "2.5",   "5",    "10",  "+Inf"};
constexpr double kServerErrors = 0.0002;  // of all requests, on a good day
constexpr double kClientErrors = 0.01;
constexpr double kLatencySpread = 0.6;  // of the logarithm

// The share of a lognormal distribution below `seconds`.
double ShareBelow(double seconds, double median) {
  return 0.5 * std::erfc(-std::log(seconds / median) / (kLatencySpread * std::numbers::sqrt2));
}

// 0.4 at night to 1 at noon, UTC.
double Daily(Timestamp t) {
  const double day = static_cast<double>(ToMs(t) % kMsPerDay) / static_cast<double>(kMsPerDay);
  return 0.7 - 0.3 * std::cos(2 * std::numbers::pi * day);
}

}  // namespace

Shop::Shop(uint64_t seed, int instances_per_service) : random_(seed) {
  std::uniform_real_distribution<double> speed(0.85, 1.2);
  for (size_t s = 0; s < kServices.size(); ++s) {
    const ServiceShape& service = kServices[s];
    for (int i = 0; i < instances_per_service; ++i) {
      Instance instance{.service = s, .routes = {}, .speed = speed(random_)};
      const std::string host = std::string(service.name) + "-" + std::to_string(i) + ":8080";
      const Labels target{{"instance", host}, {"job", service.name}, {"team", service.team}};
      const auto add = [&](const char* name, std::initializer_list<Label> more) {
        Labels labels = target;
        labels.Set(kMetricName, name);
        for (const Label& label : more) labels.Set(label.name, label.value);
        return AddSeries(std::move(labels));
      };
      instance.up = add("up", {});
      instance.cpu = add("process_cpu_seconds_total", {});
      instance.memory = add("process_resident_memory_bytes", {});
      instance.in_flight = add("http_requests_in_flight", {});
      for (const RouteShape& shape : service.routes) {
        Route route{.share = shape.share, .median_seconds = shape.median_seconds, .buckets = {}};
        route.ok = add("http_requests_total", {{"path", shape.path}, {"code", "200"}});
        route.client_error = add("http_requests_total", {{"path", shape.path}, {"code", "404"}});
        route.server_error = add("http_requests_total", {{"path", shape.path}, {"code", "503"}});
        for (const char* le : kLe) {
          route.buckets.push_back(
              add("http_request_duration_seconds_bucket", {{"path", shape.path}, {"le", le}}));
        }
        route.sum = add("http_request_duration_seconds_sum", {{"path", shape.path}});
        route.count = add("http_request_duration_seconds_count", {{"path", shape.path}});
        instance.routes.push_back(std::move(route));
      }
      instances_.push_back(std::move(instance));
    }
  }
}

size_t Shop::AddSeries(Labels labels) {
  labels_.push_back(std::move(labels));
  values_.push_back(0);
  return labels_.size() - 1;
}

uint64_t Shop::Draw(double mean) {
  if (mean <= 0) return 0;
  return static_cast<uint64_t>(std::poisson_distribution<int64_t>(mean)(random_));
}

void Shop::Serve(const Instance& instance, const Route& route, double requests,
                 double error_share) {
  const uint64_t all = Draw(requests);
  const uint64_t failed = std::min(all, Draw(static_cast<double>(all) * error_share));
  const uint64_t rejected =
      std::min(all - failed, Draw(static_cast<double>(all - failed) * kClientErrors));
  values_[route.server_error] += static_cast<double>(failed);
  values_[route.client_error] += static_cast<double>(rejected);
  values_[route.ok] += static_cast<double>(all - failed - rejected);
  // What fails in an outage fails slowly: it waits for something that does not come.
  const double slow = error_share > 0.1 ? 8 : 1;
  const double median = route.median_seconds * slow / instance.speed;
  double below = 0;
  uint64_t counted = 0;
  for (size_t b = 0; b < kBounds.size(); ++b) {
    const double share = ShareBelow(kBounds[b], median);
    const double left = static_cast<double>(all - counted);
    counted += std::min(all - counted, Draw(below < 1 ? left * (share - below) / (1 - below) : 0));
    below = share;
    values_[route.buckets[b]] += static_cast<double>(counted);
  }
  values_[route.buckets.back()] += static_cast<double>(all);
  values_[route.count] += static_cast<double>(all);
  values_[route.sum] += static_cast<double>(all) * median *
                        std::exp(kLatencySpread * kLatencySpread / 2) *
                        std::uniform_real_distribution<double>(0.97, 1.03)(random_);
}

void Shop::Scrape(Timestamp now, const std::vector<Outage>& outages, std::vector<Point>& points) {
  const double seconds = started_ ? static_cast<double>((now - last_).count()) / 1000.0 : 0;
  started_ = true;
  last_ = now;
  std::normal_distribution<double> wobble(1, 0.05);
  const double day = Daily(now);
  for (const Instance& instance : instances_) {
    const ServiceShape& service = kServices[instance.service];
    double errors = kServerErrors;
    for (const Outage& outage : outages) {
      if (outage.service == service.name && now > outage.begin && now <= outage.end)
        errors = outage.error_share;
    }
    const double instances = static_cast<double>(instances_.size()) / kServices.size();
    const double requests =
        service.requests_per_second / instances * day * std::max(0.0, wobble(random_)) * seconds;
    for (const Route& route : instance.routes)
      Serve(instance, route, requests * route.share, errors);
    values_[instance.up] = 1;
    values_[instance.cpu] += requests * 0.002 / instance.speed;
    values_[instance.memory] = 2e8 + 5e7 * day + 4096 * std::floor(2000 * wobble(random_));
    values_[instance.in_flight] = std::round(service.requests_per_second / instances * day * 0.1 *
                                             (errors > 0.1 ? 8 : 1) * wobble(random_));
  }
  for (size_t i = 0; i < values_.size(); ++i) points.push_back({i, ToMs(now), values_[i]});
}

}  // namespace basalt::demo
