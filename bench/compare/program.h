// bench/compare/program.h -- what the small programs here share: their own cost, quantiles, and one
// line of JSON.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace basalt::bench {

// User and system time of this process so far.
inline double OwnCpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Quoted; control characters become spaces.
inline std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

// The q-th of latencies, whose order is lost; 0 of none.
inline double QuantileMs(std::vector<uint32_t>& us, double q) {
  if (us.empty()) return 0;
  const auto at = static_cast<ptrdiff_t>(q * static_cast<double>(us.size() - 1));
  std::nth_element(us.begin(), us.begin() + at, us.end());
  return static_cast<double>(us[static_cast<size_t>(at)]) / 1e3;
}

// main's return value; an error goes to stderr.
inline int Exit(std::string_view program, const Status& status) {
  if (!status.ok())
    std::fprintf(stderr, "%s: %s\n", std::string(program).c_str(), status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace basalt::bench
