#include "query/exec/functions/range.h"

namespace basalt::query::exec {

using plan::FunctionId;

RangeKernel FindRangeKernel(FunctionId function) {
  switch (function) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
      return Rate;
    case FunctionId::kIrate:
    case FunctionId::kIdelta:
      return InstantRate;
    case FunctionId::kChanges:
    case FunctionId::kResets:
      return Changes;
    case FunctionId::kDeriv:
      return Deriv;
    case FunctionId::kPredictLinear:
      return PredictLinear;
    case FunctionId::kDoubleExponentialSmoothing:
      return DoubleExponentialSmoothing;
    case FunctionId::kSumOverTime:
      return SumOverTime;
    case FunctionId::kAvgOverTime:
      return AvgOverTime;
    case FunctionId::kStddevOverTime:
    case FunctionId::kStdvarOverTime:
      return VarianceOverTime;
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
    case FunctionId::kTsOfMaxOverTime:
    case FunctionId::kTsOfMinOverTime:
      return ExtremeOverTime;
    case FunctionId::kCountOverTime:
      return CountOverTime;
    case FunctionId::kPresentOverTime:
    case FunctionId::kAbsentOverTime:
      return PresentOverTime;
    case FunctionId::kFirstOverTime:
    case FunctionId::kLastOverTime:
    case FunctionId::kTsOfFirstOverTime:
    case FunctionId::kTsOfLastOverTime:
      return EndOverTime;
    case FunctionId::kQuantileOverTime:
      return QuantileOverTime;
    case FunctionId::kMadOverTime:
      return MadOverTime;
    default:
      return nullptr;
  }
}

bool UsesStartTimestamps(FunctionId function) {
  return function == FunctionId::kRate || function == FunctionId::kIncrease ||
         function == FunctionId::kIrate || function == FunctionId::kResets;
}

bool IsCounterFunction(FunctionId function) {
  return function == FunctionId::kRate || function == FunctionId::kIncrease;
}

bool KeepsName(FunctionId function) {
  return function == FunctionId::kLastOverTime || function == FunctionId::kFirstOverTime;
}

bool IsStartReset(int64_t previous_start_ms, int64_t previous_ms, int64_t start_ms,
                  int64_t time_ms) {
  // Not sent, or not possible: start at or after the sample itself (equal means "unknown" in OTLP).
  if (start_ms == storage::kNoStartMs || start_ms >= time_ms) return false;
  if (start_ms != previous_ms) return start_ms > previous_ms;
  // Begins where the last one ended: a delta, unless the last one did not know its start either.
  return previous_start_ms != storage::kNoStartMs && previous_start_ms < previous_ms;
}

void PrepareSeries(const Samples& s, RangeCall& call) {
  call.resets.clear();
  call.start_overlaps.clear();
  const bool counter = call.function == FunctionId::kRate || call.function == FunctionId::kIncrease;
  if (!counter || call.mode != plan::RangeMode::kPlain) return;
  const auto n = static_cast<uint32_t>(s.values.size());
  if (s.start_ms.empty()) {
    for (uint32_t i = 1; i < n; ++i) {
      if (s.values[i] < s.values[i - 1]) call.resets.push_back(i);
    }
    return;
  }
  for (uint32_t i = 1; i < n; ++i) {
    if (s.values[i] < s.values[i - 1] ||
        IsStartReset(s.start_ms[i - 1], s.time_ms[i - 1], s.start_ms[i], s.time_ms[i])) {
      call.resets.push_back(i);
    }
    if (s.start_ms[i] != storage::kNoStartMs && s.start_ms[i] < s.time_ms[i - 1] &&
        s.start_ms[i] != s.start_ms[i - 1]) {
      call.start_overlaps.push_back(i);
    }
  }
}

}  // namespace basalt::query::exec
