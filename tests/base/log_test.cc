#include "engine/base/log.h"

#include <gtest/gtest.h>

#include <cmath>

namespace basalt::log {
namespace {

TEST(Log, WritesLogfmtWithQuotesOnlyWhereNeeded) {
  EXPECT_EQ(
      Render(Format::kLogfmt, "T", Level::kWarn, "seal failed",
             {{"partition", 3}, {"error", "no \"space\""}, {"file", "a.log"}, {"empty", ""}}),
      R"(ts=T level=warn msg="seal failed" partition=3 error="no \"space\"" file=a.log empty="")");
}

TEST(Log, WritesJsonWithBareNumbers) {
  EXPECT_EQ(Render(Format::kJson, "T", Level::kInfo, "ok",
                   {{"n", 1.5}, {"on", true}, {"nan", std::nan("")}, {"s", "a\nb"}}),
            R"({"ts":"T","level":"info","msg":"ok","n":1.5,"on":true,"nan":"nan","s":"a\nb"})");
}

TEST(Log, NamesWhatItKnows) {
  EXPECT_EQ(ParseLevel("warn").value(), Level::kWarn);
  EXPECT_EQ(ParseFormat("xml").status().message(), "log format: \"xml\" is none of logfmt, json");
}

}  // namespace
}  // namespace basalt::log
