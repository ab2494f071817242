// bench/store/recording.h -- a fleet of scrape targets that replays ../shared/data, run from the
// root of the repository.
//
// How the recording is expanded: every target shows `series_per_target` of the recorded series,
// neighbours in the order of their exporters' pages, beginning where the target before it ended;
// scrape k shows every 15th recorded second from a start of the target's own (by seed), so 15 s
// apart. Past the end the recording begins again, counters and buckets raised by what they had
// risen; counters that are integers also start at an integer of the target's own. Each target has
// its offset in the interval and up to 4 ms of jitter. NaN: absent from that scrape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/labels.h"

namespace basalt::bench {

inline constexpr int64_t kScrapeIntervalMs = 15'000;

class Recording {
 public:
  Recording(size_t series_per_target, uint64_t seed);

  // False if the data is not there; nothing else may be called then.
  [[nodiscard]] bool found() const { return !series_.empty(); }

  // The labels of series `i` of a target, sorted: __name__, exporter, the recorded ones, le, job,
  // instance.
  [[nodiscard]] Labels LabelsOf(size_t target, size_t i) const;
  [[nodiscard]] double Value(size_t target, size_t i, size_t scrape) const;
  // When it is scraped, in ms since 1970.
  [[nodiscard]] int64_t TimeMs(size_t target, size_t scrape) const;

 private:
  struct Series {
    std::vector<Label> labels;
    bool rises = false;    // a counter, a bucket, a count
    bool integer = false;  // all its values are
    double rise = 0;       // over the whole recording
  };
  [[nodiscard]] size_t RecordedIndex(size_t target, size_t i) const {
    return (target * series_per_target_ + i) % series_.size();
  }

  const size_t series_per_target_;
  const uint64_t seed_;
  std::vector<Series> series_;
  std::vector<double> values_;  // [series][second]
};

}  // namespace basalt::bench
