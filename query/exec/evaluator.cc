#include "query/exec/evaluator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/exec/aggregate.h"
#include "query/exec/aggregate_select.h"
#include "query/exec/assemble.h"
#include "query/exec/binary.h"
#include "query/exec/fragment.h"
#include "query/exec/functions/vector.h"
#include "query/exec/histogram_ops.h"
#include "query/exec/range_eval.h"
#include "query/promql/printer.h"

namespace basalt::query::exec {
namespace {

using plan::AggregateOp;
using plan::FunctionId;
using plan::Grid;
using promql::ValueType;

// absent_over_time: from a 1 at each step where a series has samples to a 1 at each step where none
// has.
Matrix TurnRound(const Matrix& found, Labels labels) {
  std::vector<uint8_t> present(found.steps());
  for (const Row& row : found.rows()) {
    const auto kinds = found.kinds(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != CellKind::kAbsent) present[row.first + i] = 1;
    }
  }
  Matrix out(found.grid());
  out.Begin(RowLabels(std::move(labels)), true);
  for (size_t step = 0; step < present.size(); ++step) {
    if (present[step] == 0) out.Append(step, 1.0);
  }
  out.End();
  return out;
}

// A row of a subquery's result as samples of a series.
class RowSamples {
 public:
  Samples Read(const Matrix& m, const Row& row) {
    time_ms_.clear();
    values_.clear();
    histograms_.clear();
    for (size_t step = row.first; step < row.end(); ++step) {
      const CellKind kind = m.kind(row, step);
      const int64_t time_ms = m.grid().at(step);
      if (kind == CellKind::kFloat) {
        time_ms_.push_back(time_ms);
        values_.push_back(m.value(row, step));
      } else if (kind == CellKind::kHistogram) {
        histograms_.push_back({time_ms, storage::kNoStartMs, WithoutHint(m.histogram(row, step))});
      }
    }
    return {time_ms_, values_, {}, histograms_};
  }

 private:
  // A subquery may skip samples or give one twice, so what a histogram says of its neighbour does
  // not hold any more.
  static HistogramPtr WithoutHint(const HistogramPtr& h) {
    if (h->reset_hint != ResetHint::kYes && h->reset_hint != ResetHint::kNo) return h;
    FloatHistogram copy = *h;
    copy.reset_hint = ResetHint::kUnknown;
    return std::make_shared<const FloatHistogram>(std::move(copy));
  }
  std::vector<int64_t> time_ms_;
  std::vector<double> values_;
  std::vector<HistogramSample> histograms_;
};

// A range selector with anchored or smoothed: its samples, and values at both ends of the range.
std::vector<FloatPoint> Extend(const RawSeries& s, int64_t from_ms, int64_t to_ms, bool smoothed) {
  const auto& t = s.time_ms;
  const auto& v = s.values;
  size_t last = t.size() - 1;
  const auto end = t.begin() + static_cast<ptrdiff_t>(last);
  const auto after = static_cast<size_t>(std::upper_bound(t.begin(), end, from_ms) - t.begin());
  size_t first = after == 0 ? 0 : after - 1;
  if (smoothed) last = static_cast<size_t>(std::lower_bound(t.begin(), end, to_ms) - t.begin());
  if (t[last] <= from_ms) return {};
  double left = v[first];
  if (smoothed && t[first] < from_ms)
    left = Interpolate(t[first], v[first], t[first + 1], v[first + 1], from_ms, false);
  double right = v[last];
  if (smoothed && last > 0 && t[last] > to_ms) {
    right = Interpolate(t[last - 1], v[last - 1], t[last], v[last], to_ms, false);
  }
  std::vector<FloatPoint> out{{from_ms, left}};
  for (size_t i = first; i <= last; ++i) {
    if (t[i] > from_ms && t[i] < to_ms) out.push_back({t[i], v[i]});
  }
  out.push_back({to_ms, right});
  return out;
}

Matrix FoldByPartition(const plan::PartialAggregation& plan, const Matrix& m,
                       Annotations& annotations) {
  Aggregation all(plan, m.grid());
  std::optional<Aggregation> part;
  uint32_t partition = 0;
  for (const Row& row : m.rows()) {
    if (part.has_value() && row.partition != partition) {
      all.Merge(*part, annotations);
      part.reset();
    }
    if (!part.has_value()) part.emplace(plan, m.grid());
    partition = row.partition;
    part->Add(m, row, annotations);
  }
  if (part.has_value()) all.Merge(*part, annotations);
  return all.Finish(annotations);
}

Matrix FoldInOrder(const plan::PartialAggregation& plan, const Matrix& m,
                   Annotations& annotations) {
  Aggregation all(plan, m.grid());
  for (const Row& row : m.rows()) all.Add(m, row, annotations);
  return all.Finish(annotations);
}

}  // namespace

Labels FinalLabels(const Row& row) {
  Labels out = row.labels.ToLabels();
  if (row.drop_name) DropMetadataLabels(out);
  return out;
}

Result<Matrix> Evaluator::Evaluate(const plan::Node& node, const Grid& grid) {
  BASALT_TRY(context_.CheckRunning());
  if (grid.empty()) return Matrix(grid);
  const uint64_t before = context_.held() - waiting_samples_;
  Trace::Span span(trace_, node);
  BASALT_TRY_ASSIGN(Matrix out, Dispatch(node, grid));
  span.Done(out.size());
  // The operands are gone now, the result is here.
  BASALT_TRY(context_.SetHeld(before + waiting_samples_ + out.CountSamples()));
  return out;
}

Result<Matrix> Evaluator::Dispatch(const plan::Node& node, const Grid& grid) {
  if (const auto* n = node.As<plan::NumberNode>()) return ScalarMatrix(grid, n->value);
  if (const auto* n = node.As<plan::FragmentNode>()) return Fragment(*n, grid);
  if (const auto* n = node.As<plan::SubqueryCallNode>()) return SubqueryCall(*n, grid);
  if (const auto* n = node.As<plan::CallNode>()) return Call(*n, node.pos, grid);
  if (const auto* n = node.As<plan::AggregateNode>()) return Aggregate(*n, node.pos, grid);
  if (const auto* n = node.As<plan::BinaryNode>()) return Binary(*n, node.pos, grid);
  if (const auto* n = node.As<plan::NegateNode>()) return Negate(*n, grid);
  if (const auto* n = node.As<plan::StepInvariantNode>()) return StepInvariant(*n, grid);
  return Internal("a range or string where a vector belongs");
}

Result<std::vector<std::vector<double>>> Evaluator::Arguments(
    const std::vector<plan::NodePtr>& nodes, const Grid& grid) {
  std::vector<std::vector<double>> out;
  for (const plan::NodePtr& node : nodes) {
    BASALT_TRY_ASSIGN(const Matrix scalar, Evaluate(*node, grid));
    const auto values = scalar.values(scalar.rows().front());
    out.emplace_back(values.begin(), values.end());
  }
  return out;
}

Result<Matrix> Evaluator::Fragment(const plan::FragmentNode& node, const Grid& grid) {
  plan::FragmentInput input{.grid = grid,
                            .lookback_ms = context_.lookback_ms(),
                            .arguments = {},
                            .use_start_timestamps = context_.options().use_start_timestamps};
  BASALT_TRY_ASSIGN(input.arguments, Arguments(node.arguments, grid));
  if (AlikeFragments* alike = alike_.Find(node); alike != nullptr)
    return TakeAlike(*alike, node, input);
  BASALT_TRY_ASSIGN(Matrix out,
                    RunFragments(context_, node.fragment, node.merge, input, annotations_));
  if (!node.absent) return out;
  return TurnRound(out, LabelsForAbsent(node.fragment.selector.matchers));
}

Result<Matrix> Evaluator::TakeAlike(AlikeFragments& alike, const plan::FragmentNode& node,
                                    const plan::FragmentInput& input) {
  if (alike.results.empty()) {
    std::vector<const plan::FragmentPlan*> plans;
    plans.reserve(alike.members.size());
    for (const plan::FragmentNode* member : alike.members) plans.push_back(&member->fragment);
    BASALT_TRY_ASSIGN(alike.results, RunFolds(context_, plans, input));
    for (const Folded& result : alike.results) waiting_samples_ += result.rows.CountSamples();
  }
  const auto at = std::find(alike.members.begin(), alike.members.end(), &node);
  Folded& result = alike.results[static_cast<size_t>(at - alike.members.begin())];
  annotations_.Merge(result.annotations);
  waiting_samples_ -= result.rows.CountSamples();
  return std::move(result.rows);
}

Result<Grid> Evaluator::SubqueryGrid(const plan::SubqueryNode& node, const Grid& grid) const {
  const int64_t first = (node.at_ms.has_value() ? *node.at_ms : grid.start_ms) - node.offset_ms;
  const int64_t last = (node.at_ms.has_value() ? *node.at_ms : grid.last_ms()) - node.offset_ms;
  const int64_t step =
      node.step_ms != 0 ? node.step_ms : context_.options().default_subquery_step.count();
  // Steps lie on multiples of the step, whatever the query's own; windows are open on the left.
  int64_t start = step * ((first - node.range_ms) / step);
  if (start <= first - node.range_ms) start += step;
  const Grid out{start, last, step};
  // Any number may be asked for, and each takes memory whoever has a value there.
  const uint64_t limit = context_.options().max_samples;
  if (out.size() > limit) {
    return ResourceExhausted(
        "query processing would load too many samples into memory in query execution: a subquery "
        "has " +
        std::to_string(out.size()) + " steps, more than " + std::to_string(limit) +
        ", the limit query.max_samples; ask for a longer step, or raise it");
  }
  return out;
}

Result<Matrix> Evaluator::SubqueryCall(const plan::SubqueryCallNode& node, const Grid& grid) {
  BASALT_TRY_ASSIGN(const auto arguments, Arguments(node.arguments, grid));
  BASALT_TRY_ASSIGN(const Grid inner_grid, SubqueryGrid(node.subquery, grid));
  // As upstream counts them, a subquery's samples are those that its windows look at.
  const uint64_t counted = context_.counters().samples.load(std::memory_order_relaxed);
  BASALT_TRY_ASSIGN(const Matrix inner, Evaluate(*node.subquery.expr, inner_grid));
  context_.counters().samples.store(counted, std::memory_order_relaxed);
  const RangeSpec spec{.function = node.function,
                       .mode = plan::RangeMode::kPlain,
                       .range_ms = node.subquery.range_ms,
                       .offset_ms = node.subquery.offset_ms,
                       .at_ms = node.subquery.at_ms,
                       .lookback_ms = context_.lookback_ms(),
                       .pos = node.arg_pos,
                       .arguments = &arguments};
  Matrix out(grid);
  RangeEvaluator evaluator(context_, spec, grid, annotations_);
  RowSamples samples;
  for (const Row& row : inner.rows()) {
    BASALT_TRY(context_.CheckRunning());
    const bool drop_name = !KeepsName(node.function) || row.drop_name;
    const size_t rows = out.size();
    BASALT_TRY(
        evaluator.Evaluate(samples.Read(inner, row), row.labels, drop_name, row.partition, out));
    if (out.size() > rows) BASALT_TRY(context_.Hold(out.CountSamples(out.rows().back())));
  }
  return node.function == FunctionId::kAbsentOverTime ? TurnRound(out, Labels()) : std::move(out);
}

Result<Matrix> Evaluator::Call(const plan::CallNode& node, plan::PosRange pos, const Grid& grid) {
  if (node.function == FunctionId::kInfo) return Info(node, grid);
  CallInput in{.node = node, .pos = pos, .grid = grid, .args = {}, .annotations = annotations_};
  for (const plan::NodePtr& arg : node.args) {
    if (arg->type == ValueType::kString) {
      in.args.emplace_back();
      continue;
    }
    BASALT_TRY_ASSIGN(Matrix value, Evaluate(*arg, grid));
    in.args.push_back(std::move(value));
  }
  return CallFunction(std::move(in));
}

Result<Matrix> Evaluator::Aggregate(const plan::AggregateNode& node, plan::PosRange pos,
                                    const Grid& grid) {
  const SelectInput in{
      .node = node, .pos = pos, .grid = grid, .annotations = annotations_, .context = context_};
  if (node.op == AggregateOp::kCountValues) {
    const std::string& label = node.parameter->As<plan::StringNode>()->value;
    if (label.empty() || !IsValidUtf8(label)) {
      const auto literal = promql::Expr::Make(promql::StringLiteral{label}, node.parameter_pos);
      return FailedPrecondition("invalid label name " + promql::ToString(*literal));
    }
    BASALT_TRY_ASSIGN(const Matrix matrix, Evaluate(*node.expr, grid));
    return CountValues(in, matrix, label);
  }
  Matrix parameter;
  if (node.parameter != nullptr) {
    BASALT_TRY_ASSIGN(parameter, Evaluate(*node.parameter, grid));
  }
  BASALT_TRY_ASSIGN(const Matrix matrix, Evaluate(*node.expr, grid));
  switch (node.op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kLimitk:
    case AggregateOp::kLimitRatio:
      return SelectRows(in, matrix, parameter);
    case AggregateOp::kQuantile:
      return QuantileOfGroups(in, matrix, parameter);
    default:
      break;
  }
  const plan::PartialAggregation plan{node.op, node.grouping, node.expr_pos};
  const bool mergeable = node.op != AggregateOp::kStddev && node.op != AggregateOp::kStdvar;
  return mergeable ? FoldByPartition(plan, matrix, annotations_)
                   : FoldInOrder(plan, matrix, annotations_);
}

Result<Matrix> Evaluator::Binary(const plan::BinaryNode& node, plan::PosRange pos,
                                 const Grid& grid) {
  BASALT_TRY_ASSIGN(Matrix lhs, Evaluate(*node.lhs, grid));
  BASALT_TRY_ASSIGN(Matrix rhs, Evaluate(*node.rhs, grid));
  const BinaryInput in{
      .node = node, .pos = pos, .grid = grid, .annotations = annotations_, .context = context_};
  const bool lhs_scalar = node.lhs->type == ValueType::kScalar;
  const bool rhs_scalar = node.rhs->type == ValueType::kScalar;
  if (lhs_scalar && rhs_scalar) return ScalarScalar(in, lhs, rhs);
  if (rhs_scalar) return VectorScalar(in, std::move(lhs), rhs, false);
  if (lhs_scalar) return VectorScalar(in, std::move(rhs), lhs, true);
  if (promql::IsSetOperator(node.op)) return SetOperation(in, std::move(lhs), std::move(rhs));
  return VectorVector(in, lhs, rhs);
}

Result<Matrix> Evaluator::Negate(const plan::NegateNode& node, const Grid& grid) {
  BASALT_TRY_ASSIGN(Matrix m, Evaluate(*node.expr, grid));
  for (Row& row : m.rows()) {
    row.drop_name = true;
    for (double& v : m.values(row)) v = -v;
    if (!m.has_histograms()) continue;
    for (size_t step = row.first; step < row.end(); ++step) {
      if (m.kind(row, step) != CellKind::kHistogram) continue;
      FloatHistogram h = *m.histogram(row, step);
      Multiply(h, -1);
      m.SetHistogram(row, step, std::make_shared<const FloatHistogram>(std::move(h)));
    }
  }
  return m;
}

Result<Matrix> Evaluator::StepInvariant(const plan::StepInvariantNode& node, const Grid& grid) {
  std::atomic<uint64_t>& samples = context_.counters().samples;
  const uint64_t counted = samples.load(std::memory_order_relaxed);
  BASALT_TRY_ASSIGN(Matrix once,
                    Evaluate(*node.expr, {grid.start_ms, grid.start_ms, grid.step_ms}));
  // Upstream counts the samples at each step that shows them.
  const uint64_t of_one = samples.load(std::memory_order_relaxed) - counted;
  samples.fetch_add(of_one * (grid.size() - 1), std::memory_order_relaxed);
  Matrix out(grid);
  out.Reserve(once.size(), once.size() * grid.size());
  for (Row& row : once.rows()) {
    const Cell cell = once.cell(row, 0);
    out.Begin(std::move(row.labels), row.drop_name, row.partition);
    for (size_t step = 0; step < grid.size(); ++step) out.Append(step, cell);
    out.End();
    // Many steps of many rows can be more than all that was read.
    BASALT_TRY(context_.Hold(grid.size()));
  }
  return out;
}

Result<query::Matrix> Evaluator::RawSelector(const plan::FragmentNode& node, const Grid& grid) {
  const plan::SelectorPlan& selector = node.fragment.selector;
  BASALT_TRY_ASSIGN(
      const std::vector<RawSeries> raw,
      RunRawFragments(context_, node.fragment,
                      {.grid = grid, .lookback_ms = context_.lookback_ms(), .arguments = {}}));
  const int64_t to_ms =
      (selector.at_ms.has_value() ? *selector.at_ms : grid.start_ms) - selector.offset_ms;
  const int64_t from_ms = to_ms - node.fragment.range_ms;
  query::Matrix out;
  for (const RawSeries& s : raw) {
    query::Series series{.labels = s.labels.ToLabels(), .floats = {}, .histograms = {}};
    if (selector.mode != plan::RangeMode::kPlain) {
      const bool smoothed = selector.mode == plan::RangeMode::kSmoothed;
      if (!s.histograms.empty()) {
        return FailedPrecondition(std::string(smoothed ? "smoothed" : "anchored") +
                                  " modifier is not supported with histograms");
      }
      series.floats = Extend(s, from_ms, to_ms, smoothed);
    } else {
      for (size_t i = 0; i < s.values.size(); ++i)
        series.floats.push_back({s.time_ms[i], s.values[i]});
      for (size_t i = 0; i < s.histograms.size(); ++i) {
        series.histograms.push_back({s.histogram_ms[i], s.histograms[i]});
      }
    }
    if (!series.floats.empty() || !series.histograms.empty()) out.push_back(std::move(series));
  }
  return out;
}

Result<query::Matrix> Evaluator::EvaluateRange(const plan::Node& node, const Grid& grid) {
  const Trace::Span span(trace_, node);
  if (const auto* n = node.As<plan::FragmentNode>()) return RawSelector(*n, grid);
  const auto* subquery = node.As<plan::SubqueryNode>();
  BASALT_CHECK(subquery != nullptr, "not a range");
  BASALT_TRY_ASSIGN(const Grid inner, SubqueryGrid(*subquery, grid));
  BASALT_TRY_ASSIGN(Matrix m, Evaluate(*subquery->expr, inner));
  for (Row& row : m.rows()) {
    if (row.drop_name) row.labels = RowLabels(FinalLabels(row));
  }
  BASALT_TRY_ASSIGN(m, MergeDuplicates(std::move(m)));
  query::Matrix out;
  for (const Row& row : m.rows()) {
    query::Series series{.labels = row.labels.ToLabels(), .floats = {}, .histograms = {}};
    for (size_t step = row.first; step < row.end(); ++step) {
      const Cell cell = m.cell(row, step);
      if (cell.kind == CellKind::kFloat) series.floats.push_back({m.grid().at(step), cell.value});
      if (cell.kind == CellKind::kHistogram)
        series.histograms.push_back({m.grid().at(step), cell.histogram});
    }
    out.push_back(std::move(series));
  }
  return out;
}

}  // namespace basalt::query::exec
