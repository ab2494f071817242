// engine/notify/delivery_stats.h -- how delivery goes, for metrics and the API: plain copies.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/time.h"

namespace basalt::notify {

// Bounds of delivery times in seconds: fine where the promise lies, to the length of an outage.
inline constexpr std::array<double, 17> kDeliveryBounds = {
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600};

// Times from Publish() to the first receiver's acceptance.
struct DeliveryTimes {
  std::array<uint64_t, kDeliveryBounds.size() + 1> buckets{};  // not cumulative; the last is +Inf's
  uint64_t count = 0;
  uint64_t sum_ns = 0;
  uint64_t slowest_ns = 0;

  void Observe(uint64_t ns);
  // The bound that at least this share of them does not exceed, in seconds; 0 without any.
  [[nodiscard]] double Quantile(double share) const;
};

// Alerts that a receiver refuses, shown up to this many.
inline constexpr size_t kRejectedShown = 20;

// Of one receiver since it is known, and gauges of now.
struct ReceiverStats {
  std::string key;  // "webhook ops", or the URL
  std::string url;
  bool webhook = false;
  bool insecure = false;  // believes any certificate
  uint64_t sent = 0;      // alerts accepted, repetitions included
  uint64_t posts = 0;
  uint64_t failures = 0;  // posts without a 2xx
  uint64_t rejected = 0;  // alerts refused for good, once a state
  uint64_t dropped = 0;   // states that alert_relabel_configs drop
  uint64_t waiting = 0;   // alerts whose latest state it has not taken
  bool breaker_open = false;
  std::string last_error;       // empty while it answers
  std::string last_rejection;   // which alert it refused last
  std::vector<Labels> refused;  // what it refuses at present, kRejectedShown at most
  uint64_t post_ns = 0;         // sum of all posts
};

struct OutboxStats {
  std::vector<ReceiverStats> receivers;
  std::map<std::string, std::string> discovery_problems;  // by where
  uint64_t alerts = 0;                                    // kept
  uint64_t firing = 0;
  uint64_t shed = 0;  // tickets that found no room
  uint64_t log_bytes = 0;
  uint64_t log_errors = 0;
  DeliveryTimes pages;
  DeliveryTimes tickets;
};

}  // namespace basalt::notify
