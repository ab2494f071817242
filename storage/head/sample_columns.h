// storage/head/sample_columns.h -- samples of one series in columns, and the merge of several such
// by precedence.
//
// Seal and reader both put a series together from parts: layers of the head, late samples, rows of
// runs. Later parts win at equal time (DESIGN decision 7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/histogram.h"
#include "storage/reader.h"

namespace basalt::storage {

inline constexpr int32_t kIsFloat = -1;

// Parallel columns in strictly rising time. A value type.
struct SampleColumns {
  std::vector<int64_t> time_ms;
  std::vector<double> values;     // 0 where the sample is a histogram
  std::vector<int64_t> start_ms;  // empty: none has one
  std::vector<int32_t>
      histogram;  // empty: all are floats; else index into `histograms`, or kIsFloat
  std::vector<NativeHistogram> histograms;

  [[nodiscard]] size_t size() const { return time_ms.size(); }
  [[nodiscard]] bool empty() const { return time_ms.empty(); }
  void Clear();
  void Add(int64_t time, double value, int64_t start);
  // Floats of one start; `floats` may be longer than `times`.
  void AddFloats(std::span<const int64_t> times, std::span<const double> floats, int64_t start);
  void AddHistogram(int64_t time, NativeHistogram value, int64_t start);
  // Appends sample `i` of another (whose histogram is moved out of it).
  void Take(SampleColumns& from, size_t i);
  // Drops what lies outside `range`.
  void Clip(TimeRange range);
  // Drops the samples from `count` on.
  void Truncate(size_t count);
  // Drops what lies inside one of `masks` (both ends belong to a range).
  void Erase(std::span<const TimeRange> masks);
  [[nodiscard]] int64_t StartAt(size_t i) const {
    return start_ms.empty() ? kNoStartMs : start_ms[i];
  }
  [[nodiscard]] bool IsHistogram(size_t i) const {
    return !histogram.empty() && histogram[i] != kIsFloat;
  }
};

// Merges parts[0..n) into `out`, lowest precedence first; takes the histograms out of them. Where
// parts follow each other in time, which is the usual case, that is a copy.
void MergeByPrecedence(std::span<SampleColumns> parts, SampleColumns& out);

}  // namespace basalt::storage
