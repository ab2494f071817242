// engine/slo/polled_sli.h -- SLIs that are no sums of counters: PromQL asked at intervals.
//
// There are two ways. *By windows*, as sloth's recording rules do it: the query is asked once for
// each window, with {{.window}} replaced by its length, and means what it means at home. *By
// slices*, as OpenSLO's Timeslices, RatioTimeslices and thresholds are defined: the query is asked
// once for each slice of time, and what it says is booked there like an event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/slo/fraction.h"

namespace basalt::slo {

enum class Comparison : uint8_t { kLess, kLessOrEqual, kGreater, kGreaterOrEqual };
bool Compare(double value, Comparison op, double bound);  // false for NaN

struct PolledSli {
  enum class Kind : uint8_t {
    kEvents,     // `bad` and `total` are amounts of events
    kRatio,      // `bad` is the share of bad events
    kThreshold,  // `bad` is a value, good if `op` `bound` holds; by slices only
  };
  // What a slice adds to the budget.
  enum class SliceBudget : uint8_t {
    kEvents,  // its events (kRatio, kThreshold: its share of bad, of one)
    kTarget,  // one slice, bad unless `slice_target` of it is good
    kMean,    // one slice, bad to the share that is bad
  };
  Kind kind = Kind::kEvents;
  std::string bad;  // PromQL; {{.window}} stands for the window or the slice
  std::string total;
  Duration slice{0};  // 0: by windows
  SliceBudget slice_budget = SliceBudget::kEvents;
  Fraction slice_target{1, 1};
  Comparison op = Comparison::kLessOrEqual;
  double bound = 0;
  bool is_rate = false;  // events a second: times a window's length they are events
  std::string why;       // why it is not streamed

  [[nodiscard]] bool by_windows() const { return slice == Duration(0); }
  // Whether what several groups answer can be added up to an answer for all of them: events can,
  // and slices of time; ratios cannot without the events behind them.
  [[nodiscard]] bool adds_up() const {
    return kind != Kind::kRatio || (!by_windows() && slice_budget != SliceBudget::kEvents);
  }
};

// What its query cannot tell, for people who would look for it; `grouped`: by labels. In sentences.
std::vector<std::string> LimitationsOf(const PolledSli& sli, bool grouped);

// A ratio has no events; it is shown as this many of which `ratio` are bad.
inline constexpr int64_t kRatioScale = 1'000'000;

inline constexpr Duration kDefaultSlice = std::chrono::minutes(1);

// What a query says about itself. kInvalidArgument: it is no PromQL, or gives neither a vector nor
// a scalar.
struct PolledQuery {
  bool has_window = false;            // {{.window}} stands in it
  bool is_rate = false;               // per second
  std::vector<std::string> group_by;  // of the outermost aggregation: sorted, unique
};
Result<PolledQuery> ReadPolledQuery(std::string_view query);

// {{.window}}, however it is spaced, replaced by `window`.
std::string WithWindow(std::string_view query, Duration window);
bool HasWindow(std::string_view query);

// A query over plain counters or gauges, as OpenSLO's metrics are often written, as one over a
// window: each selector without a range becomes `increase(x[{{.window}}])` of a counter or
// `sum_over_time(x[{{.window}}])` of a gauge. Unchanged if {{.window}} stands in it already or it
// is not PromQL. `anchored`: windows next to each other count every increment exactly once.
std::string OverWindow(std::string_view query, bool is_counter, bool anchored);

}  // namespace basalt::slo
