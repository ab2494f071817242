#include "query/engine.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/exec/assemble.h"
#include "query/exec/context.h"
#include "query/exec/evaluator.h"
#include "query/plan/planner.h"
#include "query/promql/parser.h"

namespace basalt::query {
namespace {

using exec::CellKind;
using exec::Row;
using promql::ValueType;

// Measures one part of a query.
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock) : clock_(clock), start_(clock.Monotonic()) {}
  [[nodiscard]] std::chrono::nanoseconds elapsed() const { return clock_.Monotonic() - start_; }

 private:
  const Clock& clock_;
  std::chrono::nanoseconds start_;
};

// Names that were to be dropped at the end are dropped now; what thereby becomes one series is put
// together.
Result<exec::Matrix> DropNames(exec::Matrix m) {
  const bool any =
      std::any_of(m.rows().begin(), m.rows().end(), [](const Row& row) { return row.drop_name; });
  for (Row& row : m.rows()) row.labels = exec::RowLabels(exec::FinalLabels(row));
  // Without a dropped name, only an instant query can have made rows that are the same.
  if (!any && !m.grid().instant()) return m;
  return exec::MergeDuplicates(std::move(m));
}

Vector ToVector(const exec::Matrix& m) {
  Vector out;
  out.reserve(m.size());
  for (const Row& row : m.rows()) {
    exec::Cell cell = m.cell(row, 0);
    out.push_back(
        {row.labels.ToLabels(), m.grid().start_ms, cell.value, std::move(cell.histogram)});
  }
  return out;
}

void SortByLabels(Matrix& m) {
  std::sort(m.begin(), m.end(),
            [](const Series& a, const Series& b) { return a.labels < b.labels; });
}

Matrix ToMatrix(const exec::Matrix& m) {
  Matrix out;
  out.reserve(m.size());
  for (const Row& row : m.rows()) {
    Series& series = out.emplace_back();
    series.labels = row.labels.ToLabels();
    const auto kinds = m.kinds(row);
    const auto values = m.values(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      const int64_t time_ms = m.grid().at(row.first + i);
      if (kinds[i] == CellKind::kFloat) series.floats.push_back({time_ms, values[i]});
      if (kinds[i] == CellKind::kHistogram) {
        series.histograms.push_back({time_ms, m.histogram(row, row.first + i)});
      }
    }
  }
  SortByLabels(out);
  return out;
}

// One run of a query, from text to value.
class Run {
 public:
  Run(const EngineOptions& options, const QueryOptions& query_options,
      const storage::Snapshot& snapshot, TenantId tenant, std::string_view text)
      : options_(options),
        context_(options, query_options, snapshot, tenant),
        snapshot_(snapshot),
        text_(text) {}

  // Instant: `grid` has start == end, and `step` is zero.
  Result<QueryResult> Execute(const plan::Grid& grid, Duration step, bool range) {
    const Stopwatch parse(*options_.clock);
    BASALT_TRY_ASSIGN(const promql::ExprPtr expr, promql::ParseExpr(text_));
    if (range && expr->type() != ValueType::kScalar && expr->type() != ValueType::kVector) {
      return InvalidArgument("invalid expression type \"" +
                             std::string(promql::DocumentedValueType(expr->type())) +
                             "\" for range query, must be Scalar or instant Vector");
    }
    BASALT_TRY_ASSIGN(const plan::NodePtr plan,
                      plan::MakePlan(expr, {.start = FromMs(grid.start_ms),
                                            .end = FromMs(grid.end_ms),
                                            .step = step,
                                            .push_down = options_.push_down}));
    QueryResult result;
    result.stats.parse = parse.elapsed();
    const Stopwatch evaluate(*options_.clock);
    BASALT_TRY(context_.CheckRunning("query execution"));
    BASALT_TRY_ASSIGN(result.value, Value(*plan, grid, range));
    result.stats.evaluate = evaluate.elapsed();
    annotations_.Render(text_, result.warnings, result.infos);
    for (std::string& warning : snapshot_.Warnings()) result.warnings.push_back(std::move(warning));
    const exec::Counters& counters = context_.counters();
    result.stats.samples = counters.samples.load();
    result.stats.samples_read = counters.samples_read.load();
    result.stats.series_selected = counters.series_selected.load();
    result.stats.peak_samples = context_.peak();
    result.stats.steps = grid.size();
    return result;
  }

 private:
  Result<query::Value> Value(const plan::Node& plan, const plan::Grid& grid, bool range) {
    if (const auto* s = plan.As<plan::StringNode>())
      return query::Value(String{grid.start_ms, s->value});
    exec::Evaluator evaluator(context_, annotations_);
    if (plan.type == ValueType::kMatrix) {
      BASALT_TRY_ASSIGN(Matrix m, evaluator.EvaluateRange(plan, grid));
      SortByLabels(m);
      return query::Value(std::move(m));
    }
    BASALT_TRY_ASSIGN(exec::Matrix m, evaluator.Evaluate(plan, grid));
    if (!range && plan.type == ValueType::kScalar) {
      return query::Value(Scalar{grid.start_ms, m.value(m.rows().front(), 0)});
    }
    BASALT_TRY_ASSIGN(m, DropNames(std::move(m)));
    BASALT_TRY(context_.CheckRunning());
    return range ? query::Value(ToMatrix(m)) : query::Value(ToVector(m));
  }

  const EngineOptions& options_;
  exec::QueryContext context_;
  exec::Annotations annotations_;
  const storage::Snapshot& snapshot_;
  std::string_view text_;
};

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kBadData:
      return "bad_data";
    case ErrorKind::kExecution:
      return "execution";
    case ErrorKind::kCanceled:
      return "canceled";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "internal";
}

ErrorKind ErrorKindOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return ErrorKind::kBadData;
    case StatusCode::kCancelled:
      return ErrorKind::kCanceled;
    case StatusCode::kDeadlineExceeded:
      return ErrorKind::kTimeout;
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
    case StatusCode::kUnavailable:
    case StatusCode::kUnknown:
      return ErrorKind::kInternal;
    default:
      return ErrorKind::kExecution;
  }
}

Engine::Engine(EngineOptions options) : options_(std::move(options)) {
  BASALT_CHECK(options_.clock != nullptr, "an engine needs a clock");
  BASALT_CHECK(options_.default_subquery_step.count() > 0, "subqueries need a step");
}

Result<QueryResult> Engine::Instant(const storage::Snapshot& snapshot, TenantId tenant,
                                    std::string_view query, Timestamp time,
                                    const QueryOptions& options) const {
  const int64_t ms = ToMs(time);
  return Run(options_, options, snapshot, tenant, query).Execute({ms, ms, 1}, Duration(0), false);
}

Result<QueryResult> Engine::Range(const storage::Snapshot& snapshot, TenantId tenant,
                                  std::string_view query, Timestamp start, Timestamp end,
                                  Duration step, const QueryOptions& options) const {
  if (step.count() <= 0) {
    return InvalidArgument(
        "zero or negative query resolution step widths are not accepted. Try a positive integer");
  }
  if (end < start) return InvalidArgument("end timestamp must not be before start time");
  return Run(options_, options, snapshot, tenant, query)
      .Execute({ToMs(start), ToMs(end), step.count()}, step, true);
}

Status CheckResolution(Timestamp start, Timestamp end, Duration step) {
  if (step.count() > 0 && (end - start) / step > kMaxPointsPerSeries) {
    return InvalidArgument(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
        "resolution (?step=XX)");
  }
  return OkStatus();
}

}  // namespace basalt::query
