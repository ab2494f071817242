// query/operator_stats.h -- what one operator of a query took.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace basalt::query {

// Counts and `total` hold its operands' as well.
struct OperatorStats {
  uint32_t depth = 0;  // of the root: 0
  std::string text;    // as explain=1 has it
  std::chrono::nanoseconds total{0};
  std::chrono::nanoseconds own{0};  // without its operands
  uint64_t series = 0;              // rows that it gave
  uint64_t samples_read = 0;
  uint64_t rows_summarized = 0;
  uint64_t blocks_opened = 0;
};

}  // namespace basalt::query
