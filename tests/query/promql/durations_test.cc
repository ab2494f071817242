#include "query/promql/durations.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "query/promql/parser.h"
#include "query/promql/printer.h"
#include "tests/query/promql/dump.h"

namespace basalt::promql {
namespace {

using std::chrono::milliseconds;

struct TextCase {
  std::string_view text;
  int64_t ms;
};

TEST(ParseDuration, ReadsUnitsFromLargeToSmall) {
  const TextCase cases[] = {
      {"0", 0},
      {"0s", 0},
      {"1ms", 1},
      {"3s", 3000},
      {"5m", 300000},
      {"1h", 3600000},
      {"4d", 345600000},
      {"4d1h", 349200000},
      {"3w", 1814400000},
      {"10y", 315360000000},
      {"1y2w3d4h5m6s7ms", 33019506007},
      {"292y24w3d", 292 * 31536000000 + 24 * 604800000LL + 3 * 86400000LL},
  };
  for (const TextCase& c : cases) {
    const Result<Duration> duration = ParseDuration(c.text);
    ASSERT_TRUE(duration.ok()) << c.text << ": " << duration.status().ToString();
    EXPECT_EQ(duration->count(), c.ms) << c.text;
  }
}

TEST(ParseDuration, SaysWhatIsWrong) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "empty duration string"},
      {"1", "not a valid duration string: \"1\""},
      {"m", "not a valid duration string: \"m\""},
      {"1.5h", "unknown unit \".\" in duration \"1.5h\""},
      {"-1w", "not a valid duration string: \"-1w\""},
      {"1d1d", "not a valid duration string: \"1d1d\""},
      {"1s1m", "not a valid duration string: \"1s1m\""},
      {"1hs", "unknown unit \"hs\" in duration \"1hs\""},
      {"99999999999999999999s", "not a valid duration string: \"99999999999999999999s\""},
      {"293y", "duration out of range"},
      {"292y99w", "duration out of range"},
  };
  for (const auto& [text, message] : cases) {
    const Result<Duration> duration = ParseDuration(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_EQ(duration.status().message(), message);
    EXPECT_EQ(duration.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(FormatDuration, UsesYearsAndWeeksOnlyIfNothingIsLeftOver) {
  const TextCase cases[] = {
      {"0s", 0},          {"324ms", 324},      {"3s", 3000},          {"5m", 300000},
      {"1h", 3600000},    {"4d", 345600000},   {"4d1h", 349200000},   {"8d", 691200000},
      {"3w", 1814400000}, {"1y", 31536000000}, {"366d", 31622400000},
  };
  for (const TextCase& c : cases) EXPECT_EQ(FormatDuration(milliseconds(c.ms)), c.text);
  EXPECT_EQ(FormatDuration(milliseconds(-90000)), "-1m30s");
  EXPECT_EQ(FormatDuration(Nanoseconds(1999999)), "1ms");  // fractions are cut
  EXPECT_EQ(FormatDuration(Nanoseconds(999999)), "0s");
}

RC_GTEST_PROP(Durations, ParsingInvertsFormatting, ()) {
  const auto ms = *rc::gen::inRange<int64_t>(0, 9223372036854);
  const Result<Duration> parsed = ParseDuration(FormatDuration(milliseconds(ms)));
  RC_ASSERT(parsed.ok());
  RC_ASSERT(parsed->count() == ms);
}

Result<ExprPtr> Resolve(std::string_view query, const DurationContext& context) {
  BASALT_TRY_ASSIGN(const ExprPtr expr, ParseExpr(query));
  return ResolveDurations(expr, context);
}

TEST(ResolveDurations, ComputesWithStepAndRange) {
  const DurationContext context{milliseconds(15000), milliseconds(3600000)};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a[5m]", "a[5m]"},
      {"a[2*5m]", "a[10m]"},
      {"a[1h-30m+5]", "a[30m5s]"},
      {"a[2^3]", "a[8s]"},
      {"a[7%4]", "a[3s]"},
      {"a[1m/4]", "a[15s]"},
      {"a[4*step()]", "a[1m]"},
      {"a[range()]", "a[1h]"},
      {"a[max_of(step(),20s)]", "a[20s]"},
      {"a[min_of(step(),20s)]", "a[15s]"},
      {"a[-(-(5m))]", "a[5m]"},
      {"a offset -step()", "a offset -15s"},
      {"a offset (1m-2m)", "a offset -1m"},
      {"a[0.0015*1]", "a[1ms]"},  // cut to whole milliseconds
      {"(sum(rate(a[2*1m])) + -b offset (2s))[1h/2:step()] offset (step())",
       "(sum(rate(a[2m])) + -b offset 2s)[30m:15s] offset 15s"},
      {"topk(scalar(a offset (5)), b)", "topk(scalar(a offset 5s), b)"},
  };
  for (const auto& [query, resolved] : cases) {
    const Result<ExprPtr> expr = Resolve(query, context);
    ASSERT_TRUE(expr.ok()) << query << ": " << expr.status().ToString();
    EXPECT_EQ(ToString(**expr), resolved) << query;
  }
}

TEST(ResolveDurations, SharesWhatHasNothingToResolve) {
  const ExprPtr expr = *ParseExpr("sum(rate(a[5m])) + b offset (1m)");
  const Result<ExprPtr> resolved = ResolveDurations(expr, {});
  ASSERT_TRUE(resolved.ok());
  EXPECT_NE(*resolved, expr);
  EXPECT_EQ((*resolved)->As<Binary>()->lhs, expr->As<Binary>()->lhs);
  const ExprPtr plain =
      *ParseExpr("-max_over_time((sum by (x) (a) + topk(2, rate(b[5m:] @ 5) or vector(1)))[5m:])");
  EXPECT_EQ(*ResolveDurations(plain, {}), plain);
}

TEST(ResolveDurations, RefusesWhatIsNoDuration) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a[step()]", "2:8: duration must be greater than 0"},  // an instant query has no step
      {"a[5m-10m]", "2:8: duration must be greater than 0"},
      {"a[1/(step())]", "2:11: division by zero"},
      {"a[1%(step())]", "2:11: modulo by zero"},
      {"a[0^(-1)]", "2:7: duration is NaN or infinite"},
      {"a[10^10]", "2:7: duration is out of range"},
      {"a[5m:5m-5m]", "5:10: duration must be greater than 0"},
      {"a offset (10^10)", "10:15: duration is out of range"},
  };
  for (const auto& [query, message] : cases) {
    const Result<ExprPtr> expr = Resolve(query, {});
    ASSERT_FALSE(expr.ok()) << query;
    EXPECT_EQ(expr.status().message(), message) << query;
  }
}

}  // namespace
}  // namespace basalt::promql
