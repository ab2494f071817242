#include "tests/query/store/query_generator.h"

namespace basalt::query {

std::string QueryGenerator::Selector() {
  static constexpr const char* kNames[] = {"c_total", "c_total", "g", "g", "h_bucket", "nh"};
  static constexpr const char* kMatchers[] = {"",
                                              "",
                                              "{instance=\"a\"}",
                                              "{instance=~\"[a-c]\"}",
                                              "{instance!=\"d\"}",
                                              "{k=\"1\"}",
                                              "{k!=\"2\"}",
                                              "{k=~\"1|3\"}",
                                              "{instance=~\".+\",k=\"\"}"};
  return std::string(OneOf(kNames)) + OneOf(kMatchers);
}

std::string QueryGenerator::Modifiers() {
  static constexpr const char* kModifiers[] = {
      "", "", "", "", " offset 5m", " offset -2m", " offset 17s", " @ end()", " @ 1700003600"};
  return OneOf(kModifiers);
}

std::string QueryGenerator::RangeCall() {
  static constexpr const char* kCalls[] = {"rate",
                                           "rate",
                                           "increase",
                                           "delta",
                                           "irate",
                                           "max_over_time",
                                           "min_over_time",
                                           "sum_over_time",
                                           "avg_over_time",
                                           "count_over_time",
                                           "last_over_time",
                                           "first_over_time",
                                           "present_over_time",
                                           "quantile_over_time(0.3, ",
                                           "stddev_over_time",
                                           "changes",
                                           "resets",
                                           "deriv",
                                           "absent_over_time",
                                           "quantile_over_time(1.5, ",
                                           "mad_over_time",
                                           "idelta",
                                           "stdvar_over_time",
                                           "ts_of_max_over_time",
                                           "ts_of_last_over_time"};
  static constexpr const char* kRanges[] = {"20s", "45s", "2m", "5m", "20m", "1h", "3h", "1d"};
  std::string call = OneOf(kCalls);
  if (call.back() != ' ') call += '(';
  if (Below(8) == 0) return call + Vector(1) + "[20m:1m])";
  return call + Selector() + "[" + OneOf(kRanges) + "]" + Modifiers() + ")";
}

std::string QueryGenerator::Aggregation(int depth) {
  static constexpr const char* kOps[] = {"sum",   "sum",   "avg",    "min",   "max",
                                         "count", "group", "stddev", "stdvar"};
  static constexpr const char* kSelections[] = {"topk(2, ", "bottomk(3, ", "quantile(0.4, ",
                                                "limitk(2, ", "count_values(\"v\", "};
  static constexpr const char* kGroupings[] = {"",
                                               "",
                                               " by (instance)",
                                               " by (k)",
                                               " without (k)",
                                               " by (instance, le)",
                                               " without (instance, le)"};
  const bool selects = Below(4) == 0;
  const std::string op = selects ? OneOf(kSelections) : OneOf(kOps) + std::string("(");
  return op + Vector(depth - 1) + ")" + OneOf(kGroupings);
}

std::string QueryGenerator::Binary(int depth) {
  static constexpr const char* kOps[] = {" + ",  " - ", " * ", " / ",     " > ",  " >= bool ",
                                         " == ", " % ", " ^ ", " atan2 ", " != ", " < bool "};
  static constexpr const char* kSets[] = {
      " and ",      " or ", " unless ", " and on (instance) ", " unless ignoring (k, le) ",
      " or on (k) "};
  static constexpr const char* kJoins[] = {"on (instance) group_left ",
                                           "on (instance) group_right ", "ignoring (k, le) ",
                                           "on (instance) group_left (job) "};
  static constexpr const char* kFolds[] = {"sum(rate(",
                                           "sum by (instance) (increase(",
                                           "max(max_over_time(",
                                           "avg without (k) (delta(",
                                           "sum(count_over_time(",
                                           "count(resets("};
  static constexpr const char* kWindows[] = {"[2m]", "[5m]", "[20m]", "[1h]", "[3h]"};
  const std::string lhs = Vector(depth - 1);
  switch (Below(8)) {
    case 7: {
      // One selector inside another, over the same windows: read together as well.
      std::string inner = Selector();
      std::string outer = inner;
      if (inner.back() == '}') {
        inner.insert(inner.size() - 1, ",k!=\"1\"");
      } else {
        inner += "{instance!=\"a\",k!=\"1\"}";
      }
      if (Below(4) == 0) std::swap(inner, outer);
      const std::string modifiers = Below(3) == 0 ? Modifiers() : "";
      const auto pair = [&] {
        const std::string fold = OneOf(kFolds);
        const std::string window = OneOf(kWindows) + modifiers + "))";
        return "(" + fold + inner + window + OneOf(kSets) + fold + outer + window + ")";
      };
      const std::string first = pair();
      return "(" + first + " or " + pair() + ")";
    }
    case 6: {
      // Several windows of one selector, which are read together.
      const std::string selector = Selector();
      const std::string modifiers = Below(3) == 0 ? Modifiers() : "";
      const auto window = [&] {
        return std::string(OneOf(kFolds)) + selector + OneOf(kWindows) + modifiers + "))";
      };
      std::string out = "(" + window() + OneOf(kOps) + "on () group_left " + window() + ")";
      return out + OneOf(kSets) + "(" + window() + ")";
    }
    case 0:
      return "(" + lhs + ")" + OneOf(kOps) + "2.5";
    case 1:
      return "(" + lhs + ")" + OneOf(kSets) + "(" + Vector(depth - 1) + ")";
    case 2:
      return "sum by (instance) (" + lhs + ")" + OneOf(kOps) + "on (instance) max by (instance) (" +
             Vector(depth - 1) + ")";
    case 3:
      return "(" + lhs + ")" + OneOf(kOps) + OneOf(kJoins) + "(" + Vector(depth - 1) + ")";
    case 4:
      return "time()" + std::string(OneOf(kOps)) + "(" + lhs + ")";
    default:
      return "(" + lhs + ") or vector(0)";
  }
}

std::string QueryGenerator::Histogram(int depth) {
  static constexpr const char* kFunctions[] = {
      "histogram_quantile(0.9, ", "histogram_quantile(-1, ", "histogram_fraction(0, 2, ",
      "histogram_count(",         "histogram_sum(",          "histogram_avg(",
      "histogram_stddev("};
  static constexpr const char* kOperands[] = {"sum by (le, instance) (rate(h_bucket[5m]))",
                                              "rate(nh[5m])",
                                              "sum(nh)",
                                              "h_bucket",
                                              "increase(nh[20m])",
                                              "avg by (job) (rate(nh[5m]))"};
  const std::string function = OneOf(kFunctions);
  return function + (Below(3) == 0 ? Vector(depth - 1) : std::string(OneOf(kOperands))) + ")";
}

std::string QueryGenerator::Subquery(int depth) {
  static constexpr const char* kCalls[] = {
      "max_over_time",    "rate",    "count_over_time",         "last_over_time", "sum_over_time",
      "absent_over_time", "changes", "quantile_over_time(0.7, "};
  static constexpr const char* kRanges[] = {"[10m:1m]", "[5m:17s]", "[1h:5m]", "[30s:1m]"};
  std::string call = OneOf(kCalls);
  if (call.back() != ' ') call += '(';
  call += "(" + Vector(depth - 1) + ")";
  call += OneOf(kRanges);
  return call + Modifiers() + ")";
}

std::string QueryGenerator::Function(int depth) {
  static constexpr const char* kFunctions[] = {
      "abs(",  "sqrt(",      "timestamp(",     "-(",     "(",          "absent(",
      "sort(", "sort_desc(", "vector(scalar(", "round(", "clamp_min(", "label_replace(",
      "hour(", "sgn(",       "label_join("};
  const std::string function = OneOf(kFunctions);
  const std::string operand = Vector(depth - 1);
  if (function == "vector(scalar(") return function + operand + "))";
  if (function == "clamp_min(") return function + operand + ", 3)";
  if (function == "label_replace(")
    return function + operand + R"(, "k", "x$1", "instance", "([ab]).*"))";
  if (function == "label_join(") return function + operand + R"(, "m", "-", "k", "instance"))";
  return function + operand + ")";
}

std::string QueryGenerator::Vector(int depth) {
  if (depth <= 0) return Selector() + Modifiers();
  switch (Below(10)) {
    case 0:
      return Selector() + Modifiers();
    case 1:
    case 2:
    case 3:
      return RangeCall();
    case 4:
    case 5:
      return Aggregation(depth);
    case 6:
      return Binary(depth);
    case 7:
      return Histogram(depth);
    case 8:
      return Subquery(depth);
    default:
      return Function(depth);
  }
}

}  // namespace basalt::query
