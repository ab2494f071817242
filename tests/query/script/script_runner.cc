#include "tests/query/script/script_runner.h"

#include <chrono>
#include <utility>

#include "query/promql/parser.h"
#include "tests/query/script/compare.h"
#include "tests/query/script/pin.h"

namespace basalt::query::script {
namespace {

// The failure of an evaluation, or nothing, if it is what the script expects.
std::string CompareFailure(const Eval& eval, const Status& status) {
  if (status.ok()) return eval.fail ? "expected an error, got none" : "";
  if (!eval.fail) return "failed: " + std::string(status.message());
  if (Matches(*eval.fail, status.message())) return {};
  return "failed with \"" + std::string(status.message()) + "\", expected \"" + eval.fail->text +
         "\"";
}

std::string Compare(const Eval& eval, const Result<Evaluation>& answer) {
  const Status status = answer.ok() ? OkStatus() : answer.status();
  if (std::string difference = CompareFailure(eval, status); !difference.empty() || !answer.ok())
    return difference;
  std::string difference = CompareMessages("warning", eval.warn, eval.no_warn, answer->warnings);
  if (difference.empty())
    difference = CompareMessages("info", eval.info, eval.no_info, answer->infos);
  if (difference.empty()) difference = CompareValue(eval, answer->value);
  return difference;
}

// The values of a range result at one time, as an instant query would give them.
Value AtTime(const Matrix& matrix, int64_t time_ms, bool scalar) {
  Vector vector;
  for (const Series& series : matrix) {
    for (const FloatPoint& point : series.floats)
      if (point.time_ms == time_ms)
        vector.push_back({series.labels, time_ms, point.value, nullptr});
    for (const auto& point : series.histograms)
      if (point.time_ms == time_ms) vector.push_back({series.labels, time_ms, 0, point.histogram});
  }
  if (scalar && vector.size() == 1) return Scalar{time_ms, vector[0].value};
  return vector;
}

bool DependsOnTheQuery(std::string_view query) {
  for (const std::string_view call : {"start()", "end()", "range()", "step()"})
    if (query.find(call) != std::string_view::npos) return true;
  return false;
}

class Runner {
 public:
  explicit Runner(Target& target) : target_(target) {}

  std::string Run(const Eval& eval) {
    if (eval.range)
      return Compare(eval, target_.Range(eval.query, eval.start, eval.end, eval.step));
    std::string difference = RunInstant(eval, eval.query, eval.time());
    if (!difference.empty()) return difference;
    const Result<promql::ExprPtr> expr = promql::ParseExpr(eval.query);
    if (!expr.ok()) return {};  // as the script expects, or RunInstant would have said so
    const std::optional<std::string> pinned = PinSelectors(*expr, eval.time());
    if (!pinned) return {};
    const int64_t ms = ToMs(eval.time());
    std::vector<int64_t> times = {-10 * ms, 0, ms / 5, ms, 10 * ms};
    if (ms == 0) times = {-1000, 0, 1000};
    for (const int64_t time_ms : times) {
      difference = RunInstant(eval, *pinned, FromMs(time_ms));
      if (!difference.empty())
        return *pinned + " at " + std::to_string(time_ms) + " ms: " + difference;
    }
    return {};
  }

 private:
  std::string RunInstant(const Eval& eval, std::string_view query, Timestamp time) {
    const Result<Evaluation> answer = target_.Instant(query, time);
    std::string difference = Compare(eval, answer);
    const bool repeat = answer.ok() && !eval.range_vector && !eval.string && !eval.ordered &&
                        !DependsOnTheQuery(query);
    if (!difference.empty() || !repeat) return difference;
    constexpr Duration kStep = std::chrono::minutes(1);
    const Result<Evaluation> range = target_.Range(query, time - kStep, time + kStep, kStep);
    if (!range.ok()) return "failed in range mode: " + std::string(range.status().message());
    const auto* const matrix = std::get_if<Matrix>(&range->value);
    if (matrix == nullptr) return "a range query gave no matrix";
    const bool scalar = std::holds_alternative<Scalar>(answer->value);
    difference = CompareValue(eval, AtTime(*matrix, ToMs(time), scalar));
    return difference.empty() ? "" : "in range mode: " + difference;
  }

  Target& target_;
};

}  // namespace

Result<Report> RunScript(std::string_view text, Target& target) {
  BASALT_TRY_ASSIGN(const std::vector<Command> commands, ParseScript(text));
  Report report;
  Runner runner(target);
  target.Clear();
  for (const Command& command : commands) {
    if (std::holds_alternative<Clear>(command.what)) target.Clear();
    if (const auto* const load = std::get_if<Load>(&command.what)) {
      if (const Status status = target.Add(*load); !status.ok())
        return status.WithContext("line " + std::to_string(command.line));
    }
    if (const auto* const eval = std::get_if<Eval>(&command.what)) {
      ++report.evaluations;
      std::string difference = runner.Run(*eval);
      if (!difference.empty())
        report.failures.push_back({command.line, eval->query, std::move(difference)});
    }
  }
  return report;
}

}  // namespace basalt::query::script
