// changes and resets: comparing each sample with the one before, floats and histograms in one line
// of time.
#include <cmath>

#include "query/exec/functions/range.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

struct Point {
  int64_t time_ms = 0;
  int64_t start_ms = storage::kNoStartMs;
  double value = 0;
  const FloatHistogram* histogram = nullptr;
};

bool IsReset(const Point& a, const Point& b) {
  if ((a.histogram == nullptr) != (b.histogram == nullptr)) return true;
  if (IsStartReset(a.start_ms, a.time_ms, b.start_ms, b.time_ms)) return true;
  return b.histogram == nullptr ? b.value < a.value : DetectReset(*b.histogram, *a.histogram);
}

bool IsChange(const Point& a, const Point& b) {
  if ((a.histogram == nullptr) != (b.histogram == nullptr)) return true;
  if (b.histogram != nullptr) return !SameHistogram(*b.histogram, *a.histogram);
  return b.value != a.value && !(std::isnan(a.value) && std::isnan(b.value));
}

// Where to begin. An anchored window begins with the last sample, of either kind, at or before its
// start; without any sample after its start it has nothing to say.
bool FindBegin(const Window& w, size_t& floats, size_t& histograms) {
  size_t f = 0;
  size_t h = 0;
  while (f < w.time_ms.size() && w.time_ms[f] <= w.range_start_ms) ++f;
  while (h < w.histograms.size() && w.histograms[h].time_ms <= w.range_start_ms) ++h;
  if (f == w.time_ms.size() && h == w.histograms.size()) return false;
  floats = f;
  histograms = h;
  if (f == 0 && h == 0) return true;
  if (h == 0 || (f > 0 && w.time_ms[f - 1] >= w.histograms[h - 1].time_ms)) {
    --floats;
  } else {
    --histograms;
  }
  return true;
}

}  // namespace

Cell Changes(const Window& w, RangeCall& call) {
  size_t f = 0;
  size_t h = 0;
  if (call.mode == plan::RangeMode::kAnchored && !FindBegin(w, f, h)) return {};
  const bool resets = call.function == plan::FunctionId::kResets;
  int64_t count = 0;
  bool first = true;
  Point previous;
  while (f < w.time_ms.size() || h < w.histograms.size()) {
    Point current;
    if (h == w.histograms.size() ||
        (f < w.time_ms.size() && w.time_ms[f] < w.histograms[h].time_ms)) {
      current = {w.time_ms[f], w.start_ms.empty() ? storage::kNoStartMs : w.start_ms[f],
                 w.values[f], nullptr};
      ++f;
    } else {
      current = {w.histograms[h].time_ms, w.histograms[h].start_ms, 0,
                 w.histograms[h].histogram.get()};
      ++h;
    }
    if (!first && (resets ? IsReset(previous, current) : IsChange(previous, current))) ++count;
    first = false;
    previous = current;
  }
  return Cell::Float(static_cast<double>(count));
}

}  // namespace basalt::query::exec
