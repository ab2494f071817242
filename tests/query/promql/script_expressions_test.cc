// Every expression of the upstream scripts parses, unless the script says that it must not. The
// scripts are not part of this repository: the test skips where they are absent.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "query/promql/parser.h"
#include "query/promql/printer.h"
#include "tests/query/promql/dump.h"

namespace basalt::promql {
namespace {

const std::filesystem::path kScripts = "../shared/promqltest";

struct Evaluation {
  std::string where;  // file:line
  std::string query;
  bool may_fail = false;  // the script expects an error, be it from the parser or from the engine
};

// `eval [_fail|_warn|_ordered|_info] instant at T QUERY` and `eval range from T to T step D QUERY`,
// with the `expect fail` lines below it.
std::vector<Evaluation> EvaluationsIn(const std::filesystem::path& path) {
  static const std::regex kEval(
      R"(^\s*eval(_\w+)?\s+(?:instant(?:\s+at\s+\S+)?|range\s+from\s+\S+\s+to\s+\S+\s+step\s+\S+)\s+(.*)$)");
  static const std::regex kExpectFail(R"(^\s*expect\s+fail\b.*$)");
  std::vector<Evaluation> evaluations;
  std::ifstream in(path);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::smatch match;
    if (std::regex_match(line, match, kEval)) {
      evaluations.push_back(
          {path.filename().string() + ":" + std::to_string(number), match[2], match[1] == "_fail"});
    } else if (!evaluations.empty() && std::regex_match(line, kExpectFail)) {
      evaluations.back().may_fail = true;
    }
  }
  return evaluations;
}

TEST(ScriptExpressions, AllParseAndPrintUnlessTheyMustFail) {
  if (!std::filesystem::is_directory(kScripts)) GTEST_SKIP() << kScripts << " is not here";
  size_t parsed = 0;
  size_t refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kScripts)) {
    if (entry.path().extension() != ".test") continue;
    const std::vector<Evaluation> evaluations = EvaluationsIn(entry.path());
    EXPECT_FALSE(evaluations.empty()) << entry.path();
    for (const Evaluation& evaluation : evaluations) {
      const Result<ExprPtr> expr = ParseExpr(evaluation.query);
      if (!expr.ok()) {
        ++refused;
        EXPECT_TRUE(evaluation.may_fail) << evaluation.where << ": " << evaluation.query << "\n"
                                         << expr.status().ToString();
        continue;
      }
      ++parsed;
      const std::string printed = ToString(**expr);
      const Result<ExprPtr> again = ParseExpr(printed);
      // `info(a, {})` prints as `info(a, )`, upstream as well.
      if (!again.ok() && printed.find(", )") != std::string::npos) continue;
      ASSERT_TRUE(again.ok()) << evaluation.where << ": " << printed << "\n"
                              << again.status().ToString();
      EXPECT_EQ(ToString(**again), printed) << evaluation.where;
    }
  }
  EXPECT_GT(parsed, 1000U);
  std::printf("%zu expressions parsed, %zu refused as the scripts expect\n", parsed, refused);
}

}  // namespace
}  // namespace basalt::promql
