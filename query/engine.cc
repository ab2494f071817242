#include "query/engine.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/label_order.h"
#include "query/exec/assemble.h"
#include "query/exec/bucket_read.h"
#include "query/exec/context.h"
#include "query/exec/evaluator.h"
#include "query/plan/describe.h"
#include "query/plan/planner.h"
#include "query/promql/durations.h"
#include "query/promql/parser.h"
#include "query/result_cache.h"

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
Result<exec::Matrix> DropNames(exec::Matrix m, const plan::Node& plan) {
  bool any = false;
  for (Row& row : m.rows()) {
    if (!row.drop_name) continue;
    any = true;
    row.labels = exec::RowLabels(exec::FinalLabels(row));
  }
  // Without a dropped name, only an instant query can have made rows that are the same, and a
  // selector or an aggregation that is pushed down makes none.
  const bool distinct = plan.As<plan::FragmentNode>() != nullptr;
  if (!any && (distinct || !m.grid().instant())) return m;
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
  const std::vector<uint32_t> order =
      SortedOrder(m.size(), [&m](size_t i) -> const Labels& { return m[i].labels; });
  Matrix sorted;
  sorted.reserve(m.size());
  for (const uint32_t i : order) sorted.push_back(std::move(m[i]));
  m = std::move(sorted);
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

bool HasHistograms(const Matrix& m) {
  return std::any_of(m.begin(), m.end(), [](const Series& s) { return !s.histograms.empty(); });
}

// Of a query that was evaluated in parts.
void Add(const QueryStats& part, QueryStats& all) {
  all.samples += part.samples;
  all.samples_read += part.samples_read;
  all.rows_summarized += part.rows_summarized;
  all.peak_samples = std::max(all.peak_samples, part.peak_samples);
  all.series_selected = std::max(all.series_selected, part.series_selected);
  all.blocks_opened += part.blocks_opened;
  all.parse += part.parse;
  all.evaluate += part.evaluate;
  // The same plan, over other steps.
  if (all.operators.size() != part.operators.size()) {
    all.operators = part.operators;
    return;
  }
  for (size_t i = 0; i < part.operators.size(); ++i) {
    const OperatorStats& from = part.operators[i];
    OperatorStats& to = all.operators[i];
    to.total += from.total;
    to.own += from.own;
    to.series = std::max(to.series, from.series);
    to.samples_read += from.samples_read;
    to.rows_summarized += from.rows_summarized;
    to.blocks_opened += from.blocks_opened;
  }
}

// One run of a query, from text to value.
class Run {
 public:
  Run(const EngineOptions& options, const QueryOptions& query_options,
      const storage::Snapshot& snapshot, TenantId tenant, std::string_view text,
      std::atomic<uint64_t>& held_by_all)
      : options_(options),
        context_(options, query_options, snapshot, tenant, held_by_all),
        snapshot_(snapshot),
        text_(text),
        traced_(query_options.trace) {}

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
    std::optional<exec::Trace> trace;
    if (traced_) trace.emplace(*plan, *options_.clock, context_.counters());
    BASALT_TRY_ASSIGN(result.value,
                      Value(*plan, grid, range, trace.has_value() ? &*trace : nullptr));
    if (trace.has_value()) result.stats.operators = std::move(*trace).Finish();
    result.stats.evaluate = evaluate.elapsed();
    annotations_.Render(text_, result.warnings, result.infos);
    for (std::string& warning : snapshot_.Warnings()) result.warnings.push_back(std::move(warning));
    const exec::Counters& counters = context_.counters();
    result.stats.samples = counters.samples.load();
    result.stats.samples_read = counters.samples_read.load();
    result.stats.rows_summarized = counters.rows_summarized.load();
    result.stats.blocks_opened = counters.blocks_opened.load();
    result.stats.series_selected = counters.series_selected.load();
    result.stats.peak_samples = context_.peak();
    result.stats.steps = grid.size();
    return result;
  }

 private:
  Result<query::Value> Value(const plan::Node& plan, const plan::Grid& grid, bool range,
                             exec::Trace* trace) {
    if (const auto* s = plan.As<plan::StringNode>())
      return query::Value(String{grid.start_ms, s->value});
    exec::Evaluator evaluator(context_, plan, annotations_, trace);
    if (plan.type == ValueType::kMatrix) {
      BASALT_TRY_ASSIGN(Matrix m, evaluator.EvaluateRange(plan, grid));
      SortByLabels(m);
      return query::Value(std::move(m));
    }
    BASALT_TRY_ASSIGN(exec::Matrix m, evaluator.Evaluate(plan, grid));
    if (!range && plan.type == ValueType::kScalar) {
      return query::Value(Scalar{grid.start_ms, m.value(m.rows().front(), 0)});
    }
    BASALT_TRY_ASSIGN(m, DropNames(std::move(m), plan));
    BASALT_TRY(context_.CheckRunning());
    return range ? query::Value(ToMatrix(m)) : query::Value(ToVector(m));
  }

  const EngineOptions& options_;
  exec::QueryContext context_;
  exec::Annotations annotations_;
  const storage::Snapshot& snapshot_;
  std::string_view text_;
  const bool traced_;
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
  cache_ = std::make_shared<ResultCache>(options_.result_cache_bytes);
  held_ = std::make_shared<std::atomic<uint64_t>>(0);
}

ResultCacheStats Engine::CacheStats() const { return cache_->Stats(); }

Result<QueryResult> Engine::Instant(const storage::Snapshot& snapshot, TenantId tenant,
                                    std::string_view query, Timestamp time,
                                    const QueryOptions& options) const {
  const int64_t ms = ToMs(time);
  return Run(options_, options, snapshot, tenant, query, *held_)
      .Execute({ms, ms, 1}, Duration(0), false);
}

Result<QueryResult> Engine::Range(const storage::Snapshot& snapshot, TenantId tenant,
                                  std::string_view query, Timestamp start, Timestamp end,
                                  Duration step, const QueryOptions& options) const {
  if (step.count() <= 0) {
    return InvalidArgument(
        "zero or negative query resolution step widths are not accepted. Try a positive integer");
  }
  if (end < start) return InvalidArgument("end timestamp must not be before start time");
  const plan::Grid grid{ToMs(start), ToMs(end), step.count()};
  if (options_.result_cache_bytes > 0 && !options.no_cache)
    return CachedRangeQuery(snapshot, tenant, query, grid, options);
  return Run(options_, options, snapshot, tenant, query, *held_).Execute(grid, step, true);
}

Result<QueryResult> Engine::CachedRangeQuery(const storage::Snapshot& snapshot, TenantId tenant,
                                             std::string_view query, const plan::Grid& grid,
                                             const QueryOptions& options) const {
  const auto run = [&](int64_t start_ms, int64_t end_ms) {
    return Run(options_, options, snapshot, tenant, query, *held_)
        .Execute({start_ms, end_ms, grid.step_ms}, Duration(grid.step_ms), true);
  };
  const std::optional<uint64_t> stamp = snapshot.Stamp();
  const auto expr = promql::ParseExpr(query);
  const std::optional<int64_t> ahead =
      stamp.has_value() && expr.ok() ? CacheableLookahead(**expr) : std::nullopt;
  if (!ahead.has_value()) return run(grid.start_ms, grid.end_ms);

  const Duration lookback = options.lookback.count() > 0 ? options.lookback : options_.lookback;
  const int64_t phase = (grid.start_ms % grid.step_ms + grid.step_ms) % grid.step_ms;
  std::string key = std::to_string(static_cast<uint64_t>(tenant));
  for (const int64_t part :
       {grid.step_ms, phase, int64_t{lookback.count()}, static_cast<int64_t>(options.downsample)})
    key += ' ' + std::to_string(part);
  key += ' ';
  key += query;

  const int64_t first_ms = grid.start_ms;
  const int64_t last_ms = grid.last_ms();
  const std::shared_ptr<const CachedRange> kept = cache_->Find(key);
  int64_t from_ms = first_ms;  // steps [from, to] are known
  int64_t to_ms = first_ms - grid.step_ms;
  if (kept != nullptr) {
    from_ms = std::max(first_ms, kept->grid.start_ms);
    to_ms = std::min(last_ms, kept->grid.last_ms());
    // Steps that may see something that has changed are not known any more.
    constexpr int64_t kLongAgoMs = -(int64_t{1} << 61);
    const int64_t unchanged_ms = snapshot.UnchangedBefore(kept->stamp);
    const int64_t right_until_ms = std::max(unchanged_ms, kLongAgoMs) - *ahead - 1;
    if (to_ms > right_until_ms) {
      const int64_t span_ms = right_until_ms - from_ms;
      to_ms = from_ms + (span_ms < 0 ? -1 : span_ms / grid.step_ms) * grid.step_ms;
    }
  }
  if (to_ms < from_ms) {
    cache_->Count(false, false);
    BASALT_TRY_ASSIGN(QueryResult whole, run(grid.start_ms, grid.end_ms));
    Keep(key, grid, *stamp, whole);
    return whole;
  }
  QueryResult result;
  query::Matrix known = CutMatrix(kept->matrix, from_ms, to_ms);
  const auto evaluate = [&](int64_t start_ms, int64_t end_ms, bool before) -> Result<bool> {
    BASALT_TRY_ASSIGN(QueryResult part, run(start_ms, end_ms));
    auto& matrix = std::get<query::Matrix>(part.value);
    // What there is to say, it says of all steps or not at all.
    if (!part.warnings.empty() || !part.infos.empty() || HasHistograms(matrix)) return false;
    known = before ? JoinMatrices(std::move(matrix), std::move(known))
                   : JoinMatrices(std::move(known), std::move(matrix));
    Add(part.stats, result.stats);
    return true;
  };
  bool plain = true;
  if (from_ms > first_ms) {
    BASALT_TRY_ASSIGN(plain, evaluate(first_ms, from_ms - grid.step_ms, true));
  }
  if (plain && to_ms < last_ms) {
    BASALT_TRY_ASSIGN(plain, evaluate(to_ms + grid.step_ms, grid.end_ms, false));
  }
  if (!plain) {
    cache_->Count(false, false);
    return run(grid.start_ms, grid.end_ms);
  }
  const bool all = from_ms == first_ms && to_ms == last_ms;
  cache_->Count(all, true);
  result.stats.steps = grid.size();
  result.stats.steps_cached = static_cast<uint64_t>((to_ms - from_ms) / grid.step_ms) + 1;
  result.value = std::move(known);
  if (!all) Keep(key, grid, *stamp, result);
  return result;
}

Result<std::vector<std::string>> Engine::Explain(const storage::Snapshot& snapshot, TenantId tenant,
                                                 std::string_view query, Timestamp start,
                                                 Timestamp end, Duration step,
                                                 const QueryOptions& options) const {
  BASALT_TRY_ASSIGN(const promql::ExprPtr expr, promql::ParseExpr(query));
  BASALT_TRY_ASSIGN(
      const plan::NodePtr plan,
      plan::MakePlan(expr,
                     {.start = start, .end = end, .step = step, .push_down = options_.push_down}));
  const plan::Grid grid{ToMs(start), ToMs(end), std::max<int64_t>(step.count(), 1)};
  exec::QueryContext context(options_, options, snapshot, tenant, *held_);
  Status failed;
  const auto estimate = [&](const plan::FragmentPlan& f) {
    const plan::FragmentInput input{
        .grid = grid, .lookback_ms = context.lookback_ms(), .arguments = {}};
    const Result<std::string> text = exec::Estimate(context, f, input);
    if (!text.ok()) failed = text.status();
    return text.ok() ? *text : std::string();
  };
  std::vector<std::string> lines;
  for (const plan::PlanLine& line : plan::Describe(*plan, estimate))
    lines.push_back(std::string(2 * line.depth, ' ') + line.text);
  BASALT_TRY(failed);
  return lines;
}

void Engine::Keep(const std::string& key, const plan::Grid& grid, uint64_t stamp,
                  const QueryResult& result) const {
  const auto* matrix = std::get_if<query::Matrix>(&result.value);
  if (matrix == nullptr || !result.warnings.empty() || !result.infos.empty() ||
      HasHistograms(*matrix)) {
    return;
  }
  cache_->Put(key, std::make_shared<const CachedRange>(CachedRange{grid, stamp, *matrix}));
}

Status CheckResolution(Timestamp start, Timestamp end, Duration step) {
  // Unsigned, since the difference of two 64-bit times may not fit in a signed one.
  const uint64_t span = static_cast<uint64_t>(ToMs(end)) - static_cast<uint64_t>(ToMs(start));
  if (span / static_cast<uint64_t>(step.count()) <= kMaxPointsPerSeries) return OkStatus();
  return InvalidArgument(
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
      "resolution (?step=XX)");
}

}  // namespace basalt::query
