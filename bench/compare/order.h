// bench/compare/order.h -- in which requests a fleet's samples travel.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "bench/compare/encode.h"
#include "bench/compare/fleet.h"

namespace basalt::bench {

enum class Order {
  kOrdered,  // a target's scrape in one request: what an agent beside the target sends
  kSharded,  // as Prometheus' sender: every n-th series on its own shard, requests mix targets
  kBacklog,  // many scrapes of a target in one request, series by series: filling a store for
             // queries
};
// kInvalidArgument naming the three.
Result<Order> ParseOrder(std::string_view name);

inline constexpr uint32_t kShards = 8;
inline constexpr size_t kSamplesPerSend = 2000;  // Prometheus' max_samples_per_send
// Enough to spread labels' cost; few enough that series of a fleet stay minutes apart.
inline constexpr int64_t kBacklogScrapes = 40;

struct OrderOptions {
  Order order = Order::kOrdered;
  int64_t first_scrape = 0;
  int64_t scrapes = 0;
  uint32_t connections = 16;  // kSharded has kShards
};

// Hands out all samples of these scrapes, request by request, in the order of time. A target (or
// shard) keeps to one connection. Stops at the first error.
Status ForEachRequest(
    const Fleet& fleet, const OrderOptions& options,
    const std::function<Status(uint32_t connection, const std::vector<Cell>&)>& send);

}  // namespace basalt::bench
