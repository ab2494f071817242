// query/promql/functions.h -- which functions there are, and what the parser checks of a call.
//
// Names, argument types and result types only; query/exec registers a kernel for each FunctionId. A
// dialect brings a FunctionTable of its own: the parser looks names up nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "query/promql/ast.h"

namespace basalt::promql {

// One for each function of PromQL, experimental ones included, in alphabetical order of the names.
enum class FunctionId : uint16_t {
  kAbs,
  kAbsent,
  kAbsentOverTime,
  kAcos,
  kAcosh,
  kAsin,
  kAsinh,
  kAtan,
  kAtanh,
  kAvgOverTime,
  kCeil,
  kChanges,
  kClamp,
  kClampMax,
  kClampMin,
  kCos,
  kCosh,
  kCountOverTime,
  kDayOfMonth,
  kDayOfWeek,
  kDayOfYear,
  kDaysInMonth,
  kDeg,
  kDelta,
  kDeriv,
  kDoubleExponentialSmoothing,
  kEnd,
  kExp,
  kFirstOverTime,
  kFloor,
  kHistogramAvg,
  kHistogramCount,
  kHistogramFraction,
  kHistogramQuantile,
  kHistogramQuantiles,
  kHistogramStddev,
  kHistogramStdvar,
  kHistogramSum,
  kHour,
  kIdelta,
  kIncrease,
  kInfo,
  kIrate,
  kLabelJoin,
  kLabelReplace,
  kLastOverTime,
  kLn,
  kLog10,
  kLog2,
  kMadOverTime,
  kMaxOf,
  kMaxOverTime,
  kMinOf,
  kMinOverTime,
  kMinute,
  kMonth,
  kPi,
  kPredictLinear,
  kPresentOverTime,
  kQuantileOverTime,
  kRad,
  kRange,
  kRate,
  kResets,
  kRound,
  kScalar,
  kSgn,
  kSin,
  kSinh,
  kSort,
  kSortByLabel,
  kSortByLabelDesc,
  kSortDesc,
  kSqrt,
  kStart,
  kStartTimestamp,
  kStddevOverTime,
  kStdvarOverTime,
  kStep,
  kSumOverTime,
  kTan,
  kTanh,
  kTime,
  kTimestamp,
  kTsOfFirstOverTime,
  kTsOfLastOverTime,
  kTsOfMaxOverTime,
  kTsOfMinOverTime,
  kVector,
  kYear,
  kCount,  // how many there are; not a function
};

inline constexpr size_t kFunctionCount = static_cast<size_t>(FunctionId::kCount);

struct FunctionSpec {
  FunctionId id;
  std::string_view name;
  // Types of the arguments. If `variadic` is not 0 the last one is optional and may repeat.
  std::span<const ValueType> arg_types;
  // 0: exactly arg_types.size() arguments. n > 0: arg_types.size() - 1 up to that plus n. -1: no
  // upper bound.
  int variadic = 0;
  ValueType return_type = ValueType::kVector;
  bool experimental = false;  // upstream has it behind a flag; here it is always on
};

// A language's functions. Thread-safe; lives as long as the process.
class FunctionTable {
 public:
  // `specs` sorted by name; both they and what they point to live as long as the process.
  explicit constexpr FunctionTable(std::span<const FunctionSpec> specs) : specs_(specs) {}
  // Null if there is no function of that name. Case matters.
  [[nodiscard]] const FunctionSpec* Find(std::string_view name) const;
  [[nodiscard]] std::span<const FunctionSpec> all() const { return specs_; }

 private:
  std::span<const FunctionSpec> specs_;
};

const FunctionTable& PromqlFunctions();
// The spec of one of them.
const FunctionSpec& SpecOf(FunctionId id);

}  // namespace basalt::promql
