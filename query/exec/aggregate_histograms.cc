// States of sums and averages of native histograms; what is common to all states is in
// aggregate.cc.
#include <utility>

#include "query/exec/aggregate.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {

using plan::AggregateOp;

// Takes down what an operation on histograms had to say. False if the group has no result any more.
bool Aggregation::Ok(size_t cell, bool incompatible, bool reconciled, std::string_view metric,
                     Annotations& annotations) {
  if (incompatible) {
    annotations.MixedExponentialCustom(metric, plan_.expr_pos);
    flags_[cell] |= kIncompatible;
    return false;
  }
  if (reconciled) annotations.MismatchedCustomBuckets("aggregation", plan_.expr_pos);
  return true;
}

void Aggregation::AddHistogram(size_t cell, const HistogramPtr& h, const Row& row,
                               Annotations& annotations) {
  uint8_t& flags = flags_[cell];
  if ((flags & kIncompatible) != 0) return;
  switch (plan_.op) {
    case AggregateOp::kCount:
      flags |= kSeen;
      ++count_[cell];
      return;
    case AggregateOp::kGroup:
      flags |= kSeen;
      value_[cell] = 1;
      return;
    case AggregateOp::kSum:
    case AggregateOp::kAvg:
      break;
    default:
      annotations.HistogramIgnoredInAggregation(promql::AggregateOpName(plan_.op), plan_.expr_pos);
      return;
  }
  const bool first = (flags & kSeen) == 0;
  flags |= kSeen | kHistogram;
  if (plan_.op == AggregateOp::kAvg) ++count_[cell];
  if (first) {
    histograms_[cell] = {*h, std::nullopt, false, std::string(row.labels.metric_name())};
  } else {
    const auto it = histograms_.find(cell);
    if (it == histograms_.end()) return;  // floats came before: there is no result anyway
    HistogramState& state = it->second;
    const std::string_view metric = row.labels.metric_name();
    if (plan_.op == AggregateOp::kAvg) {
      AverageHistogram(cell, *h, state, metric, annotations);
    } else {
      const HistogramOutcome o = exec::KahanAdd(state.value, *h, state.correction);
      Ok(cell, o.incompatible, o.bounds_reconciled, metric, annotations);
    }
  }
  if (h->reset_hint == ResetHint::kYes) flags |= kReset;
  if (h->reset_hint == ResetHint::kNo) flags |= kNoReset;
}

void Aggregation::AverageHistogram(size_t cell, const FloatHistogram& h, HistogramState& state,
                                   std::string_view metric, Annotations& annotations) {
  const double count = count_[cell];
  if (!state.incremental) {
    FloatHistogram next = state.value;
    std::optional<FloatHistogram> next_correction = state.correction;
    const HistogramOutcome o = exec::KahanAdd(next, h, next_correction);
    if (!Ok(cell, o.incompatible, o.bounds_reconciled, metric, annotations)) return;
    if (!HasOverflow(next)) {
      state.value = std::move(next);
      state.correction = std::move(next_correction);
      return;
    }
    state.incremental = true;
    Divide(state.value, count - 1);
    if (state.correction.has_value()) Divide(*state.correction, count - 1);
  }
  const double q = (count - 1) / count;
  if (state.correction.has_value()) Multiply(*state.correction, q);
  Multiply(state.value, q);
  FloatHistogram share = h;
  Divide(share, count);
  const HistogramOutcome o = exec::KahanAdd(state.value, share, state.correction);
  Ok(cell, o.incompatible, o.bounds_reconciled, metric, annotations);
}

void Aggregation::MergeHistograms(size_t cell, const Aggregation& other, size_t from,
                                  Annotations& annotations) {
  const auto theirs = other.histograms_.find(from);
  const auto ours = histograms_.find(cell);
  if (theirs == other.histograms_.end() || ours == histograms_.end())
    return;  // mixed with floats: no result
  HistogramState state = theirs->second;
  HistogramState& own = ours->second;
  // Adds what `state` holds to `to`. False if the two do not mix.
  const auto add = [&](HistogramState& to) {
    HistogramOutcome o = exec::KahanAdd(to.value, state.value, to.correction);
    if (!Ok(cell, o.incompatible, o.bounds_reconciled, state.metric, annotations)) return false;
    if (!state.correction.has_value()) return true;
    o = exec::KahanAdd(to.value, *state.correction, to.correction);
    return Ok(cell, o.incompatible, o.bounds_reconciled, state.metric, annotations);
  };
  if (plan_.op != AggregateOp::kAvg) {
    add(own);
    return;
  }
  if (!own.incremental && !state.incremental) {
    HistogramState next = own;
    if (!add(next)) return;
    if (!HasOverflow(next.value)) {
      own = std::move(next);
      return;
    }
  }
  // As soon as one of the sums does not fit a double, means are merged by their weights.
  const double n = count_[cell] + other.count_[from];
  const auto weigh = [n](HistogramState& s, double count) {
    const double factor = (s.incremental ? count : 1) / n;
    Multiply(s.value, factor);
    if (s.correction.has_value()) Multiply(*s.correction, factor);
    s.incremental = true;
  };
  weigh(own, count_[cell]);
  weigh(state, other.count_[from]);
  add(own);
}

}  // namespace basalt::query::exec
