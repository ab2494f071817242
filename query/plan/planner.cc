#include "query/plan/planner.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/promql/durations.h"

namespace basalt::query::plan {
namespace {

using promql::AtModifier;
using promql::Expr;
using promql::ExprPtr;
using promql::ValueType;

int64_t Milliseconds(promql::Nanoseconds d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

// What planning an expression found out about it.
struct Planned {
  NodePtr node;
  bool invariant = false;  // the same at every step
  bool wrap = false;       // worth a StepInvariantNode, should the parent vary
};

template <typename T>
NodePtr MakeNode(T op, ValueType type, PosRange pos) {
  auto node = std::make_unique<Node>();
  node->op = std::move(op);
  node->type = type;
  node->pos = pos;
  return node;
}

NodePtr Invariant(NodePtr node) {
  const ValueType type = node->type;
  const PosRange pos = node->pos;
  return MakeNode(StepInvariantNode{std::move(node)}, type, pos);
}

// Functions whose result depends on the time of evaluation even if their arguments do not.
bool DependsOnTime(FunctionId id) {
  switch (id) {
    case FunctionId::kDaysInMonth:
    case FunctionId::kDayOfMonth:
    case FunctionId::kDayOfWeek:
    case FunctionId::kDayOfYear:
    case FunctionId::kEnd:
    case FunctionId::kHour:
    case FunctionId::kMinute:
    case FunctionId::kMonth:
    case FunctionId::kYear:
    case FunctionId::kPredictLinear:
    case FunctionId::kRange:
    case FunctionId::kStart:
    case FunctionId::kStep:
    case FunctionId::kTime:
    case FunctionId::kTimestamp:
      return true;
    default:
      return false;
  }
}

bool AllowsAnchored(FunctionId id) {
  return id == FunctionId::kChanges || id == FunctionId::kDelta || id == FunctionId::kIncrease ||
         id == FunctionId::kRate || id == FunctionId::kResets;
}
bool AllowsSmoothed(FunctionId id) {
  return id == FunctionId::kDelta || id == FunctionId::kIncrease || id == FunctionId::kRate;
}

Status CheckMode(RangeMode mode, const promql::FunctionSpec& function) {
  if (mode == RangeMode::kAnchored && !AllowsAnchored(function.id)) {
    return FailedPrecondition(
        "anchored modifier can only be used with: changes, delta, increase, rate, resets - not "
        "with " +
        std::string(function.name));
  }
  if (mode == RangeMode::kSmoothed && !AllowsSmoothed(function.id)) {
    return FailedPrecondition(
        "smoothed modifier can only be used with: delta, increase, rate - not with " +
        std::string(function.name));
  }
  return OkStatus();
}

const Expr& WithoutParens(const Expr& expr) {
  const Expr* e = &expr;
  while (const auto* paren = e->As<promql::Paren>()) e = paren->expr.get();
  return *e;
}

class Planner {
 public:
  explicit Planner(const PlanOptions& options) : options_(options) {}

  Result<Planned> Plan(const Expr& expr) {
    path_.push_back(&expr);
    Result<Planned> out = Dispatch(expr);
    path_.pop_back();
    return out;
  }

 private:
  Result<Planned> Dispatch(const Expr& expr) {
    return promql::Visit(
        expr, promql::Overloaded{
                  [&](const promql::NumberLiteral& n) { return Constant(n.value, expr); },
                  [&](const promql::StringLiteral& s) { return PlanString(s, expr); },
                  [&](const promql::VectorSelector& s) { return PlanInstant(s, expr); },
                  [&](const promql::MatrixSelector& s) { return PlanRange(s, expr); },
                  [&](const promql::Subquery& s) { return PlanSubquery(s, expr); },
                  [&](const promql::Aggregate& a) { return PlanAggregate(a, expr); },
                  [&](const promql::Call& c) { return PlanCall(c, expr); },
                  [&](const promql::Binary& b) { return PlanBinary(b, expr); },
                  [&](const promql::Unary& u) { return PlanUnary(u, expr); },
                  [&](const promql::Paren& p) { return Plan(*p.expr); },
                  [&](const promql::StepInvariant& s) { return Plan(*s.expr); },
              });
  }

  [[nodiscard]] std::optional<int64_t> At(const AtModifier& at) const {
    switch (at.kind) {
      case AtModifier::Kind::kNone:
        return std::nullopt;
      case AtModifier::Kind::kTimestamp:
        return at.timestamp_ms;
      case AtModifier::Kind::kStart:
        return ToMs(options_.start);
      case AtModifier::Kind::kEnd:
        return ToMs(options_.end);
    }
    return std::nullopt;
  }

  static Result<Planned> Constant(double value, const Expr& expr) {
    return Planned{MakeNode(NumberNode{value}, ValueType::kScalar, expr.pos()), true, false};
  }

  static Result<Planned> PlanString(const promql::StringLiteral& s, const Expr& expr) {
    return Planned{MakeNode(StringNode{s.value}, ValueType::kString, expr.pos()), true, false};
  }

  [[nodiscard]] SelectorPlan Selector(const promql::VectorSelector& s, PosRange pos) const {
    return {.matchers = s.matchers,
            .offset_ms = Milliseconds(s.offset.value),
            .at_ms = At(s.at),
            .mode = s.mode,
            .histogram_stats = WantsStatsOnly(),
            .pos = pos};
  }

  Result<Planned> PlanInstant(const promql::VectorSelector& s, const Expr& expr) {
    FragmentNode out;
    out.fragment.selector = Selector(s, expr.pos());
    const bool fixed = out.fragment.selector.at_ms.has_value();
    return Planned{MakeNode(std::move(out), ValueType::kVector, expr.pos()), fixed, fixed};
  }

  Result<Planned> PlanRange(const promql::MatrixSelector& s, const Expr& expr) {
    FragmentNode out;
    out.fragment.selector = Selector(s.vector(), s.selector->pos());
    out.fragment.range_ms = Milliseconds(s.range.value);
    const bool fixed = out.fragment.selector.at_ms.has_value();
    return Planned{MakeNode(std::move(out), ValueType::kMatrix, expr.pos()), fixed, false};
  }

  Result<SubqueryNode> Subquery(const promql::Subquery& s) {
    SubqueryNode out;
    BASALT_TRY_ASSIGN(Planned inner, Plan(*s.expr));
    // Evaluated once per subquery, whether or not the subquery itself is fixed in time.
    out.expr = inner.invariant ? Invariant(std::move(inner.node)) : std::move(inner.node);
    out.range_ms = Milliseconds(s.range.value);
    out.step_ms = Milliseconds(s.step.value);
    out.offset_ms = Milliseconds(s.offset.value);
    out.at_ms = At(s.at);
    return out;
  }

  Result<Planned> PlanSubquery(const promql::Subquery& s, const Expr& expr) {
    BASALT_TRY_ASSIGN(SubqueryNode out, Subquery(s));
    const bool fixed = out.at_ms.has_value();
    return Planned{MakeNode(std::move(out), ValueType::kMatrix, expr.pos()), fixed, false};
  }

  Result<Planned> PlanAggregate(const promql::Aggregate& a, const Expr& expr) {
    const Expr& inner_expr = WithoutParens(*a.expr);
    BASALT_TRY_ASSIGN(Planned inner, Plan(inner_expr));
    Grouping grouping{a.without, a.grouping};
    std::sort(grouping.labels.begin(), grouping.labels.end());

    // As upstream, a parameter that varies does not keep the aggregation from being fixed in time.
    const bool invariant = inner.invariant;
    const bool wrap = inner.wrap;
    auto* fragment = std::get_if<FragmentNode>(&inner.node->op);
    if (options_.push_down && fragment != nullptr && !fragment->absent &&
        !fragment->fragment.aggregation.has_value() && HasMergeableState(a.op) &&
        inner.node->type == ValueType::kVector) {
      fragment->fragment.aggregation =
          PartialAggregation{a.op, std::move(grouping), inner_expr.pos()};
      fragment->merge.kind = MergePlan::Kind::kFold;
      inner.node->pos = expr.pos();
      return Planned{std::move(inner.node), invariant, wrap};
    }

    AggregateNode out;
    out.op = a.op;
    out.grouping = std::move(grouping);
    out.expr_pos = inner_expr.pos();
    out.expr = std::move(inner.node);
    if (a.parameter != nullptr) {
      const Expr& parameter = WithoutParens(*a.parameter);
      BASALT_TRY_ASSIGN(Planned planned, Plan(parameter));
      out.parameter = std::move(planned.node);
      out.parameter_pos = parameter.pos();
    }
    return Planned{MakeNode(std::move(out), ValueType::kVector, expr.pos()), invariant, wrap};
  }

  // start(), end(), range() and step() are numbers by now.
  Result<Planned> QueryTime(FunctionId id, const Expr& expr) {
    const auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
    switch (id) {
      case FunctionId::kStart:
        return Constant(static_cast<double>(ToMs(options_.start)) / 1000, expr);
      case FunctionId::kEnd:
        return Constant(static_cast<double>(ToMs(options_.end)) / 1000, expr);
      case FunctionId::kRange:
        return Constant(seconds(options_.end - options_.start), expr);
      default:
        return Constant(options_.start == options_.end ? 0 : seconds(options_.step), expr);
    }
  }

  Result<Planned> PlanCall(const promql::Call& call, const Expr& expr) {
    const FunctionId id = call.function->id;
    if (id == FunctionId::kStart || id == FunctionId::kEnd || id == FunctionId::kRange ||
        id == FunctionId::kStep) {
      return QueryTime(id, expr);
    }
    bool invariant = !DependsOnTime(id);
    // timestamp(x @ t) does not vary, while timestamp(f(x @ t)) does.
    bool fixed_timestamp = id == FunctionId::kTimestamp;
    std::vector<Planned> args;
    std::vector<PosRange> positions;
    std::optional<size_t> range_arg;
    for (const ExprPtr& ptr : call.args) {
      const Expr& arg = WithoutParens(*ptr);
      BASALT_TRY_ASSIGN(Planned planned, Plan(arg));
      invariant = invariant && planned.invariant;
      fixed_timestamp = fixed_timestamp && planned.invariant && arg.Is<promql::VectorSelector>();
      if (!range_arg.has_value() && arg.type() == ValueType::kMatrix) range_arg = args.size();
      args.push_back(std::move(planned));
      positions.push_back(arg.pos());
    }
    invariant = invariant || fixed_timestamp;
    if (!invariant) {
      for (Planned& arg : args) {
        if (arg.wrap) arg.node = Invariant(std::move(arg.node));
      }
    }
    BASALT_TRY_ASSIGN(NodePtr node, CallOf(*call.function, std::move(args), std::move(positions),
                                           range_arg, expr));
    return Planned{std::move(node), invariant, invariant};
  }

  static Result<NodePtr> CallOf(const promql::FunctionSpec& function, std::vector<Planned> args,
                                std::vector<PosRange> positions, std::optional<size_t> range_arg,
                                const Expr& expr) {
    const FunctionId id = function.id;
    if (range_arg.has_value()) {
      std::vector<NodePtr> scalars;
      for (size_t i = 0; i < args.size(); ++i) {
        if (i != *range_arg) scalars.push_back(std::move(args[i].node));
      }
      Node& range = *args[*range_arg].node;
      if (auto* subquery = std::get_if<SubqueryNode>(&range.op)) {
        // Upstream puts a selector without a position in the subquery's place: its annotations
        // point at the start.
        const PosRange pos = *range_arg == 0 ? PosRange{} : positions[0];
        SubqueryCallNode out{id, std::move(*subquery), std::move(scalars), pos};
        return MakeNode(std::move(out), ValueType::kVector, expr.pos());
      }
      FragmentNode out = std::move(std::get<FragmentNode>(range.op));
      BASALT_TRY(CheckMode(out.fragment.selector.mode, function));
      out.fragment.function = id;
      out.fragment.function_arg_pos = positions[0];
      out.absent = id == FunctionId::kAbsentOverTime;
      out.arguments = std::move(scalars);
      return MakeNode(std::move(out), ValueType::kVector, expr.pos());
    }
    if (id == FunctionId::kTimestamp || id == FunctionId::kStartTimestamp) {
      // Over a bare selector these look at the sample's own time.
      if (auto* fragment = std::get_if<FragmentNode>(&args[0].node->op);
          fragment != nullptr && !fragment->fragment.has_function() &&
          !fragment->fragment.aggregation.has_value()) {
        fragment->fragment.function = id;
        fragment->fragment.function_arg_pos = positions[0];
        args[0].node->pos = expr.pos();
        return std::move(args[0].node);
      }
    }
    CallNode out{.function = id, .args = {}, .arg_pos = std::move(positions)};
    for (Planned& arg : args) out.args.push_back(std::move(arg.node));
    return MakeNode(std::move(out), function.return_type, expr.pos());
  }

  Result<Planned> PlanBinary(const promql::Binary& b, const Expr& expr) {
    BASALT_TRY_ASSIGN(Planned lhs, Plan(*b.lhs));
    BASALT_TRY_ASSIGN(Planned rhs, Plan(*b.rhs));
    const bool invariant = lhs.invariant && rhs.invariant;
    if (!invariant) {
      if (lhs.wrap) lhs.node = Invariant(std::move(lhs.node));
      if (rhs.wrap) rhs.node = Invariant(std::move(rhs.node));
    }
    BinaryNode out;
    out.op = b.op;
    out.matching = b.matching;
    out.return_bool = b.return_bool;
    out.lhs = std::move(lhs.node);
    out.rhs = std::move(rhs.node);
    return Planned{MakeNode(std::move(out), expr.type(), expr.pos()), invariant, invariant};
  }

  Result<Planned> PlanUnary(const promql::Unary& u, const Expr& expr) {
    BASALT_TRY_ASSIGN(Planned inner, Plan(*u.expr));
    if (!u.minus) return inner;
    const ValueType type = inner.node->type;
    inner.node = MakeNode(NegateNode{std::move(inner.node)}, type, expr.pos());
    return inner;
  }

  // Looking up from the selector that is being planned: is it a histogram's count or sum that is
  // wanted, with nothing in between that needs buckets? Subqueries do, to find resets between the
  // samples that they leave out.
  [[nodiscard]] bool WantsStatsOnly() const {
    bool wanted = false;
    for (auto it = path_.rbegin(); it != path_.rend(); ++it) {
      if ((*it)->Is<promql::Subquery>()) return false;
      if (const auto* binary = (*it)->As<promql::Binary>()) {
        if (binary->op == promql::BinaryOp::kTrimUpper ||
            binary->op == promql::BinaryOp::kTrimLower)
          return false;
      }
      const auto* call = (*it)->As<promql::Call>();
      if (call == nullptr) continue;
      switch (call->function->id) {
        case FunctionId::kHistogramCount:
        case FunctionId::kHistogramSum:
        case FunctionId::kHistogramAvg:
          wanted = true;
          break;
        case FunctionId::kHistogramQuantile:
        case FunctionId::kHistogramQuantiles:
        case FunctionId::kHistogramFraction:
          return false;
        default:
          break;
      }
    }
    return wanted;
  }

  const PlanOptions& options_;
  std::vector<const Expr*> path_;  // from the root to what is being planned
};

}  // namespace

bool HasMergeableState(AggregateOp op) {
  switch (op) {
    case AggregateOp::kSum:
    case AggregateOp::kAvg:
    case AggregateOp::kCount:
    case AggregateOp::kMin:
    case AggregateOp::kMax:
    case AggregateOp::kGroup:
      return true;
    default:
      return false;
  }
}

Result<NodePtr> MakePlan(const promql::ExprPtr& expr, const PlanOptions& options) {
  const promql::DurationContext durations{options.step, options.end - options.start};
  BASALT_TRY_ASSIGN(const promql::ExprPtr resolved, promql::ResolveDurations(expr, durations));
  BASALT_TRY_ASSIGN(Planned planned, Planner(options).Plan(*resolved));
  return planned.wrap ? Invariant(std::move(planned.node)) : std::move(planned.node);
}

}  // namespace basalt::query::plan
