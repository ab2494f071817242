// bench/compare/recording.h -- the metrics that a fleet is made of: one of each job's targets, 900
// scrapes a second apart.
//
// Recorded (../shared/data) or, where that is not at hand, generated with the same numbers of
// series, the same share of constants, counters and noise, and the names that the query set asks
// for.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"

namespace basalt::bench {

inline constexpr size_t kRecordedRows = 900;

struct RecordedSeries {
  std::string job;
  std::string type;            // counter, gauge, histogram, summary, untyped
  Labels labels;               // metric name included; without job and instance
  std::vector<double> values;  // kRecordedRows; NaN: absent from that scrape
};

struct Recording {
  std::vector<RecordedSeries> series;  // a job's stand together
  bool recorded = false;               // false: generated
};

// Reads series.tsv.zst and values.f64.zst. kNotFound if they are not in `directory`, kDataLoss if
// they do not parse.
Result<Recording> LoadRecording(const std::string& directory);

// The same for the same seed.
Recording GenerateRecording(uint64_t seed);

}  // namespace basalt::bench
