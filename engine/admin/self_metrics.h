// engine/admin/self_metrics.h -- Basalt's own metrics: collected, and stored in itself like any
// other target's.
#pragma once

#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "storage/store.h"

namespace basalt::admin {

// Adds process and storage metrics to `registry`: process_*, basalt_storage_*, basalt_log_*,
// basalt_build_info. `store` must outlive the registry's use.
void RegisterSelfMetrics(metrics::Registry& registry, const storage::Store& store,
                         const std::string& version);

// Every `interval` appends what the registry holds as series of job="basalt", instance=<instance>,
// with up=1. Its own thread. An append that fails is logged once per change of reason, and the next
// one tries again.
class SelfScrape {
 public:
  SelfScrape(const metrics::Registry& registry, storage::Store& store, const Clock& clock,
             std::string instance, Duration interval);
  ~SelfScrape();  // stops
  SelfScrape(const SelfScrape&) = delete;
  SelfScrape& operator=(const SelfScrape&) = delete;

  // One scrape now, waiting until it is durable; for tests and the first one at start.
  Status ScrapeOnce();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::admin
