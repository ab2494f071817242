// query/exec/column_look.h -- what one pass over a series' values tells, for all windows that look
// at them.
#pragma once

#include <cstdint>
#include <span>

namespace basalt::query::exec {

// Borrows the values. Each question costs one pass when it is first asked, about an instruction a
// value, and nothing afterwards. One thread.
class ColumnLook {
 public:
  explicit ColumnLook(std::span<const double> values) : values_(values) {}

  // No value is below the one before it, and none is NaN: no counter reset, no stale marker.
  [[nodiscard]] bool Rises();
  // None is NaN, so that none is a stale marker.
  [[nodiscard]] bool NoNan();

 private:
  enum class Answer : uint8_t { kUnasked, kNo, kYes };

  std::span<const double> values_;
  Answer rises_ = Answer::kUnasked;
  Answer no_nan_ = Answer::kUnasked;
};

}  // namespace basalt::query::exec
