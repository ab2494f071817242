// Functions that look at which elements there are, or at their order: absent, scalar, sort,
// timestamp of results.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string_view>

#include "query/exec/functions/vector.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The next run of digits or of anything else.
std::string_view NextChunk(std::string_view& rest) {
  size_t n = 1;
  while (n < rest.size() && IsDigit(rest[n]) == IsDigit(rest[0])) ++n;
  const std::string_view chunk = rest.substr(0, n);
  rest.remove_prefix(n);
  return chunk;
}

// True if `a` sorts before `b` the way people do: "a2" before "a10".
bool NaturalLess(std::string_view a, std::string_view b) {
  while (!a.empty()) {
    if (b.empty()) return false;
    const std::string_view x = NextChunk(a);
    const std::string_view y = NextChunk(b);
    int64_t i = 0;
    int64_t j = 0;
    const bool x_number =
        std::from_chars(x.data(), x.data() + x.size(), i).ec == std::errc() && IsDigit(x[0]);
    const bool y_number =
        std::from_chars(y.data(), y.data() + y.size(), j).ec == std::errc() && IsDigit(y[0]);
    const bool equal = x_number && y_number ? i == j : x == y;
    if (!equal) return x_number && y_number ? i < j : x < y;
    if (a.empty()) return true;
    if (b.empty()) return false;
  }
  return false;
}

void SortByValue(Matrix& m, bool descending) {
  // NaN comes last either way.
  std::stable_sort(m.rows().begin(), m.rows().end(), [&](const Row& a, const Row& b) {
    const double x = m.value(a, 0);
    const double y = m.value(b, 0);
    if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
    return descending ? x > y : x < y;
  });
}

void SortByLabel(CallInput& in, Matrix& m, bool descending) {
  std::vector<Labels> labels;
  for (const Row& row : m.rows()) labels.push_back(row.labels.ToLabels());
  std::vector<size_t> order(m.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) {
    const Labels& a = labels[descending ? j : i];
    const Labels& b = labels[descending ? i : j];
    for (size_t k = 1; k < in.node.args.size(); ++k) {
      const std::string_view x = a.Get(in.text(k));
      const std::string_view y = b.Get(in.text(k));
      if (x != y) return NaturalLess(x, y);
    }
    return a < b;
  });
  std::vector<Row> sorted;
  for (const size_t i : order) sorted.push_back(m.rows()[i]);
  m.rows() = std::move(sorted);
}

}  // namespace

Result<Matrix> SortFunction(CallInput& in) {
  Matrix m = std::move(in.args[0]);
  const FunctionId id = in.node.function;
  const bool by_value = id == FunctionId::kSort || id == FunctionId::kSortDesc;
  if (by_value && m.has_histograms()) {
    for (Row& row : m.rows()) {
      for (CellKind& kind : m.kinds(row)) {
        if (kind == CellKind::kHistogram) kind = CellKind::kAbsent;
      }
    }
    m.Trim();
  }
  if (!in.grid.instant()) {
    in.annotations.SortInRangeQuery(in.pos);
    return m;
  }
  if (by_value) {
    SortByValue(m, id == FunctionId::kSortDesc);
  } else {
    SortByLabel(in, m, id == FunctionId::kSortByLabelDesc);
  }
  return m;
}

Labels LabelsForAbsent(const storage::MatcherSet& matchers) {
  Labels out;
  std::set<std::string_view> seen;
  for (const storage::Matcher& m : matchers) {
    if (m.name == kMetricName) continue;
    // Only what one equality fixes is known of a series that is not there.
    if (m.type == storage::MatchType::kEqual && seen.insert(m.name).second) {
      out.Set(m.name, m.value);
    } else {
      out.Remove(m.name);
    }
  }
  return out;
}

Result<Matrix> Absent(CallInput& in) {
  std::vector<uint8_t> present(in.grid.size());
  for (const Row& row : in.args[0].rows()) {
    const auto kinds = in.args[0].kinds(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != CellKind::kAbsent) present[row.first + i] = 1;
    }
  }
  Labels labels;
  if (const auto* selector = in.node.args[0]->As<plan::FragmentNode>();
      selector != nullptr && !selector->fragment.has_function() &&
      !selector->fragment.aggregation.has_value()) {
    labels = LabelsForAbsent(selector->fragment.selector.matchers);
  }
  Matrix out(in.grid);
  out.Begin(RowLabels(std::move(labels)), false);
  for (size_t step = 0; step < present.size(); ++step) {
    if (present[step] == 0) out.Append(step, 1.0);
  }
  out.End();
  return out;
}

Result<Matrix> ScalarOf(CallInput& in) {
  const size_t steps = in.grid.size();
  std::vector<uint8_t> count(steps);
  std::vector<double> value(steps, std::numeric_limits<double>::quiet_NaN());
  for (const Row& row : in.args[0].rows()) {
    for (size_t step = row.first; step < row.end(); ++step) {
      if (in.args[0].kind(row, step) != CellKind::kFloat) continue;
      // One float is the answer, two are none.
      value[step] =
          count[step] == 0 ? in.args[0].value(row, step) : std::numeric_limits<double>::quiet_NaN();
      count[step] = 1;
    }
  }
  Matrix out(in.grid);
  out.Begin(RowLabels(), false);
  for (size_t step = 0; step < steps; ++step) out.Append(step, value[step]);
  out.End();
  return out;
}

Result<Matrix> TimestampOf(CallInput& in) {
  const Matrix& m = in.args[0];
  Matrix out(in.grid);
  for (const Row& row : m.rows()) {
    out.Begin(row.labels, true, row.partition);
    for (size_t step = row.first; step < row.end(); ++step) {
      if (m.kind(row, step) != CellKind::kAbsent)
        out.Append(step, static_cast<double>(in.grid.at(step)) / 1000);
    }
    out.End();
  }
  return out;
}

}  // namespace basalt::query::exec
