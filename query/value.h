// query/value.h -- what a query evaluates to.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/labels.h"
#include "query/float_histogram.h"

namespace basalt::query {

struct FloatPoint {
  int64_t time_ms = 0;
  double value = 0;
};

struct HistogramPoint {
  int64_t time_ms = 0;
  HistogramPtr histogram;  // never null
};

struct Scalar {
  int64_t time_ms = 0;
  double value = 0;
};

struct String {
  int64_t time_ms = 0;
  std::string value;
};

// One element of an instant vector: a float, or a histogram if `histogram` is set.
struct Sample {
  Labels labels;
  int64_t time_ms = 0;
  double value = 0;
  HistogramPtr histogram;
};

// One series of a range result. Both columns rise strictly in time and share no time.
struct Series {
  Labels labels;
  std::vector<FloatPoint> floats;
  std::vector<HistogramPoint> histograms;
};

// Elements are in the order that the query defines (sort() and topk keep theirs); for an instant
// query without such a function it is series order, the same in every run.
using Vector = std::vector<Sample>;

// Sorted by labels.
using Matrix = std::vector<Series>;

using Value = std::variant<Scalar, String, Vector, Matrix>;

}  // namespace basalt::query
