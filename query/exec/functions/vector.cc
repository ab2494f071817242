#include "query/exec/functions/vector.h"

#include <cmath>
#include <numbers>

#include "query/promql/functions.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

// max_of and min_of of two scalars: NaN beats everything but the infinity that no number can beat.
double LargerOf(double a, double b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a == kInfinity || b == kInfinity) return kInfinity;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && b == 0) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double SmallerOf(double a, double b) { return -LargerOf(-a, -b); }

// A scalar computed step by step.
template <typename F>
Matrix ScalarBySteps(const plan::Grid& grid, F&& f) {
  Matrix out(grid);
  out.Begin(RowLabels(), false);
  for (size_t step = 0; step < grid.size(); ++step) out.Append(step, f(step));
  out.End();
  return out;
}

}  // namespace

Result<Matrix> CallFunction(CallInput in) {
  switch (in.node.function) {
    case FunctionId::kTime:
      return ScalarBySteps(
          in.grid, [&](size_t step) { return static_cast<double>(in.grid.at(step)) / 1000; });
    case FunctionId::kPi:
      return ScalarMatrix(in.grid, std::numbers::pi);
    case FunctionId::kMaxOf:
      return ScalarBySteps(
          in.grid, [&](size_t step) { return LargerOf(in.scalar(0, step), in.scalar(1, step)); });
    case FunctionId::kMinOf:
      return ScalarBySteps(
          in.grid, [&](size_t step) { return SmallerOf(in.scalar(0, step), in.scalar(1, step)); });
    case FunctionId::kVector:
      return std::move(in.args[0]);  // a scalar is a row without labels already
    case FunctionId::kScalar:
      return ScalarOf(in);
    case FunctionId::kAbsent:
      return Absent(in);
    case FunctionId::kTimestamp:
      return TimestampOf(in);
    case FunctionId::kStartTimestamp:
      return Matrix(in.grid);  // only samples have one, and these are results
    case FunctionId::kLabelReplace:
      return LabelReplace(in);
    case FunctionId::kLabelJoin:
      return LabelJoin(in);
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
    case FunctionId::kSortByLabel:
    case FunctionId::kSortByLabelDesc:
      return SortFunction(in);
    case FunctionId::kHistogramAvg:
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramStddev:
    case FunctionId::kHistogramStdvar:
      return HistogramFunction(in);
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramQuantiles:
    case FunctionId::kHistogramFraction:
      return BucketFunction(in);
    case FunctionId::kDaysInMonth:
    case FunctionId::kDayOfMonth:
    case FunctionId::kDayOfWeek:
    case FunctionId::kDayOfYear:
    case FunctionId::kHour:
    case FunctionId::kMinute:
    case FunctionId::kMonth:
    case FunctionId::kYear:
      return DateFunction(in);
    default:
      return PointwiseFunction(in);
  }
}

}  // namespace basalt::query::exec
