// tests/query/script/script.h -- a PromQL test script as commands: load, clear, eval. The language
// is that of Prometheus' promqltest (its README describes it), the older eval_fail, eval_warn,
// eval_info and eval_ordered included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "tests/query/script/series_description.h"

namespace basalt::query::script {

struct LoadedSeries {
  Labels labels;
  std::vector<SequenceValue> values;
  std::vector<std::optional<int64_t>> start_offsets_ms;  // empty, or one for each value
};

struct Load {
  Duration interval{0};
  bool with_nhcb =
      false;  // classic histograms are loaded as native ones with custom buckets as well
  std::vector<LoadedSeries> series;
};

struct Clear {};

// How a message must look.
struct TextExpectation {
  enum class Kind : uint8_t { kAny, kExact, kRegex };
  Kind kind = Kind::kAny;
  std::string text;
};

struct ExpectedSeries {
  Labels labels;
  size_t position = 0;  // from 1, for ordered results
  std::vector<SequenceValue> values;
};

struct Eval {
  std::string query;
  bool range = false;
  Timestamp start{};  // of the values expected; an instant's time
  Timestamp end{};
  Duration step{0};
  bool ordered = false;
  bool range_vector = false;  // an instant query that gives a matrix
  bool no_warn = false;
  bool no_info = false;
  std::optional<TextExpectation> fail;
  std::vector<TextExpectation> warn;
  std::vector<TextExpectation> info;
  std::optional<std::string> string;
  std::optional<double> scalar;
  std::vector<ExpectedSeries> series;

  // When an instant query is evaluated.
  [[nodiscard]] Timestamp time() const { return range_vector ? end : start; }
};

struct Command {
  int line = 0;  // from 1
  std::variant<Load, Clear, Eval> what;
};

// kInvalidArgument: `line 12: ...`.
Result<std::vector<Command>> ParseScript(std::string_view text);

}  // namespace basalt::query::script
