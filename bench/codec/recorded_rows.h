// bench/codec/recorded_rows.h -- recorded metrics (../shared/data) cut into rows, as a seal or a
// rewrite would cut them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace basalt::bench {

struct RowCut {
  size_t samples = 512;  // a row
  size_t stride = 1;     // every so manyth scrape
};

// Which families: those that the entropy tables are trained on, or those that they never saw.
enum class Half : uint8_t { kTrained, kHeldOut, kAll };

// The half of a family, by hash of its name: frozen, since checked-in tables follow from it.
Half HalfOf(const std::string& family);

// What comes first in a superblock after the metric: the rows of one target (a histogram's buckets
// lie side by side), or those of one label set (one bucket of every target).
enum class RowOrder : uint8_t { kByTarget, kByLabels };

struct RecordedRow {
  uint32_t series = 0;  // in the order of the rows of a window
  uint32_t target = 0;  // whose time column it has
  uint32_t window = 0;  // rows of one window share a run
  std::vector<int64_t> time_ms;
  std::vector<double> values;
};

struct RecordedRows {
  std::vector<RecordedRow> rows;
  std::vector<std::vector<int64_t>> columns;  // [window * targets + target]
  uint32_t targets = 0;
  size_t samples = 0;
};

// All rows; none if the data is not there.
//
// With `hosts` > 1 each target is repeated: host h begins h * 7 windows' worth of a prime number of
// rows later and wraps around; where it wraps, counters of whole numbers go on from where they
// stood, others jump. Each host has a scrape offset and a millisecond of jitter of its own.
RecordedRows CutRecorded(const RowCut& cut, Half half, uint32_t hosts = 1,
                         RowOrder order = RowOrder::kByTarget);

}  // namespace basalt::bench
