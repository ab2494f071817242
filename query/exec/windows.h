// query/exec/windows.h -- which samples of a series each step sees, worked out from the times
// alone.
//
// The series of a target share a time column, so this is done once for all of them
// (storage::SeriesColumns::times), together with what a rate needs to know of times.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "query/exec/matrix.h"
#include "query/plan/grid.h"

namespace basalt::query::exec {

// Where steps look: at the last sample in (t - reach, t] (an instant selector, reach is the
// lookback), or at all samples in there (a range).
struct WindowSpec {
  int64_t reach_ms = 0;
  int64_t offset_ms = 0;
  std::optional<int64_t> at_ms;
  // Steps that see fewer samples have no value.
  uint32_t min_samples = 1;
  // Work out the extrapolation of rate, increase and delta; the latter two do not divide by the
  // range.
  bool extrapolate = false;
  bool per_second = false;
};

struct Windows {
  // Step s sees samples [from[s], to[s]).
  std::vector<uint32_t> from;
  std::vector<uint32_t> to;
  // Steps with a value are in [first_step, end_step), the first and the last among them; `kinds` is
  // parallel to that.
  uint32_t first_step = 0;
  uint32_t end_step = 0;
  bool gapless = true;  // all of those have one
  std::vector<CellKind> kinds;
  uint64_t samples = 0;  // seen by all steps together, as Prometheus counts them
  uint64_t largest = 0;  // seen by one step

  // Extrapolation, a value a step: seconds between the first and the last sample, from there to the
  // window's borders (or as far as Prometheus goes), and the factor that this comes to unless a
  // counter's zero lies nearer.
  std::vector<double> sampled;
  std::vector<double> to_start;
  std::vector<double> to_end;
  std::vector<double> factor;
};

// Seconds that a rate is extrapolated over, from two or more samples in (start, end].
struct Extrapolation {
  double sampled = 0;
  double to_start = 0;
  double to_end = 0;
};
Extrapolation ExtrapolateRate(int64_t first_ms, int64_t last_ms, uint64_t samples, int64_t start_ms,
                              int64_t end_ms);

// One thread.
class WindowFinder {
 public:
  WindowFinder(const WindowSpec& spec, const plan::Grid& grid) : spec_(spec), grid_(grid) {}

  // `times`: SeriesColumns::times, or 0. Good until the next call.
  const Windows& Find(uint64_t times, std::span<const int64_t> time_ms);

  [[nodiscard]] const WindowSpec& spec() const { return spec_; }
  [[nodiscard]] const plan::Grid& grid() const { return grid_; }

 private:
  void FindRanges(std::span<const int64_t> time_ms);
  void FindKinds();
  void Extrapolate(std::span<const int64_t> time_ms);

  const WindowSpec spec_;
  const plan::Grid grid_;
  uint64_t known_ = 0;
  Windows windows_;
};

}  // namespace basalt::query::exec
