// bench/ingest/bodies.h -- remote write 1.0 requests as Prometheus sends them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/fleet/fleet.h"

namespace basalt::bench {

inline constexpr int64_t kFirstScrapeMs = 1'750'000'000'000;
inline constexpr int64_t kScrapeIntervalMs = 15'000;
inline constexpr size_t kSamplesPerRequest = 2000;  // Prometheus' max_samples_per_send

struct Body {
  std::string packed;  // snappy
  size_t bytes = 0;    // unpacked
  size_t samples = 0;
};

// The requests of scrape number `scrape` of the whole fleet. Every target has an offset of its own
// in the interval and a millisecond or two of jitter.
//
// `shards` 1: target after target, requests filled to kSamplesPerRequest. More: as the queues of
// Prometheus' sender, where a series always goes to one shard: every n-th series of each target,
// requests mixing targets in the order of their scrapes, the shards taking turns.
std::vector<Body> MakeBodies(const ExporterFleet& fleet, size_t scrape, size_t shards);

}  // namespace basalt::bench
