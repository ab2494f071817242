// query/exec/aggregate_select.h -- aggregations that look at all values of a step at once: topk,
// bottomk, limitk, limit_ratio, quantile, count_values.
#pragma once

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct SelectInput {
  const plan::AggregateNode& node;
  plan::PosRange pos;  // of the whole aggregation
  plan::Grid grid;
  Annotations& annotations;
  QueryContext& context;  // asked now and then whether to go on
};

// `parameter`: k or the ratio, one a step. Rows keep their labels; in an instant query topk and
// bottomk give the order that they found, group by group.
Result<Matrix> SelectRows(const SelectInput& in, const Matrix& matrix, const Matrix& parameter);
Result<Matrix> QuantileOfGroups(const SelectInput& in, const Matrix& matrix,
                                const Matrix& parameter);
Result<Matrix> CountValues(const SelectInput& in, const Matrix& matrix, const std::string& label);

}  // namespace basalt::query::exec
