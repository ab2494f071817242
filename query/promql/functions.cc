#include "query/promql/functions.h"

#include <algorithm>
#include <array>

namespace basalt::promql {
namespace {

using enum FunctionId;

// The signatures there are: V is an instant vector, M a range vector (matrix), S a scalar, T a
// string.
constexpr std::span<const ValueType> kNone;
constexpr ValueType kM[] = {ValueType::kMatrix};
constexpr ValueType kMS[] = {ValueType::kMatrix, ValueType::kScalar};
constexpr ValueType kMSS[] = {ValueType::kMatrix, ValueType::kScalar, ValueType::kScalar};
constexpr ValueType kS[] = {ValueType::kScalar};
constexpr ValueType kSM[] = {ValueType::kScalar, ValueType::kMatrix};
constexpr ValueType kSS[] = {ValueType::kScalar, ValueType::kScalar};
constexpr ValueType kSSV[] = {ValueType::kScalar, ValueType::kScalar, ValueType::kVector};
constexpr ValueType kSV[] = {ValueType::kScalar, ValueType::kVector};
constexpr ValueType kV[] = {ValueType::kVector};
constexpr ValueType kVS[] = {ValueType::kVector, ValueType::kScalar};
constexpr ValueType kVSS[] = {ValueType::kVector, ValueType::kScalar, ValueType::kScalar};
constexpr ValueType kVT[] = {ValueType::kVector, ValueType::kString};
constexpr ValueType kVTSS[] = {ValueType::kVector, ValueType::kString, ValueType::kScalar,
                               ValueType::kScalar};
constexpr ValueType kVTTT[] = {ValueType::kVector, ValueType::kString, ValueType::kString,
                               ValueType::kString};
constexpr ValueType kVTTTT[] = {ValueType::kVector, ValueType::kString, ValueType::kString,
                                ValueType::kString, ValueType::kString};
constexpr ValueType kVV[] = {ValueType::kVector, ValueType::kVector};

// id, name, arguments, variadic, result, experimental.
constexpr std::array<FunctionSpec, kFunctionCount> kSpecs = {{
    {kAbs, "abs", kV, 0, ValueType::kVector, false},
    {kAbsent, "absent", kV, 0, ValueType::kVector, false},
    {kAbsentOverTime, "absent_over_time", kM, 0, ValueType::kVector, false},
    {kAcos, "acos", kV, 0, ValueType::kVector, false},
    {kAcosh, "acosh", kV, 0, ValueType::kVector, false},
    {kAsin, "asin", kV, 0, ValueType::kVector, false},
    {kAsinh, "asinh", kV, 0, ValueType::kVector, false},
    {kAtan, "atan", kV, 0, ValueType::kVector, false},
    {kAtanh, "atanh", kV, 0, ValueType::kVector, false},
    {kAvgOverTime, "avg_over_time", kM, 0, ValueType::kVector, false},
    {kCeil, "ceil", kV, 0, ValueType::kVector, false},
    {kChanges, "changes", kM, 0, ValueType::kVector, false},
    {kClamp, "clamp", kVSS, 0, ValueType::kVector, false},
    {kClampMax, "clamp_max", kVS, 0, ValueType::kVector, false},
    {kClampMin, "clamp_min", kVS, 0, ValueType::kVector, false},
    {kCos, "cos", kV, 0, ValueType::kVector, false},
    {kCosh, "cosh", kV, 0, ValueType::kVector, false},
    {kCountOverTime, "count_over_time", kM, 0, ValueType::kVector, false},
    {kDayOfMonth, "day_of_month", kV, 1, ValueType::kVector, false},
    {kDayOfWeek, "day_of_week", kV, 1, ValueType::kVector, false},
    {kDayOfYear, "day_of_year", kV, 1, ValueType::kVector, false},
    {kDaysInMonth, "days_in_month", kV, 1, ValueType::kVector, false},
    {kDeg, "deg", kV, 0, ValueType::kVector, false},
    {kDelta, "delta", kM, 0, ValueType::kVector, false},
    {kDeriv, "deriv", kM, 0, ValueType::kVector, false},
    {kDoubleExponentialSmoothing, "double_exponential_smoothing", kMSS, 0, ValueType::kVector,
     true},
    {kEnd, "end", kNone, 0, ValueType::kScalar, true},
    {kExp, "exp", kV, 0, ValueType::kVector, false},
    {kFirstOverTime, "first_over_time", kM, 0, ValueType::kVector, false},
    {kFloor, "floor", kV, 0, ValueType::kVector, false},
    {kHistogramAvg, "histogram_avg", kV, 0, ValueType::kVector, false},
    {kHistogramCount, "histogram_count", kV, 0, ValueType::kVector, false},
    {kHistogramFraction, "histogram_fraction", kSSV, 0, ValueType::kVector, false},
    {kHistogramQuantile, "histogram_quantile", kSV, 0, ValueType::kVector, false},
    {kHistogramQuantiles, "histogram_quantiles", kVTSS, 9, ValueType::kVector, true},
    {kHistogramStddev, "histogram_stddev", kV, 0, ValueType::kVector, false},
    {kHistogramStdvar, "histogram_stdvar", kV, 0, ValueType::kVector, false},
    {kHistogramSum, "histogram_sum", kV, 0, ValueType::kVector, false},
    {kHour, "hour", kV, 1, ValueType::kVector, false},
    {kIdelta, "idelta", kM, 0, ValueType::kVector, false},
    {kIncrease, "increase", kM, 0, ValueType::kVector, false},
    {kInfo, "info", kVV, 1, ValueType::kVector, true},
    {kIrate, "irate", kM, 0, ValueType::kVector, false},
    {kLabelJoin, "label_join", kVTTT, -1, ValueType::kVector, false},
    {kLabelReplace, "label_replace", kVTTTT, 0, ValueType::kVector, false},
    {kLastOverTime, "last_over_time", kM, 0, ValueType::kVector, false},
    {kLn, "ln", kV, 0, ValueType::kVector, false},
    {kLog10, "log10", kV, 0, ValueType::kVector, false},
    {kLog2, "log2", kV, 0, ValueType::kVector, false},
    {kMadOverTime, "mad_over_time", kM, 0, ValueType::kVector, true},
    {kMaxOf, "max_of", kSS, 0, ValueType::kScalar, true},
    {kMaxOverTime, "max_over_time", kM, 0, ValueType::kVector, false},
    {kMinOf, "min_of", kSS, 0, ValueType::kScalar, true},
    {kMinOverTime, "min_over_time", kM, 0, ValueType::kVector, false},
    {kMinute, "minute", kV, 1, ValueType::kVector, false},
    {kMonth, "month", kV, 1, ValueType::kVector, false},
    {kPi, "pi", kNone, 0, ValueType::kScalar, false},
    {kPredictLinear, "predict_linear", kMS, 0, ValueType::kVector, false},
    {kPresentOverTime, "present_over_time", kM, 0, ValueType::kVector, false},
    {kQuantileOverTime, "quantile_over_time", kSM, 0, ValueType::kVector, false},
    {kRad, "rad", kV, 0, ValueType::kVector, false},
    {kRange, "range", kNone, 0, ValueType::kScalar, true},
    {kRate, "rate", kM, 0, ValueType::kVector, false},
    {kResets, "resets", kM, 0, ValueType::kVector, false},
    {kRound, "round", kVS, 1, ValueType::kVector, false},
    {kScalar, "scalar", kV, 0, ValueType::kScalar, false},
    {kSgn, "sgn", kV, 0, ValueType::kVector, false},
    {kSin, "sin", kV, 0, ValueType::kVector, false},
    {kSinh, "sinh", kV, 0, ValueType::kVector, false},
    {kSort, "sort", kV, 0, ValueType::kVector, false},
    {kSortByLabel, "sort_by_label", kVT, -1, ValueType::kVector, true},
    {kSortByLabelDesc, "sort_by_label_desc", kVT, -1, ValueType::kVector, true},
    {kSortDesc, "sort_desc", kV, 0, ValueType::kVector, false},
    {kSqrt, "sqrt", kV, 0, ValueType::kVector, false},
    {kStart, "start", kNone, 0, ValueType::kScalar, true},
    {kStartTimestamp, "start_timestamp", kV, 0, ValueType::kVector, true},
    {kStddevOverTime, "stddev_over_time", kM, 0, ValueType::kVector, false},
    {kStdvarOverTime, "stdvar_over_time", kM, 0, ValueType::kVector, false},
    {kStep, "step", kNone, 0, ValueType::kScalar, true},
    {kSumOverTime, "sum_over_time", kM, 0, ValueType::kVector, false},
    {kTan, "tan", kV, 0, ValueType::kVector, false},
    {kTanh, "tanh", kV, 0, ValueType::kVector, false},
    {kTime, "time", kNone, 0, ValueType::kScalar, false},
    {kTimestamp, "timestamp", kV, 0, ValueType::kVector, false},
    {kTsOfFirstOverTime, "ts_of_first_over_time", kM, 0, ValueType::kVector, true},
    {kTsOfLastOverTime, "ts_of_last_over_time", kM, 0, ValueType::kVector, true},
    {kTsOfMaxOverTime, "ts_of_max_over_time", kM, 0, ValueType::kVector, true},
    {kTsOfMinOverTime, "ts_of_min_over_time", kM, 0, ValueType::kVector, true},
    {kVector, "vector", kS, 0, ValueType::kVector, false},
    {kYear, "year", kV, 1, ValueType::kVector, false},
}};

constexpr bool InOrder() {
  for (size_t i = 0; i < kSpecs.size(); ++i) {
    if (kSpecs[i].id != static_cast<FunctionId>(i)) return false;
    if (i > 0 && !(kSpecs[i - 1].name < kSpecs[i].name)) return false;
  }
  return true;
}
static_assert(InOrder(), "the table is searched by name and indexed by id");

}  // namespace

const FunctionSpec* FunctionTable::Find(std::string_view name) const {
  const auto found = std::lower_bound(
      specs_.begin(), specs_.end(), name,
      [](const FunctionSpec& spec, std::string_view wanted) { return spec.name < wanted; });
  return found != specs_.end() && found->name == name ? &*found : nullptr;
}

const FunctionTable& PromqlFunctions() {
  static constexpr FunctionTable kTable{std::span<const FunctionSpec>(kSpecs)};
  return kTable;
}

const FunctionSpec& SpecOf(FunctionId id) { return kSpecs[static_cast<size_t>(id)]; }

}  // namespace basalt::promql
