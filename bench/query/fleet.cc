#include "bench/query/fleet.h"

#include <cmath>
#include <utility>

namespace basalt::bench {
namespace {

constexpr const char* kBounds[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                   "0.5",   "1",    "2.5",   "5",    "10",  "+Inf"};
constexpr size_t kRestartEvery = 20;

std::string Number(const char* prefix, size_t n) { return prefix + std::to_string(n); }

}  // namespace

void Fleet::Add(Labels labels, Kind kind, bool restarts, double pace, double start) {
  labels_.push_back(std::move(labels));
  shapes_.push_back({kind, restarts, pace});
  values_.push_back(start);
}

void Fleet::AddTarget(const std::string& job, const std::string& instance, size_t number) {
  const bool restarts = number % kRestartEvery == 0;
  const auto with = [&](std::initializer_list<Label> more) {
    std::vector<Label> labels(more);
    labels.push_back({"job", job});
    labels.push_back({"instance", instance});
    return Labels(std::move(labels));
  };
  Add(with({{"__name__", "up"}}), Kind::kConstant, false, 0, 1);
  Add(with({{"__name__", "build_info"}, {"version", Number("v1.", number % 4)}}), Kind::kConstant,
      false, 0, 1);
  for (const char* gauge : {"process_open_fds", "go_goroutines", "queue_length"}) {
    Add(with({{"__name__", gauge}}), Kind::kGauge, false, 1, 100);
  }
  Add(with({{"__name__", "process_cpu_seconds_total"}}), Kind::kCounter, restarts, 12, 0);
  for (size_t container = 0; container < 20; ++container) {
    Add(with({{"__name__", "memory_usage_bytes"}, {"container", Number("c", container)}}),
        Kind::kGauge, false, 4096, 5e7);
  }
  for (const char* method : {"GET", "POST"}) {
    for (size_t path = 0; path < 10; ++path) {
      for (const char* code : {"200", "404", "500"}) {
        Add(with({{"__name__", "http_requests_total"},
                  {"method", method},
                  {"path", Number("/api/", path)},
                  {"code", code}}),
            Kind::kCounter, restarts, code[0] == '2' ? 40 : 1, 0);
      }
    }
  }
  for (size_t cpu = 0; cpu < 8; ++cpu) {
    for (const char* mode :
         {"idle", "user", "system", "iowait", "irq", "softirq", "steal", "nice"}) {
      Add(with({{"__name__", "node_cpu_seconds_total"},
                {"cpu", std::to_string(cpu)},
                {"mode", mode}}),
          Kind::kCounter, restarts, mode[1] == 'd' ? 1400 : 10, 0);
    }
  }
  for (size_t path = 0; path < 10; ++path) {
    for (const char* bound : kBounds) {
      Add(with({{"__name__", "http_request_duration_seconds_bucket"},
                {"path", Number("/api/", path)},
                {"le", bound}}),
          Kind::kBucket, restarts, 5, 0);
    }
    Add(with({{"__name__", "http_request_duration_seconds_sum"}, {"path", Number("/api/", path)}}),
        Kind::kSum, restarts, 7, 0);
    Add(with(
            {{"__name__", "http_request_duration_seconds_count"}, {"path", Number("/api/", path)}}),
        Kind::kCount, restarts, 0, 0);
  }
}

Fleet Fleet::Services(const FleetOptions& options) {
  Fleet fleet(options.seed);
  size_t number = 0;
  for (size_t job = 0; job < options.jobs; ++job) {
    for (size_t i = 0; i < options.instances_per_job; ++i, ++number) {
      fleet.AddTarget(Number("svc-", job),
                      "10.0." + std::to_string(job) + "." + Number("", i) + ":8080", number);
    }
  }
  return fleet;
}

Fleet Fleet::SloCounters(const FleetOptions& options) {
  Fleet fleet(options.seed + 1);
  for (size_t job = 0; job < options.slo_jobs; ++job) {
    for (size_t i = 0; i < 10; ++i) {
      for (const char* code : {"200", "500"}) {
        fleet.Add(Labels(std::vector<Label>{{"__name__", "slo_requests_total"},
                                            {"job", Number("slo-", job)},
                                            {"instance", Number("i", i)},
                                            {"code", code}}),
                  Kind::kCounter, i == 0, code[0] == '2' ? 100 : 0.2, 0);
      }
    }
  }
  return fleet;
}

void Fleet::Step(bool restart) {
  double below = 0;  // what the buckets of the current histogram rose by so far
  for (size_t i = 0; i < values_.size(); ++i) {
    double& v = values_[i];
    const Shape& shape = shapes_[i];
    if (restart && shape.restarts) v = 0;
    switch (shape.kind) {
      case Kind::kConstant:
        break;
      case Kind::kCounter:
        v += std::floor(Draw() * 2 * shape.pace + 0.5);
        break;
      case Kind::kGauge:
        v = std::round((v + (Draw() - 0.5) * shape.pace) * 100) / 100;
        break;
      case Kind::kBucket:
        if (i == 0 || shapes_[i - 1].kind != Kind::kBucket) below = 0;
        below += std::floor(Draw() * 2 * shape.pace);
        v += below;
        break;
      case Kind::kSum:
        v += Draw() * below * 0.01;
        break;
      case Kind::kCount:
        v += below;
        break;
    }
  }
}

}  // namespace basalt::bench
