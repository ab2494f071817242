#include "query/exec/column_look.h"

#include <algorithm>
#include <cstddef>

namespace basalt::query::exec {
namespace {

// True if holds(i) for all i in [begin, end): no branch a value, one a block.
template <typename Holds>
bool ForAll(size_t begin, size_t end, Holds&& holds) {
  constexpr size_t kBlock = 128;
  for (; begin < end; begin += kBlock) {
    const size_t stop = std::min(begin + kBlock, end);
    // As wide as the values, so that masks of comparisons are put together as they are.
    uint64_t fails = 0;
    for (size_t i = begin; i < stop; ++i) fails |= uint64_t{0} - static_cast<uint64_t>(!holds(i));
    if (fails != 0) return false;
  }
  return true;
}

}  // namespace

bool ColumnLook::Rises() {
  if (rises_ == Answer::kUnasked) {
    const double* const v = values_.data();
    // NaN is not at least anything, and nothing is at least NaN.
    const bool rises = (values_.empty() || v[0] == v[0]) &&
                       ForAll(1, values_.size(), [v](size_t i) { return v[i] >= v[i - 1]; });
    rises_ = rises ? Answer::kYes : Answer::kNo;
    if (rises) no_nan_ = Answer::kYes;
  }
  return rises_ == Answer::kYes;
}

bool ColumnLook::NoNan() {
  if (no_nan_ == Answer::kUnasked) {
    const double* const v = values_.data();
    const bool none = ForAll(0, values_.size(), [v](size_t i) { return v[i] == v[i]; });
    no_nan_ = none ? Answer::kYes : Answer::kNo;
  }
  return no_nan_ == Answer::kYes;
}

}  // namespace basalt::query::exec
