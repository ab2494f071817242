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
                                           "mad_over_time"};
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
  static constexpr const char* kOps[] = {" + ", " - ", " * ", " / ", " > ", " >= bool ", " == "};
  static constexpr const char* kSets[] = {" and ", " or ", " unless "};
  const std::string lhs = Vector(depth - 1);
  switch (Below(4)) {
    case 0:
      return lhs + OneOf(kOps) + "2.5";
    case 1:
      return "(" + lhs + ")" + OneOf(kSets) + "(" + Vector(depth - 1) + ")";
    case 2:
      return "sum by (instance) (" + lhs + ")" + OneOf(kOps) + "on (instance) max by (instance) (" +
             Vector(depth - 1) + ")";
    default:
      return "(" + lhs + ") or vector(0)";
  }
}

std::string QueryGenerator::Function(int depth) {
  static constexpr const char* kFunctions[] = {"abs(", "sqrt(", "timestamp(", "-(", "(", "absent("};
  if (Below(3) == 0) return "histogram_quantile(0.9, sum by (le, instance) (rate(h_bucket[5m])))";
  return OneOf(kFunctions) + Vector(depth - 1) + ")";
}

std::string QueryGenerator::Vector(int depth) {
  if (depth <= 0) return Selector() + Modifiers();
  switch (Below(8)) {
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
    default:
      return Function(depth);
  }
}

}  // namespace basalt::query
