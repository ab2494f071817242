// query/exec/assemble.h -- putting rows together that turn out to be the same series.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "query/exec/matrix.h"

namespace basalt::query::exec {

// "vector cannot contain metrics with the same labelset"
Status SameLabelsetError();

// Rows with equal labels become one, where the first of them stood. kFailedPrecondition
// (SameLabelsetError) if two of them have a value at the same step.
Result<Matrix> MergeDuplicates(Matrix matrix);

// Collects values step by step, for operators whose series are known only by their results. One
// thread.
class RowCollector {
 public:
  explicit RowCollector(const plan::Grid& grid) : grid_(grid) {}

  // Steps must not fall. In an instant query equal labels make rows of their own, as upstream;
  // otherwise two values at one step are SameLabelsetError.
  [[nodiscard]] Status Put(const Labels& labels, bool drop_name, size_t step, Cell cell);
  [[nodiscard]] Matrix Finish();

 private:
  struct Collected {
    Labels labels;
    bool drop_name = false;
    std::vector<std::pair<size_t, Cell>> cells;
  };
  plan::Grid grid_;
  std::vector<Collected> rows_;
  absl::flat_hash_map<std::string, size_t, StringHash, StringEq> by_labels_;
};

// Drops the labels that describe a metric: __name__, __type__ and __unit__.
void DropMetadataLabels(Labels& labels);

// {__name__="up", job="a"}: how Prometheus' errors spell a series (Labels::ToString puts the name
// in front).
std::string BracedText(const Labels& labels);

}  // namespace basalt::query::exec
