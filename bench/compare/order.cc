#include "bench/compare/order.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace basalt::bench {
namespace {

using Send = std::function<Status(uint32_t, const std::vector<Cell>&)>;

void AddScrape(const Fleet& fleet, const Target& target, int64_t scrape, std::vector<Cell>& cells) {
  const int64_t time = fleet.TimeMs(target, scrape);
  for (size_t s = target.first_series; s < target.first_series + target.series; ++s) {
    const double value = fleet.Value(target, s, scrape);
    if (!std::isnan(value)) cells.push_back({static_cast<uint32_t>(s), time, value});
  }
}

Status SendOrdered(const Fleet& fleet, const OrderOptions& o, const Send& send) {
  std::vector<Cell> cells;
  for (int64_t k = o.first_scrape; k < o.first_scrape + o.scrapes; ++k) {
    for (size_t t = 0; t < fleet.targets().size(); ++t) {
      cells.clear();
      AddScrape(fleet, fleet.targets()[t], k, cells);
      if (!cells.empty()) BASALT_TRY(send(static_cast<uint32_t>(t) % o.connections, cells));
    }
  }
  return OkStatus();
}

Status SendSharded(const Fleet& fleet, const OrderOptions& o, const Send& send) {
  std::array<std::vector<Cell>, kShards> shards;
  std::vector<Cell> cells;
  for (int64_t k = o.first_scrape; k < o.first_scrape + o.scrapes; ++k) {
    for (const Target& target : fleet.targets()) {
      cells.clear();
      AddScrape(fleet, target, k, cells);
      for (const Cell& cell : cells) {
        const uint32_t number = cell.series % kShards;
        shards[number].push_back(cell);
        if (shards[number].size() < kSamplesPerSend) continue;
        BASALT_TRY(send(number, shards[number]));
        shards[number].clear();
      }
    }
  }
  for (uint32_t number = 0; number < kShards; ++number)
    if (!shards[number].empty()) BASALT_TRY(send(number, shards[number]));
  return OkStatus();
}

Status SendBacklog(const Fleet& fleet, const OrderOptions& o, const Send& send) {
  std::vector<Cell> cells;
  const int64_t end = o.first_scrape + o.scrapes;
  for (int64_t k = o.first_scrape; k < end; k += kBacklogScrapes) {
    const int64_t stop = std::min(end, k + kBacklogScrapes);
    for (size_t t = 0; t < fleet.targets().size(); ++t) {
      const Target& target = fleet.targets()[t];
      cells.clear();
      for (size_t s = target.first_series; s < target.first_series + target.series; ++s) {
        for (int64_t scrape = k; scrape < stop; ++scrape) {
          const double value = fleet.Value(target, s, scrape);
          if (!std::isnan(value))
            cells.push_back({static_cast<uint32_t>(s), fleet.TimeMs(target, scrape), value});
        }
      }
      if (!cells.empty()) BASALT_TRY(send(static_cast<uint32_t>(t) % o.connections, cells));
    }
  }
  return OkStatus();
}

}  // namespace

Result<Order> ParseOrder(std::string_view name) {
  if (name == "ordered") return Order::kOrdered;
  if (name == "sharded") return Order::kSharded;
  if (name == "backlog") return Order::kBacklog;
  return InvalidArgument("order: \"" + std::string(name) +
                         "\" is none of ordered, sharded, backlog");
}

Status ForEachRequest(const Fleet& fleet, const OrderOptions& options, const Send& send) {
  switch (options.order) {
    case Order::kOrdered:
      return SendOrdered(fleet, options, send);
    case Order::kSharded:
      return SendSharded(fleet, options, send);
    case Order::kBacklog:
      return SendBacklog(fleet, options, send);
  }
  return OkStatus();
}

}  // namespace basalt::bench
