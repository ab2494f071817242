#include "engine/slo/linear_sli.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <regex>
#include <string>
#include <utility>

#include "query/promql/ast.h"
#include "query/promql/functions.h"
#include "query/promql/parser.h"

namespace basalt::slo {
namespace {

using promql::Aggregate;
using promql::Binary;
using promql::BinaryOp;
using promql::Call;
using promql::Expr;
using promql::FunctionId;
using promql::MatrixSelector;
using promql::NumberLiteral;

// Stands for {{.window}} while parsing: a duration that nobody writes.
constexpr std::string_view kWindowStandIn = "2h11m59s";
constexpr std::chrono::seconds kWindowStandInLength{2 * 3600 + 11 * 60 + 59};
constexpr std::string_view kWindowTemplate = "{{.window}}";

struct RationalTerm {
  storage::MatcherSet matchers;
  Fraction coefficient;
  Measure measure;
};

// What one query comes to.
struct LinearQuery {
  std::vector<RationalTerm> terms;
  std::optional<std::vector<std::string>> group_by;  // of the first sum met
  std::optional<bool> is_rate;                       // rate or increase, of the first call met
};

std::string ReplaceAll(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Walks one query. `query` is the text that was parsed.
class Compiler {
 public:
  explicit Compiler(std::string_view query) : query_(query) {}

  Status Walk(const Expr& expr, const Fraction& factor) {
    const Expr& e = promql::Unwrap(expr);
    if (const auto* unary = e.As<promql::Unary>()) {
      if (!unary->minus) return Walk(*unary->expr, factor);
      return Walk(*unary->expr, Fraction{-factor.num, factor.den});
    }
    if (const auto* binary = e.As<Binary>()) return WalkBinary(e, *binary, factor);
    if (const auto* aggregate = e.As<Aggregate>()) return WalkSum(e, *aggregate, factor, {});
    if (const auto* call = e.As<Call>(); call != nullptr) {
      if (MeasureOf(*call) == Measure{}) {
        return Refuse(e, "is not summed: write sum(" + Text(e) + ")");
      }
      if (const Aggregate* of = HistogramSum(*call, FunctionId::kHistogramCount)) {
        return WalkSum(*call->args[0], *of, factor, Measure{MeasureKind::kHistogramCount});
      }
    }
    return Refuse(
        e,
        "is not a linear combination of sum(rate(counter[{{.window}}])): SLOs are kept as "
        "sums of counters, and this cannot be. Record it as a counter first");
  }

  // `total > 0` only says what division by zero should not do; zero traffic is undefined anyway.
  const Expr& WithoutPositiveFilter(const Expr& expr) const {
    const Expr& e = promql::Unwrap(expr);
    const auto* binary = e.As<Binary>();
    if (binary == nullptr || binary->op != BinaryOp::kGreater || binary->return_bool) return e;
    return IsNumber(*binary->rhs, 0) ? promql::Unwrap(*binary->lhs) : e;
  }

  LinearQuery Take() { return std::move(out_); }

 private:
  // Of what stands inside sum(); none: it is no such function.
  static std::optional<Measure> MeasureOf(const Call& call) {
    switch (call.function->id) {
      case FunctionId::kRate:
      case FunctionId::kIncrease:
        return Measure{};
      case FunctionId::kCountOverTime:
        return Measure{MeasureKind::kSamples};
      case FunctionId::kSumOverTime:
        return Measure{MeasureKind::kValues};
      default:
        return std::nullopt;
    }
  }
  // The sum() that is the last argument of histogram_count() and histogram_fraction().
  static const Aggregate* HistogramSum(const Call& call, FunctionId function) {
    if (call.function->id != function || call.args.empty()) return nullptr;
    return promql::Unwrap(*call.args.back()).As<Aggregate>();
  }
  static std::optional<double> Number(const Expr& expr) {
    const Expr& e = promql::Unwrap(expr);
    if (const auto* number = e.As<NumberLiteral>()) return number->value;
    const auto* unary = e.As<promql::Unary>();
    if (unary == nullptr) return std::nullopt;
    const auto* number = promql::Unwrap(*unary->expr).As<NumberLiteral>();
    if (number == nullptr) return std::nullopt;
    return unary->minus ? -number->value : number->value;
  }

  // histogram_count(X) * histogram_fraction(a, b, X), or * (1 - histogram_fraction(a, b, X)).
  struct HistogramPart {
    const Aggregate* sum = nullptr;
    const Expr* at = nullptr;  // X
    Measure range;
    bool rest = false;  // what is not in the range
  };
  [[nodiscard]] std::optional<HistogramPart> PartOfHistogram(const Expr& count,
                                                             const Expr& fraction) const {
    const auto* of = promql::Unwrap(count).As<Call>();
    if (of == nullptr || HistogramSum(*of, FunctionId::kHistogramCount) == nullptr) {
      return std::nullopt;
    }
    HistogramPart part;
    const Expr* share = &promql::Unwrap(fraction);
    const auto* minus = share->As<Binary>();
    if (minus != nullptr && minus->op == BinaryOp::kSub && IsNumber(*minus->lhs, 1)) {
      part.rest = true;
      share = &promql::Unwrap(*minus->rhs);
    }
    const auto* call = share->As<Call>();
    if (call == nullptr) return std::nullopt;
    part.sum = HistogramSum(*call, FunctionId::kHistogramFraction);
    if (part.sum == nullptr || call->args.size() != 3) return std::nullopt;
    part.at = call->args[2].get();
    const std::optional<double> lower = Number(*call->args[0]);
    const std::optional<double> upper = Number(*call->args[1]);
    const bool same = Text(promql::Unwrap(*of->args[0])) == Text(promql::Unwrap(*part.at));
    if (!same || !lower.has_value() || !upper.has_value() || !(*lower < *upper)) {
      return std::nullopt;
    }
    part.range = {MeasureKind::kHistogramRange, *lower, *upper};
    return part;
  }
  Status WalkPart(const HistogramPart& part, const Fraction& factor) {
    if (!part.rest) return WalkSum(*part.at, *part.sum, factor, part.range);
    BASALT_TRY(WalkSum(*part.at, *part.sum, factor, Measure{MeasureKind::kHistogramCount}));
    return WalkSum(*part.at, *part.sum, Fraction{-factor.num, factor.den}, part.range);
  }
  static bool IsNumber(const Expr& expr, double value) {
    const auto* number = promql::Unwrap(expr).As<NumberLiteral>();
    return number != nullptr && number->value == value;
  }
  static bool IsVectorZero(const Expr& expr) {
    const auto* call = promql::Unwrap(expr).As<Call>();
    return call != nullptr && call->function->id == FunctionId::kVector &&
           IsNumber(*call->args[0], 0);
  }
  static bool IsScalar(const Expr& expr) { return expr.type() == promql::ValueType::kScalar; }

  Status WalkBinary(const Expr& e, const Binary& binary, const Fraction& factor) {
    switch (binary.op) {
      case BinaryOp::kAdd:
      case BinaryOp::kSub: {
        if (IsScalar(*binary.lhs) || IsScalar(*binary.rhs)) {
          return Refuse(e, "adds a constant to a rate: events have to come from counters");
        }
        if (binary.matching.has_value() &&
            (binary.matching->card != promql::Cardinality::kOneToOne ||
             !binary.matching->labels.empty())) {
          return Refuse(e,
                        "matches by on(), ignoring() or group_*(): give both sums the same `by`");
        }
        BASALT_TRY(Walk(*binary.lhs, factor));
        const bool minus = binary.op == BinaryOp::kSub;
        return Walk(*binary.rhs, Fraction{minus ? -factor.num : factor.num, factor.den});
      }
      case BinaryOp::kMul:
        if (IsScalar(*binary.rhs)) return WalkScaled(*binary.lhs, *binary.rhs, false, factor);
        if (IsScalar(*binary.lhs)) return WalkScaled(*binary.rhs, *binary.lhs, false, factor);
        if (const auto part = PartOfHistogram(*binary.lhs, *binary.rhs)) {
          return WalkPart(*part, factor);
        }
        if (const auto part = PartOfHistogram(*binary.rhs, *binary.lhs)) {
          return WalkPart(*part, factor);
        }
        return Refuse(e, "multiplies two rates, which is not linear");
      case BinaryOp::kDiv:
        if (IsScalar(*binary.rhs)) return WalkScaled(*binary.lhs, *binary.rhs, true, factor);
        return Refuse(e,
                      "divides by a rate: give the numerator as error_query and the denominator as "
                      "total_query");
      case BinaryOp::kOr:
        if (IsVectorZero(*binary.rhs)) return Walk(*binary.lhs, factor);
        return Refuse(e, "uses `or` with something else than vector(0): add the two sums with +");
      default:
        return Refuse(e, "uses `" + std::string(promql::BinaryOpName(binary.op)) +
                             "`, which is not linear: only + - * / with constants are");
    }
  }

  // `expr` times (or divided by) the number in `constant`, read as written: 0.1 is one tenth.
  Status WalkScaled(const Expr& expr, const Expr& constant, bool divide, const Fraction& factor) {
    const Result<Fraction> number = ParseDecimal(Text(promql::Unwrap(constant)));
    if (!number.ok()) return Refuse(constant, "is not a constant written as a plain decimal");
    Fraction by = *number;
    if (divide) {
      if (by.num == 0) return Refuse(constant, "divides by zero");
      by = Fraction{by.num < 0 ? -by.den : by.den, by.num < 0 ? -by.num : by.num};
    }
    const Result<Fraction> product = Multiply(factor, by);
    if (!product.ok()) return Refuse(constant, "makes a coefficient that is too large");
    return Walk(expr, *product);
  }

  // `of_histogram`: which of a native histogram's measures is meant; else the call tells.
  Status WalkSum(const Expr& e, const Aggregate& aggregate, const Fraction& factor,
                 std::optional<Measure> of_histogram) {
    if (aggregate.op != promql::AggregateOp::kSum) {
      return Refuse(e, "aggregates by " + std::string(promql::AggregateOpName(aggregate.op)) +
                           ", which is not linear: use sum");
    }
    if (aggregate.without) {
      return Refuse(e, "sums `without` labels: name the labels to keep with `by`");
    }
    std::vector<std::string> by = aggregate.grouping;
    std::sort(by.begin(), by.end());
    by.erase(std::unique(by.begin(), by.end()), by.end());
    if (out_.group_by.has_value() && *out_.group_by != by) {
      return Refuse(e,
                    "sums by other labels than the sums before it: use the same `by` everywhere");
    }
    out_.group_by = std::move(by);

    const Expr& inner = promql::Unwrap(*aggregate.expr);
    const auto* call = inner.As<Call>();
    std::optional<Measure> measure;
    if (call != nullptr) measure = MeasureOf(*call);
    const bool is_counter = measure.has_value() && measure->kind == MeasureKind::kCounter;
    if (!measure.has_value() || (of_histogram.has_value() && !is_counter)) {
      return Refuse(inner,
                    "inside sum() is not rate(...) or increase(...) of a counter, nor "
                    "count_over_time(...) or sum_over_time(...) of a gauge");
    }
    return AddTerm(inner, *call, factor, of_histogram.value_or(*measure));
  }

  Status AddTerm(const Expr& e, const Call& call, const Fraction& factor, const Measure& measure) {
    const bool is_rate = call.function->id == FunctionId::kRate;
    if (out_.is_rate.value_or(is_rate) != is_rate) {
      return Refuse(e, "mixes rate() and increase(), which differ by the window's length");
    }
    out_.is_rate = is_rate;
    const auto* matrix = promql::Unwrap(*call.args[0]).As<MatrixSelector>();
    if (matrix == nullptr) {
      return Refuse(*call.args[0], "is not a plain selector over [{{.window}}]");
    }
    if (matrix->range.expr != nullptr || matrix->range.value != kWindowStandInLength) {
      return Refuse(*call.args[0],
                    "has a fixed range: write [{{.window}}], so that every window can be computed");
    }
    const promql::VectorSelector& selector = matrix->vector();
    if (selector.offset.set() || selector.at.set() || selector.mode != promql::RangeMode::kPlain) {
      return Refuse(*call.args[0],
                    "has offset, @, anchored or smoothed, which an SLO cannot follow");
    }
    if (factor.num != 0) out_.terms.push_back({selector.matchers, factor, measure});
    return OkStatus();
  }

  std::string Text(const Expr& e) const {
    const auto start = static_cast<size_t>(e.pos().start);
    const auto end = static_cast<size_t>(e.pos().end);
    std::string text(query_.substr(start, end - start));
    return text;
  }
  Status Refuse(const Expr& e, const std::string& why) const {
    return InvalidArgument("`" + ReplaceAll(Text(e), kWindowStandIn, kWindowTemplate) + "` " +
                           ReplaceAll(why, kWindowStandIn, kWindowTemplate));
  }

  std::string_view query_;
  LinearQuery out_;
};

// The query with {{.window}} replaced by the stand-in.
Result<std::string> WithStandIn(std::string_view query) {
  static const std::regex kWindow(R"(\{\{\s*\.window\s*\}\})");
  std::string text = std::regex_replace(std::string(query), kWindow, std::string(kWindowStandIn));
  if (text == query) {
    return InvalidArgument("has no {{.window}}: write sum(rate(counter[{{.window}}]))");
  }
  if (text.find("{{") != std::string::npos) {
    return InvalidArgument("holds a template other than {{.window}}, which is not supported");
  }
  return text;
}

Result<promql::ExprPtr> Parse(const std::string& text) {
  auto parsed = promql::ParseExprOrError(text);
  if (const auto* error = std::get_if<promql::ParseError>(&parsed)) {
    // Positions are those of the text with {{.window}} replaced, so the message is given without.
    return InvalidArgument("is not PromQL: " +
                           ReplaceAll(error->message, kWindowStandIn, kWindowTemplate));
  }
  return std::get<promql::ExprPtr>(std::move(parsed));
}

Result<LinearQuery> CompileQuery(std::string_view query) {
  BASALT_TRY_ASSIGN(const std::string text, WithStandIn(query));
  BASALT_TRY_ASSIGN(const promql::ExprPtr root, Parse(text));
  Compiler compiler(text);
  BASALT_TRY(compiler.Walk(compiler.WithoutPositiveFilter(*root), Fraction{1, 1}));
  return compiler.Take();
}

// Larger ones would let a sum of 2^-16ths of events leave 64 bits at 10^12 events a period.
constexpr int64_t kMaxCoefficient = 1000;

Status ToIntegers(const std::vector<RationalTerm>& terms, int64_t scale,
                  std::vector<LinearTerm>& out) {
  for (const RationalTerm& term : terms) {
    const Fraction& c = term.coefficient;
    const Int128 scaled = static_cast<Int128>(c.num) * (scale / c.den);
    if (scaled > kMaxCoefficient || scaled < -kMaxCoefficient) {
      return InvalidArgument("coefficient " + ToString(c) + " is outside what integers up to " +
                             std::to_string(kMaxCoefficient) + " can express together");
    }
    out.push_back({term.matchers, static_cast<int64_t>(scaled), term.measure});
  }
  return OkStatus();
}

}  // namespace

Result<LinearSli> CompileEventsSli(std::string_view error_query, std::string_view total_query) {
  Result<LinearQuery> bad = CompileQuery(error_query);
  if (!bad.ok()) return bad.status().WithContext("error_query");
  Result<LinearQuery> total = CompileQuery(total_query);
  if (!total.ok()) return total.status().WithContext("total_query");
  if (bad->group_by != total->group_by) {
    return InvalidArgument(
        "error_query and total_query sum by different labels: a group's errors and its total have "
        "to come from the same `by`");
  }
  if (bad->is_rate != total->is_rate) {
    return InvalidArgument(
        "one of error_query and total_query uses rate() and the other increase(): their ratio "
        "would depend on the window's length");
  }
  LinearSli sli;
  sli.group_by = std::move(total->group_by).value_or(std::vector<std::string>());
  for (const auto* query : {&*bad, &*total}) {
    for (const RationalTerm& term : query->terms) {
      // Both factors are at most kMaxCoefficient here, so the product cannot overflow.
      if (term.coefficient.den <= kMaxCoefficient) {
        sli.scale = std::lcm(sli.scale, term.coefficient.den);
      }
      if (term.coefficient.den > kMaxCoefficient || sli.scale > kMaxCoefficient) {
        return InvalidArgument("the constants need a common denominator above " +
                               std::to_string(kMaxCoefficient));
      }
    }
  }
  BASALT_TRY(ToIntegers(bad->terms, sli.scale, sli.bad).WithContext("error_query"));
  BASALT_TRY(ToIntegers(total->terms, sli.scale, sli.total).WithContext("total_query"));
  if (sli.total.empty()) return InvalidArgument("total_query: every term has the coefficient 0");
  return sli;
}

namespace {

// Of `histogram_fraction(...)` and `1 - histogram_fraction(...)`; null: it is neither.
const Call* HistogramFractionOf(const Expr& expr) {
  const Expr* e = &promql::Unwrap(expr);
  if (const auto* minus = e->As<Binary>(); minus != nullptr && minus->op == BinaryOp::kSub) {
    const auto* one = promql::Unwrap(*minus->lhs).As<NumberLiteral>();
    if (one == nullptr || one->value != 1) return nullptr;
    e = &promql::Unwrap(*minus->rhs);
  }
  const auto* call = e->As<Call>();
  const bool is = call != nullptr && call->function->id == FunctionId::kHistogramFraction &&
                  call->args.size() == 3;
  return is ? call : nullptr;
}

}  // namespace

std::optional<RatioParts> SplitRatio(std::string_view query) {
  const Result<std::string> text = WithStandIn(query);
  if (!text.ok()) return std::nullopt;
  const Result<promql::ExprPtr> root = Parse(*text);
  if (!root.ok()) return std::nullopt;
  const Expr* e = &promql::Unwrap(**root);
  // Both sides go through the ordinary way as texts, with the template back in its place.
  const auto text_of = [&](const Expr& side) {
    const auto start = static_cast<size_t>(side.pos().start);
    const auto end = static_cast<size_t>(side.pos().end);
    return ReplaceAll(text->substr(start, end - start), kWindowStandIn, kWindowTemplate);
  };
  if (const Call* fraction = HistogramFractionOf(*e)) {
    const std::string count = "histogram_count(" + text_of(*fraction->args[2]) + ")";
    return RatioParts{count + " * (" + text_of(*e) + ")", count};
  }
  bool of_good = false;
  if (const auto* minus = e->As<Binary>(); minus != nullptr && minus->op == BinaryOp::kSub) {
    const auto* one = promql::Unwrap(*minus->lhs).As<NumberLiteral>();
    if (one == nullptr || one->value != 1) return std::nullopt;
    of_good = true;
    e = &promql::Unwrap(*minus->rhs);
  }
  const auto* ratio = e->As<Binary>();
  if (ratio == nullptr || ratio->op != BinaryOp::kDiv) return std::nullopt;
  const std::string part = text_of(*ratio->lhs);
  const std::string total = text_of(*ratio->rhs);
  return RatioParts{of_good ? "(" + total + ") - (" + part + ")" : part, total};
}

}  // namespace basalt::slo
