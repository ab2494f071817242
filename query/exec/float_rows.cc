#include "query/exec/float_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/kahan.h"
#include "engine/base/stale.h"
#include "query/exec/functions/range.h"
#include "query/exec/quantile.h"
#include "query/exec/range_eval.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;
using storage::SummaryUse;

bool IsRate(FunctionId f) {
  return f == FunctionId::kRate || f == FunctionId::kIncrease || f == FunctionId::kDelta;
}
bool IsSupported(FunctionId f) {
  switch (f) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
    case FunctionId::kSumOverTime:
    case FunctionId::kAvgOverTime:
    case FunctionId::kCountOverTime:
    case FunctionId::kPresentOverTime:
    case FunctionId::kFirstOverTime:
    case FunctionId::kLastOverTime:
    case FunctionId::kQuantileOverTime:
      return true;
    default:
      return false;
  }
}

// The extreme as upstream finds it: of equal ones (0 and -0) the first, NaN only if all are.
template <typename Better>
double Extreme(std::span<const double> values, Better&& better) {
  double best = values[0];
  size_t i = 1;
  while (i < values.size() && std::isnan(best)) best = values[i++];
  for (; i < values.size(); ++i) best = better(values[i], best) ? values[i] : best;
  return best;
}

// Samples between two looks at the cancel token: well under a millisecond of work.
constexpr uint64_t kWorkBetweenChecks = 1 << 16;
// Finding a quantile costs about as much a sample as adding so many.
constexpr uint64_t kSortCost = 4;

// Windows that overlap much are slid with a queue of candidates; others are looked through.
constexpr uint64_t kSlideFrom = 4;

}  // namespace

void FindResets(std::span<const double> values, size_t first, size_t last,
                std::vector<uint32_t>& resets) {
  resets.clear();
  constexpr size_t kBlock = 64;
  for (size_t begin = first + 1; begin < last; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, last);
    int falls = 0;
    for (size_t i = begin; i < end; ++i) falls |= static_cast<int>(values[i] < values[i - 1]);
    if (falls == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if (values[i] < values[i - 1]) resets.push_back(static_cast<uint32_t>(i));
    }
  }
}

bool AnyStale(std::span<const double> values) {
  uint64_t found = 0;
  for (const double v : values) found |= static_cast<uint64_t>(IsStaleMarker(v));
  return found != 0;
}

std::optional<FloatRowEvaluator> FloatRowEvaluator::Make(const QueryContext& context,
                                                         const plan::FragmentPlan& plan,
                                                         const plan::FragmentInput& input) {
  const plan::SelectorPlan& s = plan.selector;
  if (s.mode != plan::RangeMode::kPlain || s.histogram_stats || input.grid.empty())
    return std::nullopt;
  WindowSpec spec{.reach_ms = plan.range_ms, .offset_ms = s.offset_ms, .at_ms = s.at_ms};
  if (plan.range_ms == 0) {
    if (plan.has_function()) return std::nullopt;
    spec.reach_ms = input.lookback_ms;
  } else {
    if (!IsSupported(plan.function)) return std::nullopt;
    // Quantiles that are no quantiles have something to say.
    if (plan.function == FunctionId::kQuantileOverTime) {
      for (const double q : input.arguments[0]) {
        if (!(q >= 0 && q <= 1)) return std::nullopt;
      }
    }
    if (IsRate(plan.function)) {
      spec.min_samples = 2;
      spec.extrapolate = true;
      spec.per_second = plan.function == FunctionId::kRate;
    }
  }
  return FloatRowEvaluator(context, plan, input, spec);
}

FloatRowEvaluator::FloatRowEvaluator(const QueryContext& context, const plan::FragmentPlan& plan,
                                     const plan::FragmentInput& input, const WindowSpec& spec)
    : context_(&context),
      plan_(&plan),
      input_(&input),
      finder_(spec, input.grid),
      filtered_finder_(spec, input.grid) {}

SummaryUse FloatRowEvaluator::summaries() const {
  // Only where one window holds every sample that is read.
  const bool one_window = input_->grid.size() == 1 || plan_->selector.at_ms.has_value();
  if (!one_window) return SummaryUse::kNone;
  if (plan_->range_ms == 0) return SummaryUse::kLatest;
  switch (plan_->function) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
      return SummaryUse::kIncrease;
    case FunctionId::kDelta:
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
    case FunctionId::kCountOverTime:
    case FunctionId::kPresentOverTime:
    case FunctionId::kFirstOverTime:
    case FunctionId::kLastOverTime:
      return SummaryUse::kEnds;
    default:
      return SummaryUse::kNone;
  }
}

Result<bool> FloatRowEvaluator::Evaluate(const storage::SeriesColumns& columns, ColumnLook& look,
                                         FloatRow& row) {
  if (!columns.histograms.empty()) return false;
  const bool starts = !columns.start_ms.empty() && input_->use_start_timestamps &&
                      UsesStartTimestamps(plan_->function);
  row = {};
  if (!columns.rows.empty()) {
    return plan_->range_ms == 0 ? ShowLatest(columns.rows.back().summary, row)
                                : EvaluateSummarized(columns, look, row);
  }
  if (starts) return false;
  std::span<const double> values = columns.values;
  const bool latest = plan_->range_ms == 0;
  const Windows* w = &finder_.Find(columns.times, columns.time_ms);
  bool rises = !latest && IsCounterFunction(plan_->function) && look.Rises();
  // What is read for other windows may lie before all of these.
  const auto seen_stale = [&] {
    if (values.empty() || rises || look.NoNan()) return false;
    return AnyStale(values.subspan(w->from.front(), w->to.back() - w->from.front()));
  };
  if (!latest && seen_stale()) {
    time_ms_.clear();
    values_.clear();
    for (size_t i = 0; i < values.size(); ++i) {
      if (IsStaleMarker(values[i])) continue;
      time_ms_.push_back(columns.time_ms[i]);
      values_.push_back(values[i]);
    }
    values = values_;
    rises = false;  // not known of these
    w = &filtered_finder_.Find(0, time_ms_);
  }
  if (latest) return FillLatest(values, *w, row);
  samples_ += w->samples;
  largest_ = std::max(largest_, w->largest);
  if (w->kinds.empty()) return true;
  out_.resize(w->kinds.size());
  BASALT_TRY(Fill(values, *w, rises));
  row = {w->first_step, w->gapless, w->kinds, out_};
  return true;
}

Status FloatRowEvaluator::Worked(uint64_t samples) {
  work_ += samples;
  if (work_ < kWorkBetweenChecks) return OkStatus();
  work_ = 0;
  return context_->CheckRunning();
}

Status FloatRowEvaluator::Fill(std::span<const double> values, const Windows& w, bool rises) {
  const size_t n = w.kinds.size();
  const std::span<const uint32_t> from = std::span(w.from).subspan(w.first_step, n);
  const std::span<const uint32_t> to = std::span(w.to).subspan(w.first_step, n);
  switch (plan_->function) {
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
      return FillExtremes(values, w, plan_->function == FunctionId::kMaxOverTime);
    case FunctionId::kSumOverTime:
    case FunctionId::kAvgOverTime:
      return FillSums(values, w, plan_->function == FunctionId::kAvgOverTime);
    case FunctionId::kQuantileOverTime:
      return FillQuantiles(values, w);
    case FunctionId::kCountOverTime:
      for (size_t i = 0; i < n; ++i) out_[i] = to[i] - from[i];
      return OkStatus();
    case FunctionId::kPresentOverTime:
      std::fill(out_.begin(), out_.end(), 1.0);
      return OkStatus();
    case FunctionId::kFirstOverTime:
      for (size_t i = 0; i < n; ++i) out_[i] = from[i] < to[i] ? values[from[i]] : 0;
      return OkStatus();
    case FunctionId::kLastOverTime:
      for (size_t i = 0; i < n; ++i) out_[i] = from[i] < to[i] ? values[to[i] - 1] : 0;
      return OkStatus();
    default:
      FillRates(values, w, rises);
      return OkStatus();
  }
}

void FloatRowEvaluator::FillRates(std::span<const double> values, const Windows& w, bool rises) {
  const bool counter = IsCounterFunction(plan_->function);
  resets_.clear();
  if (counter && !rises) FindResets(values, w.from[w.first_step], w.to[w.end_step - 1], resets_);
  const double per = finder_.spec().per_second ? static_cast<double>(plan_->range_ms) / 1000 : 0;
  auto reset = resets_.begin();
  for (size_t i = 0; i < w.kinds.size(); ++i) {
    const size_t step = w.first_step + i;
    if (w.kinds[i] == CellKind::kAbsent) {
      out_[i] = 0;
      continue;
    }
    const uint32_t from = w.from[step];
    const uint32_t to = w.to[step];
    const double first = values[from];
    double value = values[to - 1] - first;
    while (reset != resets_.end() && *reset <= from) ++reset;
    for (auto it = reset; it != resets_.end() && *it < to; ++it) value += values[*it - 1];
    double factor = w.factor[step];
    // A counter is never negative: do not extrapolate to before its zero. With `first` at least
    // `value` the zero lies at least as far back as the window is sampled, and needs no division.
    if (counter && value > 0 && first >= 0 &&
        !(first >= value && w.sampled[step] >= w.to_start[step])) {
      const double sampled = w.sampled[step];
      const double to_zero = sampled * (first / value);
      if (to_zero < w.to_start[step]) {
        factor = (sampled + to_zero + w.to_end[step]) / sampled;
        if (per != 0) factor /= per;
      }
    }
    out_[i] = value * factor;
  }
}

Status FloatRowEvaluator::FillExtremes(std::span<const double> values, const Windows& w,
                                       bool maximum) {
  const size_t n = w.kinds.size();
  const auto window = [&](size_t i) {
    const size_t step = w.first_step + i;
    return values.subspan(w.from[step], w.to[step] - w.from[step]);
  };
  const auto direct = [&](auto better) {
    for (size_t i = 0; i < n; ++i)
      out_[i] = w.kinds[i] == CellKind::kAbsent ? 0 : Extreme(window(i), better);
  };
  const uint32_t read = w.to[w.end_step - 1] - w.from[w.first_step];
  if (w.samples <= kSlideFrom * read) {
    maximum ? direct(std::greater<>()) : direct(std::less<>());
    return OkStatus();
  }
  // Candidates in order of time, each better than or equal to those behind it: the first one is the
  // extreme, and of equal ones the earliest. NaN is never a candidate.
  const auto slide = [&](auto better) {
    deque_.clear();
    size_t head = 0;
    uint32_t seen = w.from[w.first_step];
    for (size_t i = 0; i < n; ++i) {
      const size_t step = w.first_step + i;
      for (; seen < w.to[step]; ++seen) {
        const double v = values[seen];
        if (std::isnan(v)) continue;
        while (deque_.size() > head && better(v, values[deque_.back()])) deque_.pop_back();
        deque_.push_back(seen);
      }
      while (head < deque_.size() && deque_[head] < w.from[step]) ++head;
      if (w.kinds[i] == CellKind::kAbsent) {
        out_[i] = 0;
      } else if (head < deque_.size()) {
        out_[i] = values[deque_[head]];
      } else {
        out_[i] = values[w.to[step] - 1];  // all are NaN: the last of them
      }
    }
  };
  maximum ? slide(std::greater<>()) : slide(std::less<>());
  return OkStatus();
}

bool FloatRowEvaluator::FillWholeSums(std::span<const double> values, const Windows& w,
                                      bool average) {
  const uint32_t begin = w.from[w.first_step];
  if (!whole_sums_.Take(values.subspan(begin, w.to[w.end_step - 1] - begin))) return false;
  for (size_t i = 0; i < w.kinds.size(); ++i) {
    const uint32_t from = w.from[w.first_step + i];
    const uint32_t to = w.to[w.first_step + i];
    if (from == to) {
      out_[i] = 0;
      continue;
    }
    const double sum = whole_sums_.Of(from - begin, to - begin);
    out_[i] = average ? sum / static_cast<double>(to - from) : sum;
  }
  return true;
}

Status FloatRowEvaluator::FillSums(std::span<const double> values, const Windows& w, bool average) {
  if (FillWholeSums(values, w, average)) return Worked(w.to[w.end_step - 1] - w.from[w.first_step]);
  // Each window adds in the order of time, but kLanes windows at a time: an addition waits for the
  // one before it, so one window alone leaves the processor idle.
  constexpr size_t kLanes = 4;
  const size_t n = w.kinds.size();
  for (size_t i = 0; i < n;) {
    const size_t lanes = std::min(kLanes, n - i);
    const double* at[kLanes];
    size_t length[kLanes];
    double sum[kLanes] = {};
    double correction[kLanes] = {};
    size_t common = SIZE_MAX;
    for (size_t l = 0; l < lanes; ++l) {
      const size_t step = w.first_step + i + l;
      at[l] = values.data() + w.from[step];
      length[l] = w.to[step] - w.from[step];
      common = std::min(common, length[l]);
    }
    // An average starts at its first value, which keeps the sign of a zero.
    const size_t begin = average && common > 0 ? 1 : 0;
    if (begin == 1) {
      for (size_t l = 0; l < lanes; ++l) sum[l] = at[l][0];
    }
    if (lanes == kLanes) {
      for (size_t k = begin; k < common; ++k) {
        for (size_t l = 0; l < kLanes; ++l) KahanAdd(at[l][k], sum[l], correction[l]);
      }
    } else {
      common = begin;
    }
    for (size_t l = 0; l < lanes; ++l) {
      size_t k = std::max(begin, common);
      if (average && begin == 0 && length[l] > 0) {
        sum[l] = at[l][0];
        k = 1;
      }
      for (; k < length[l]; ++k) KahanAdd(at[l][k], sum[l], correction[l]);
      if (length[l] == 0) {
        out_[i + l] = 0;
      } else if (!average) {
        out_[i + l] = std::isinf(sum[l]) ? sum[l] : sum[l] + correction[l];
      } else if (std::isfinite(sum[l])) {
        const auto count = static_cast<double>(length[l]);
        out_[i + l] = sum[l] / count + correction[l] / count;
      } else {
        // Too large, or no number: the mean must be kept from the place where it happened.
        out_[i + l] = AverageFloats(std::span(at[l], length[l]));
      }
    }
    i += lanes;
    BASALT_TRY(Worked(lanes * length[0]));
  }
  return OkStatus();
}

Status FloatRowEvaluator::FillQuantiles(std::span<const double> values, const Windows& w) {
  for (size_t i = 0; i < w.kinds.size(); ++i) {
    const size_t step = w.first_step + i;
    const auto window = values.subspan(w.from[step], w.to[step] - w.from[step]);
    scratch_.assign(window.begin(), window.end());
    out_[i] = Quantile(input_->arguments[0][step], scratch_);
    BASALT_TRY(Worked(kSortCost * window.size()));
  }
  return OkStatus();
}

bool FloatRowEvaluator::FillLatest(std::span<const double> values, const Windows& w,
                                   FloatRow& row) {
  const size_t n = w.kinds.size();
  if (n == 0) return true;
  out_.resize(n);
  row = {w.first_step, w.gapless, w.kinds, out_};
  uint64_t present = n;
  if (values.empty()) {
    // Only who is there matters.
    std::fill(out_.begin(), out_.end(), 1.0);
    if (!w.gapless) {
      present = static_cast<uint64_t>(std::count(w.kinds.begin(), w.kinds.end(), CellKind::kFloat));
    }
    samples_ += present;
    return true;
  }
  uint64_t stale = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t to = w.to[w.first_step + i];
    const double v = w.kinds[i] == CellKind::kFloat ? values[to - 1] : 0;
    out_[i] = v;
    stale |= static_cast<uint64_t>(IsStaleMarker(v));
  }
  if (stale == 0 && w.gapless) {
    samples_ += n;
    return true;
  }
  kinds_.assign(w.kinds.begin(), w.kinds.end());
  present = 0;
  for (size_t i = 0; i < n; ++i) {
    if (IsStaleMarker(out_[i])) kinds_[i] = CellKind::kAbsent;
    if (kinds_[i] != CellKind::kAbsent) ++present;
  }
  samples_ += present;
  row.gapless = false;
  row.kinds = kinds_;
  while (!row.kinds.empty() && row.kinds.front() == CellKind::kAbsent) {
    row.kinds = row.kinds.subspan(1);
    row.values = row.values.subspan(1);
    ++row.first;
  }
  while (!row.kinds.empty() && row.kinds.back() == CellKind::kAbsent) {
    row.kinds = row.kinds.first(row.kinds.size() - 1);
    row.values = row.values.first(row.values.size() - 1);
  }
  return true;
}

}  // namespace basalt::query::exec
