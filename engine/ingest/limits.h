// engine/ingest/limits.h -- what a request may contain. Decided before the log, so that apply stays
// a pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/time.h"
#include "engine/ingest/overload.h"

namespace basalt::ingest {

// Senders must sort labels by name (remote write 1.0, "Labels"). Some do not, vmagent among them,
// and Prometheus' own receiver sorts for them; it costs a little on new series only.
enum class UnsortedLabels : uint8_t { kReject, kSort };

// Pairs of senders (ha_tracker.h): a request whose series carry both labels is one replica's.
struct HaLabels {
  std::string cluster = "cluster";      // empty: nobody is a pair
  std::string replica = "__replica__";  // not stored
};

struct Limits {
  size_t max_body_bytes = 64u << 20;  // decompressed; Prometheus' own requests are below 1 MiB
  size_t max_labels = 64;             // of a series; __name__ included
  size_t max_label_name_bytes = 1024;
  size_t max_label_value_bytes = 16u << 10;
  size_t max_exemplar_label_bytes =
      128;  // OpenMetrics' bound on the label set of an exemplar, in characters there
  size_t max_metadata_text_bytes = 4096;  // of a help or unit text
  UnsortedLabels unsorted_labels = UnsortedLabels::kSort;
  HaLabels ha;  // remote write
  // Of one tenant (tenants.h); 0: no limit.
  uint64_t max_samples_per_second = 0;
  uint64_t max_active_series = 0;
  // Beyond max_active_series: counters that are folded (firewall.h), 24 bytes each. 0: none are.
  uint64_t max_folded_series = 1'000'000;
  OverloadStatus overload_status = OverloadStatus::kBySender;
  Duration max_ahead = kMaxSampleAhead;  // of a sample's time before the server's clock
};

}  // namespace basalt::ingest
