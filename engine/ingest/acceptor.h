// engine/ingest/acceptor.h -- the last door before the builder: what a protocol has decoded is
// checked, then added and counted, or refused and named. One set of rules for every protocol.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// Where in a request something stands: "timeseries[3]", "series[ref 7]".
struct Place {
  const char* list = "timeseries";
  const char* word = "";
  uint64_t index = 0;
  [[nodiscard]] std::string Text() const {
    return std::string(list) + "[" + word + std::to_string(index) + "]";
  }
};

// Adds to the series that `builder` has selected. Borrows all of its arguments. One request, one
// thread.
class Acceptor {
 public:
  // Times up to now + limits.max_ahead are accepted.
  Acceptor(const Limits& limits, Timestamp now, storage::BatchBuilder& builder, Report& report)
      : limits_(limits),
        latest_ms_(ToMs(now + limits.max_ahead)),
        builder_(builder),
        report_(report) {}

  void AddSample(const Place& place, int64_t ms, double value,
                 int64_t start_ms = storage::kNoStartMs) {
    if (!TimeFits(place, "samples", ms)) return;
    builder_.AddSample(ms, value, start_ms);
    ++report_.samples;
  }
  // Whether a sample may have this time.
  [[nodiscard]] bool Accepts(int64_t ms) const { return ms >= kMinSampleMs && ms <= latest_ms_; }
  // BatchBuilder::AddScrape, at a time that is accepted.
  void AddScrape(PartitionId partition, std::span<const SeriesOrdinal> series, int64_t ms,
                 std::span<const double> values) {
    builder_.AddScrape(partition, series, ms, values);
    report_.samples += values.size();
  }
  void AddHistogram(const Place& place, int64_t ms, NativeHistogram histogram,
                    int64_t start_ms = storage::kNoStartMs);
  // `labels` in any order; they are normalised in place.
  void AddExemplar(const Place& place, int64_t ms, double value, std::vector<LabelView>& labels);
  // True if it is sound and counted; then it is the caller's to pass on.
  bool CheckMetadataEntry(const Place& place, const storage::MetadataEntry& entry);

 private:
  bool TimeFits(const Place& place, const char* what, int64_t ms) {
    if (Accepts(ms)) [[likely]]
      return true;
    RejectTime(place, what, ms);
    return false;
  }
  void RejectTime(const Place& place, const char* what, int64_t ms);

  const Limits& limits_;
  const int64_t latest_ms_;
  storage::BatchBuilder& builder_;
  Report& report_;
};

}  // namespace basalt::ingest
