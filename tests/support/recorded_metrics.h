// tests/support/recorded_metrics.h -- real metrics, recorded once a second (../shared/data beside
// the repository).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace basalt::testing {

inline constexpr size_t kRecordedScrapes = 900;

struct RecordedSeries {
  std::string job;
  std::string type;    // counter, gauge, histogram, summary, untyped
  std::string family;  // the metric's name without _bucket, _sum, _count
  std::string metric;
  std::string labels;  // JSON, without `le`
  double le = 0;
  std::vector<double>
      values;  // kRecordedScrapes of them, one a second; NaN: absent from that scrape
};

// All series in a seal's order: metric, job, labels, numeric `le`. Empty if the data is not there:
// skip, and say so.
std::vector<RecordedSeries> LoadRecordedSeries();

}  // namespace basalt::testing
