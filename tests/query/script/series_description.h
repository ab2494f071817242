// tests/query/script/series_description.h -- one line of a script: a series and its values,
// `up{job="a"} 1 2+3x4 _ stale
// {{sum:5 count:3 buckets:[1 2]}}`. Format: "series" in Prometheus' page on unit testing of rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "query/float_histogram.h"

namespace basalt::query::script {

// `ax9999999999` in a script is a slip of the pen.
inline constexpr uint64_t kMaxRepeat = 1'000'000;

struct SequenceValue {
  bool omitted = false;  // `_`
  double value = 0;
  HistogramPtr histogram;   // instead of `value`
  bool hint_given = false;  // counter_reset_hint was spelt out, so expectations compare it
};

struct SeriesDescription {
  Labels labels;
  std::vector<SequenceValue> values;
};

// kInvalidArgument says what could not be read.
Result<SeriesDescription> ParseSeriesDescription(std::string_view line);

// `metric{...}@st -1m _x3 -30s-1mx2`: for each sample its start timestamp in milliseconds after its
// own time (so mostly negative), or none.
struct StartOffsets {
  Labels labels;
  std::vector<std::optional<int64_t>> offsets_ms;
};
bool IsStartOffsetsLine(std::string_view line);
Result<StartOffsets> ParseStartOffsets(std::string_view line);

}  // namespace basalt::query::script
