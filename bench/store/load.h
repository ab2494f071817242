// bench/store/load.h -- scrapes of a fleet, put straight into a Store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/store/recording.h"
#include "engine/base/mutex.h"
#include "storage/resolver.h"
#include "storage/store.h"

namespace basalt::bench {

struct LoadOptions {
  size_t targets = 1000;
  size_t series = 1000;  // of a target
  // 0: a request is a target's scrape. Otherwise as Prometheus sends: every n-th series of a target
  // goes to a shard, and a shard sends when it has `request_samples`, of whatever targets.
  size_t shards = 0;
  size_t request_samples = 2000;
  size_t in_flight = 32;  // requests
};

// One thread drives it; what it spends on itself (values, labels, asking for the time) is not
// counted in its times.
class Load {
 public:
  Load(const LoadOptions& options, const Recording& recording, storage::Store& store);

  // Scrapes targets [first_target, first_target + targets) in the order of their times, `scrapes`
  // times from scrape number `first_scrape` on. Returns when all is acknowledged.
  void Run(size_t first_target, size_t first_scrape, size_t scrapes);

  [[nodiscard]] uint64_t samples() const { return samples_; }
  [[nodiscard]] uint64_t resolve_ns() const { return resolve_ns_; }
  [[nodiscard]] uint64_t append_ns() const { return append_ns_; }  // checks and log encoding

 private:
  struct Sample {
    uint32_t target = 0;
    uint32_t series = 0;
    int64_t time_ms = 0;
    double value = 0;
  };
  void Send(std::vector<Sample>& samples) BASALT_EXCLUDES(mu_);
  void WaitForRoom(size_t at_most) BASALT_EXCLUDES(mu_);

  const LoadOptions options_;
  const Recording& recording_;
  storage::Store& store_;
  storage::BatchBuilder builder_;
  uint64_t samples_ = 0;
  uint64_t resolve_ns_ = 0;
  uint64_t append_ns_ = 0;
  Mutex mu_;
  CondVar fell_;
  size_t in_flight_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::bench
