// bench/fleet/fleet.h -- a fleet of scrape targets with the labels of real exporters.
//
// From ../shared/data (a recording of five kinds of exporter, 468 to 1402 series each) where it is
// there, run from the root of the repository; otherwise from a generator with the same number of
// labels a series. Targets take the kinds in turn, each as a host of its own: job and instance are
// put to the recorded labels, and a label `cluster` as external labels do. Seeded by nothing: the
// same fleet every time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/labels.h"

namespace basalt::bench {

// What one kind of target exposes.
struct Exporter {
  std::string job;
  std::vector<std::vector<Label>> series;  // without job, instance and cluster; __name__ included
  std::vector<size_t> rows;                // by series: its row of RecordedValues()
};

class ExporterFleet {
 public:
  // Enough targets for `series` of them; the last target may be cut short.
  explicit ExporterFleet(size_t series);

  struct Target {
    const Exporter* exporter = nullptr;
    std::string instance;
    std::string cluster;
    size_t first = 0;  // number of its first series
    size_t count = 0;
  };

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }
  // Series `i` of the target, sorted by name.
  [[nodiscard]] static Labels LabelsOf(const Target& target, size_t i);
  // "recorded" or "generated".
  [[nodiscard]] static const char* Source();

 private:
  size_t size_ = 0;
  std::vector<Target> targets_;
};

// A value for row `row` of an exporter's series at scrape number `scrape`, 15 s apart: recorded
// where there is a recording (NaN: absent), otherwise a constant, a counter or a noisy gauge.
double ValueOf(size_t row, size_t scrape);

}  // namespace basalt::bench
