// engine/actionability/totals.h -- what happened to alerts, counted; the counters behind the
// series.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::actionability {

// Whose alerts are counted together.
struct TotalsKey {
  std::string team;
  std::string service;
  bool page = false;
  friend auto operator<=>(const TotalsKey&, const TotalsKey&) = default;
};

// Counters: they never go down, not when old records are forgotten, nor when a verdict is
// corrected.
struct Totals {
  uint64_t fired = 0;
  uint64_t delivered = 0;
  uint64_t undelivered = 0;  // resolved without
  uint64_t acknowledged = 0;
  uint64_t resolved = 0;
  uint64_t flaps = 0;
  std::array<uint64_t, 4> verdicts{};  // by Verdict
  double minutes = 0;
  double acknowledge_seconds = 0;  // sum, from delivery to acknowledgement
  friend bool operator==(const Totals&, const Totals&) = default;
};

void EncodeTotals(const TotalsKey& key, const Totals& totals, std::string& out);
// Safe on hostile bytes. kDataLoss.
Status DecodeTotals(std::string_view payload, TotalsKey& key, Totals& totals);

}  // namespace basalt::actionability
