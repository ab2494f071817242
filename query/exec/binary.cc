#include "query/exec/binary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "engine/base/varint.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

using promql::BinaryOp;

const char* KindName(const Cell& cell) {
  return cell.kind == CellKind::kFloat ? "float" : "histogram";
}

ElementResult Keep(Cell cell) { return {ElementResult::Outcome::kKeep, std::move(cell)}; }

ElementResult Incompatible(const BinaryInput& in, const Cell& lhs, const Cell& rhs) {
  in.annotations.IncompatibleTypes(KindName(lhs), promql::BinaryOpName(in.node.op), KindName(rhs),
                                   in.pos);
  return {ElementResult::Outcome::kError, {}};
}

ElementResult AddOrSubtract(const BinaryInput& in, const FloatHistogram& lhs,
                            const FloatHistogram& rhs) {
  const bool add = in.node.op == BinaryOp::kAdd;
  FloatHistogram h = lhs;
  const HistogramOutcome outcome = add ? Add(h, rhs) : Subtract(h, rhs);
  if (outcome.incompatible) {
    in.annotations.IncompatibleBuckets(promql::BinaryOpName(in.node.op), in.pos);
    return {ElementResult::Outcome::kError, {}};
  }
  const char* operation = add ? "addition" : "subtraction";
  if (!add) h.reset_hint = ResetHint::kGauge;
  if (outcome.bounds_reconciled) in.annotations.MismatchedCustomBuckets(operation, in.pos);
  Compact(h);
  ElementResult out = Keep(Cell::Histogram(std::move(h)));
  if (outcome.reset_collision) {
    // Upstream takes its warning for an error here and gives no element.
    in.annotations.CounterResetCollision(operation, in.pos);
    out.outcome = ElementResult::Outcome::kError;
  }
  return out;
}

ElementResult TwoHistograms(const BinaryInput& in, const Cell& lhs, const Cell& rhs) {
  switch (in.node.op) {
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
      return AddOrSubtract(in, *lhs.histogram, *rhs.histogram);
    case BinaryOp::kEqual:
    case BinaryOp::kNotEqual: {
      const bool same = SameHistogram(*lhs.histogram, *rhs.histogram);
      const bool holds = same == (in.node.op == BinaryOp::kEqual);
      return {holds ? ElementResult::Outcome::kKeep : ElementResult::Outcome::kFilter, lhs};
    }
    default:
      return Incompatible(in, lhs, rhs);
  }
}

ElementResult HistogramAndFloat(const BinaryInput& in, const Cell& lhs, const Cell& rhs) {
  FloatHistogram h = *lhs.histogram;
  switch (in.node.op) {
    case BinaryOp::kMul:
      Multiply(h, rhs.value);
      break;
    case BinaryOp::kDiv:
      Divide(h, rhs.value);
      break;
    case BinaryOp::kTrimUpper:
    case BinaryOp::kTrimLower:
      TrimBuckets(h, rhs.value, in.node.op == BinaryOp::kTrimUpper);
      return Keep(Cell::Histogram(std::move(h)));
    default:
      return Incompatible(in, lhs, rhs);
  }
  Compact(h);
  return Keep(Cell::Histogram(std::move(h)));
}

}  // namespace

bool IsArithmetic(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
    case BinaryOp::kMul:
    case BinaryOp::kDiv:
    case BinaryOp::kMod:
    case BinaryOp::kPow:
    case BinaryOp::kAtan2:
      return true;
    default:
      return false;
  }
}

double Arithmetic(BinaryOp op, double lhs, double rhs) {
  switch (op) {
    case BinaryOp::kAdd:
      return lhs + rhs;
    case BinaryOp::kSub:
      return lhs - rhs;
    case BinaryOp::kMul:
      return lhs * rhs;
    case BinaryOp::kDiv:
      return lhs / rhs;
    case BinaryOp::kMod:
      return std::fmod(lhs, rhs);
    case BinaryOp::kPow:
      return std::pow(lhs, rhs);
    case BinaryOp::kAtan2:
      return std::atan2(lhs, rhs);
    default:
      BASALT_CHECK(false, "not arithmetic");
      return 0;
  }
}

bool Compare(BinaryOp op, double lhs, double rhs) {
  switch (op) {
    case BinaryOp::kEqual:
      return lhs == rhs;
    case BinaryOp::kNotEqual:
      return lhs != rhs;
    case BinaryOp::kGreater:
      return lhs > rhs;
    case BinaryOp::kLess:
      return lhs < rhs;
    case BinaryOp::kGreaterEqual:
      return lhs >= rhs;
    case BinaryOp::kLessEqual:
      return lhs <= rhs;
    default:
      BASALT_CHECK(false, "not a comparison");
      return false;
  }
}

ElementResult Element(const BinaryInput& in, const Cell& lhs, const Cell& rhs) {
  const bool lhs_float = lhs.kind == CellKind::kFloat;
  const bool rhs_float = rhs.kind == CellKind::kFloat;
  const BinaryOp op = in.node.op;
  if (lhs_float && rhs_float) {
    if (IsArithmetic(op)) return Keep(Cell::Float(Arithmetic(op, lhs.value, rhs.value)));
    if (!promql::IsComparison(op)) return Incompatible(in, lhs, rhs);
    const bool holds = Compare(op, lhs.value, rhs.value);
    return {holds ? ElementResult::Outcome::kKeep : ElementResult::Outcome::kFilter, lhs};
  }
  if (lhs_float) {
    if (op != BinaryOp::kMul) return Incompatible(in, lhs, rhs);
    return HistogramAndFloat(in, rhs, lhs);
  }
  return rhs_float ? HistogramAndFloat(in, lhs, rhs) : TwoHistograms(in, lhs, rhs);
}

Result<Matrix> ScalarScalar(const BinaryInput& in, const Matrix& lhs, const Matrix& rhs) {
  Matrix out(in.grid);
  out.Begin(RowLabels(), false);
  const Row& l = lhs.rows().front();
  const Row& r = rhs.rows().front();
  const BinaryOp op = in.node.op;
  for (size_t step = 0; step < in.grid.size(); ++step) {
    const double a = lhs.value(l, step);
    const double b = rhs.value(r, step);
    out.Append(step, IsArithmetic(op) ? Arithmetic(op, a, b) : Compare(op, a, b) ? 1.0 : 0.0);
  }
  out.End();
  return out;
}

Result<Matrix> VectorScalar(const BinaryInput& in, Matrix vector, const Matrix& scalar,
                            bool swapped) {
  const BinaryOp op = in.node.op;
  const bool arithmetic = IsArithmetic(op);
  const bool drops_name = arithmetic || in.node.return_bool;
  bool holes = false;
  for (Row& row : vector.rows()) {
    if (drops_name) row.drop_name = true;
    const auto values = vector.values(row);
    const auto kinds = vector.kinds(row);
    const auto numbers = scalar.values(scalar.rows().front()).subspan(row.first);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] == CellKind::kAbsent) continue;
      const double number = numbers[i];
      if (kinds[i] == CellKind::kFloat && (arithmetic || promql::IsComparison(op))) {
        const double lhs = swapped ? number : values[i];
        const double rhs = swapped ? values[i] : number;
        if (arithmetic) {
          values[i] = Arithmetic(op, lhs, rhs);
        } else if (in.node.return_bool) {
          values[i] = Compare(op, lhs, rhs) ? 1 : 0;
        } else if (!Compare(op, lhs,
                            rhs)) {  // the element keeps its value, on whichever side it is
          kinds[i] = CellKind::kAbsent;
          holes = true;
        }
        continue;
      }
      const Cell element = vector.cell(row, row.first + i);
      ElementResult result = swapped ? Element(in, Cell::Float(number), element)
                                     : Element(in, element, Cell::Float(number));
      if (result.outcome == ElementResult::Outcome::kKeep &&
          result.cell.kind == CellKind::kHistogram) {
        vector.SetHistogram(row, row.first + i, std::move(result.cell.histogram));
      } else {
        kinds[i] = CellKind::kAbsent;
        holes = true;
      }
    }
  }
  if (holes) vector.Trim();
  return vector;
}

Signatures MatchRows(const promql::VectorMatching& matching, const Matrix& lhs, const Matrix& rhs) {
  Signatures out;
  absl::flat_hash_map<std::string, uint32_t, StringHash, StringEq> numbers;
  std::string key;
  std::vector<LabelView> views;
  const auto number_rows = [&](const Matrix& matrix, std::vector<uint32_t>& of) {
    of.reserve(matrix.size());
    for (const Row& row : matrix.rows()) {
      key.clear();
      if (matching.on) {
        for (const std::string& name : matching.labels) {
          const std::string_view value = row.labels.Get(name);
          AppendVarint(value.size(), key);
          key += value;
        }
      } else {
        // What MatchedLabels would keep, without making it.
        views.clear();
        row.labels.AppendViews(views);
        std::erase_if(views, [&matching](const LabelView& label) {
          return label.name == kMetricName ||
                 std::find(matching.labels.begin(), matching.labels.end(), label.name) !=
                     matching.labels.end();
        });
        AppendCanonical(views, key);
      }
      of.push_back(numbers.try_emplace(key, static_cast<uint32_t>(numbers.size())).first->second);
    }
  };
  number_rows(lhs, out.of_lhs);
  number_rows(rhs, out.of_rhs);
  out.lhs_rows.resize(numbers.size());
  out.rhs_rows.resize(numbers.size());
  for (uint32_t i = 0; i < out.of_lhs.size(); ++i) out.lhs_rows[out.of_lhs[i]].push_back(i);
  for (uint32_t i = 0; i < out.of_rhs.size(); ++i) out.rhs_rows[out.of_rhs[i]].push_back(i);
  return out;
}

Labels MatchedLabels(const promql::VectorMatching& matching, const Labels& labels) {
  if (matching.on) {
    std::vector<Label> kept;
    kept.reserve(matching.labels.size());
    for (const std::string& name : matching.labels)
      kept.push_back({name, std::string(labels.Get(name))});
    return Labels(std::move(kept));
  }
  Labels rest = labels;
  rest.Remove(kMetricName);
  for (const std::string& name : matching.labels) rest.Remove(name);
  return rest;
}

}  // namespace basalt::query::exec
