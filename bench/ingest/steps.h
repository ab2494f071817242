// bench/ingest/steps.h -- CPU time of a step, and how it is printed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <vector>

namespace basalt::bench {

// Of this thread so far.
inline double CpuNs() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

inline double Median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// `ns`: a sample, by round.
inline void PrintStep(const char* what, const std::vector<double>& ns) {
  std::printf("  %-34s %7.1f min %7.1f median ns a sample\n", what,
              *std::min_element(ns.begin(), ns.end()), Median(ns));
}

}  // namespace basalt::bench
