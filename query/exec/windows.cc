#include "query/exec/windows.h"

#include <algorithm>

namespace basalt::query::exec {
namespace {

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

}  // namespace

// The same operations in the same order as functions/rate.cc, which stays the reference.
Extrapolation ExtrapolateRate(int64_t first_ms, int64_t last_ms, uint64_t samples, int64_t start_ms,
                              int64_t end_ms) {
  Extrapolation e;
  e.sampled = Seconds(last_ms - first_ms);
  e.to_start = Seconds(first_ms - start_ms);
  e.to_end = Seconds(end_ms - last_ms);
  const double average = e.sampled / static_cast<double>(samples - 1);
  // Farther than this from a boundary, the series is taken to begin or end half an interval outside
  // its samples.
  const double threshold = average * 1.1;
  if (e.to_start >= threshold) e.to_start = average / 2;
  if (e.to_end >= threshold) e.to_end = average / 2;
  return e;
}

const Windows& WindowFinder::Find(uint64_t times, std::span<const int64_t> time_ms) {
  if (times != 0 && times == known_) return windows_;
  known_ = times;
  FindRanges(time_ms);
  FindKinds();
  if (spec_.extrapolate) Extrapolate(time_ms);
  return windows_;
}

void WindowFinder::FindRanges(std::span<const int64_t> time_ms) {
  const size_t steps = grid_.size();
  Windows& w = windows_;
  w.from.resize(steps);
  w.to.resize(steps);
  w.samples = 0;
  w.largest = 0;
  const auto count = static_cast<uint32_t>(time_ms.size());
  uint32_t from = 0;
  uint32_t to = 0;
  for (size_t step = 0; step < steps; ++step) {
    if (step == 0 || !spec_.at_ms.has_value()) {
      const int64_t end_ms =
          (spec_.at_ms.has_value() ? *spec_.at_ms : grid_.at(step)) - spec_.offset_ms;
      const int64_t start_ms = end_ms - spec_.reach_ms;
      if (step == 0) {
        // Far from the beginning, mostly.
        from = static_cast<uint32_t>(std::upper_bound(time_ms.begin(), time_ms.end(), start_ms) -
                                     time_ms.begin());
        to = static_cast<uint32_t>(std::upper_bound(time_ms.begin(), time_ms.end(), end_ms) -
                                   time_ms.begin());
      }
      while (to < count && time_ms[to] <= end_ms) ++to;
      while (from < to && time_ms[from] <= start_ms) ++from;
    }
    w.from[step] = from;
    w.to[step] = to;
    w.samples += to - from;
    w.largest = std::max<uint64_t>(w.largest, to - from);
  }
}

void WindowFinder::FindKinds() {
  Windows& w = windows_;
  const auto has_value = [&](size_t step) {
    return w.to[step] - w.from[step] >= spec_.min_samples;
  };
  auto first = static_cast<uint32_t>(0);
  auto end = static_cast<uint32_t>(w.from.size());
  while (first < end && !has_value(first)) ++first;
  while (end > first && !has_value(end - 1)) --end;
  w.first_step = first;
  w.end_step = end;
  w.kinds.resize(end - first);
  w.gapless = true;
  for (uint32_t step = first; step < end; ++step) {
    const bool value = has_value(step);
    w.kinds[step - first] = value ? CellKind::kFloat : CellKind::kAbsent;
    w.gapless = w.gapless && value;
  }
}

void WindowFinder::Extrapolate(std::span<const int64_t> time_ms) {
  Windows& w = windows_;
  const size_t steps = w.from.size();
  for (std::vector<double>* column : {&w.sampled, &w.to_start, &w.to_end, &w.factor})
    column->resize(steps);
  for (size_t step = w.first_step; step < w.end_step; ++step) {
    const uint32_t samples = w.to[step] - w.from[step];
    if (samples < 2) continue;
    const int64_t end_ms =
        (spec_.at_ms.has_value() ? *spec_.at_ms : grid_.at(step)) - spec_.offset_ms;
    const auto [sampled, to_start, to_end] = ExtrapolateRate(
        time_ms[w.from[step]], time_ms[w.to[step] - 1], samples, end_ms - spec_.reach_ms, end_ms);
    w.sampled[step] = sampled;
    w.to_start[step] = to_start;
    w.to_end[step] = to_end;
    double factor = (sampled + to_start + to_end) / sampled;
    if (spec_.per_second) factor /= Seconds(spec_.reach_ms);
    w.factor[step] = factor;
  }
}

}  // namespace basalt::query::exec
