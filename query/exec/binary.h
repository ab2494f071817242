// query/exec/binary.h -- operators between scalars and vectors.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct BinaryInput {
  const plan::BinaryNode& node;
  plan::PosRange pos;
  plan::Grid grid;
  Annotations& annotations;
  const QueryContext& context;  // asked now and then whether to go on
};

// Both sides on the same grid. Scalars are matrices of one row.
Result<Matrix> ScalarScalar(const BinaryInput& in, const Matrix& lhs, const Matrix& rhs);
// `swapped`: the scalar stood on the left.
Result<Matrix> VectorScalar(const BinaryInput& in, Matrix vector, const Matrix& scalar,
                            bool swapped);
// Arithmetic and comparison, one-to-one and with group_left/group_right.
Result<Matrix> VectorVector(const BinaryInput& in, const Matrix& lhs, const Matrix& rhs);
// and, or, unless.
Result<Matrix> SetOperation(const BinaryInput& in, Matrix lhs, Matrix rhs);

// One element of a vector operation.
struct ElementResult {
  enum class Outcome : uint8_t {
    kKeep,
    kFilter,  // a comparison that does not hold: an answer for `bool`, none otherwise
    kError,   // types or layouts that do not go together: no answer at all; annotated
  };
  Outcome outcome = Outcome::kKeep;
  Cell cell;
};
// Floats only: the whole of what most queries need.
double Arithmetic(promql::BinaryOp op, double lhs, double rhs);
bool Compare(promql::BinaryOp op, double lhs, double rhs);
bool IsArithmetic(promql::BinaryOp op);
// Any kinds. `with_scalar`: one side is a scalar, which changes what is annotated.
ElementResult Element(const BinaryInput& in, const Cell& lhs, const Cell& rhs);

// Rows of both sides by what they are matched on. Signatures are numbered from 0.
struct Signatures {
  std::vector<uint32_t> of_lhs;
  std::vector<uint32_t> of_rhs;
  std::vector<std::vector<uint32_t>> lhs_rows;  // by signature
  std::vector<std::vector<uint32_t>> rhs_rows;
};
Signatures MatchRows(const promql::VectorMatching& matching, const Matrix& lhs, const Matrix& rhs);
// The labels that a row is matched on.
Labels MatchedLabels(const promql::VectorMatching& matching, const Labels& labels);

}  // namespace basalt::query::exec
