// Scripts: our own, which must all pass, and the upstream ones where they are at hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "query/promql/parser.h"
#include "tests/query/script/script_runner.h"

namespace basalt::query::script {
namespace {

const std::filesystem::path kOwnScripts = "tests/query/testdata";
const std::filesystem::path kUpstreamScripts = "../shared/promqltest";

std::vector<std::filesystem::path> ScriptsIn(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".test") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Result<Report> RunOn(std::string_view script, uint32_t partitions,
                     const EngineOptions& options = {}) {
  const Engine engine(options);
  const std::unique_ptr<Target> target = MakeEngineTarget(engine, partitions);
  return RunScript(script, *target);
}

std::string Show(const Report& report) {
  std::ostringstream out;
  for (const Failure& failure : report.failures)
    out << "\n  line " << failure.line << ": " << failure.query << "\n    " << failure.what;
  return out.str();
}

class OwnScript : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(OwnScript, PassesForAnyNumberOfPartitionsAndWithEitherPlan) {
  const std::string script = ReadFile(GetParam());
  for (const uint32_t partitions : {1U, 4U}) {
    for (const bool push_down : {true, false}) {
      EngineOptions options;
      options.push_down = push_down;
      const Result<Report> report = RunOn(script, partitions, options);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_GT(report->evaluations, 0U);
      EXPECT_TRUE(report->failures.empty())
          << partitions << " partitions, push-down " << push_down << Show(*report);
    }
  }
}

std::string NameOf(const testing::TestParamInfo<std::filesystem::path>& info) {
  return info.param.stem().string();
}

INSTANTIATE_TEST_SUITE_P(Table, OwnScript, testing::ValuesIn(ScriptsIn(kOwnScripts)), NameOf);

// What the engine does not do yet, by script and line. An entry that passes is to be taken out: the
// test says so.
const std::set<std::string> kKnownFailures = {
    // Upstream's store compares a counter's histograms as they come in and hands out "not reset"
    // with them; here a
    // hint other than "gauge" is not kept, and none is made when a selector is read as it is.
    "native_histograms.test:1019",
    "native_histograms.test:1024",
    "range_queries.test:25",
};

TEST(UpstreamScripts, Pass) {
  if (!std::filesystem::is_directory(kUpstreamScripts))
    GTEST_SKIP() << kUpstreamScripts << " is not here";
  size_t evaluations = 0;
  size_t passed = 0;
  std::set<std::string> failed;
  for (const std::filesystem::path& path : ScriptsIn(kUpstreamScripts)) {
    const Result<Report> report = RunOn(ReadFile(path), 3);
    ASSERT_TRUE(report.ok()) << path << ": " << report.status().ToString();
    std::printf("%-32s %4zu of %4zu\n", path.filename().c_str(), report->passed(),
                report->evaluations);
    for (const Failure& failure : report->failures) {
      const std::string where = path.filename().string() + ":" + std::to_string(failure.line);
      failed.insert(where);
      EXPECT_TRUE(kKnownFailures.contains(where))
          << where << ": " << failure.query << "\n    " << failure.what;
    }
    evaluations += report->evaluations;
    passed += report->passed();
  }
  std::printf("%-32s %4zu of %4zu\n", "all", passed, evaluations);
  for (const std::string& where : kKnownFailures)
    if (!failed.contains(where))
      std::printf("%s passes now: take it out of kKnownFailures\n", where.c_str());
}

// What the parser lets through, the engine walks without running out of stack.
TEST(Engine, EvaluatesTheHighestTreeThatParses) {
  std::string query = "vector(1)";
  for (int i = 2; i < promql::kMaxDepth; ++i) query += "+1";
  const Result<Report> report = RunOn("eval instant at 0s " + query + "\n  {} 1023\n", 1);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_TRUE(report->failures.empty()) << Show(*report).substr(0, 300);
}

// The runner must be able to fail: each of these is wrong in one thing.
TEST(ScriptRunner, SeesWhatIsWrong) {
  const std::string load =
      "load 10s\n  a{x=\"1\"} 1 2 3\n  a{x=\"2\"} 4 5 6\n  h {{count:2 sum:3 buckets:[1 1]}}\n\n";
  const std::string_view wrong[] = {
      "eval instant at 10s a\n  a{x=\"1\"} 2\n  a{x=\"2\"} 5.0001\n",
      "eval instant at 10s a\n  a{x=\"1\"} 2\n",
      "eval instant at 10s a\n  a{x=\"1\"} 2\n  a{x=\"2\"} 5\n  a{x=\"3\"} 5\n",
      "eval instant at 10s a\n  b{x=\"1\"} 2\n  b{x=\"2\"} 5\n",
      "eval instant at 10s sort(a)\n  expect ordered\n  a{x=\"2\"} 5\n  a{x=\"1\"} 2\n",
      "eval instant at 10s a\n",
      "eval instant at 10s nope\n  {} 1\n",
      "eval instant at 10s 1 + 1\n  3\n",
      "eval instant at 10s 1 + 1\n",
      "eval instant at 10s vector(2)\n  2\n",
      "eval instant at 10s \"s\"\n  expect string \"t\"\n",
      "eval instant at 10s a +\n  expect no_warn\n",
      "eval instant at 10s 1\n  expect fail\n  1\n",
      "eval instant at 10s a +\n  expect fail msg: something else\n",
      "eval instant at 10s a +\n  expect fail regex: nothing like it\n",
      "eval instant at 10s rate(a[20s])\n  expect no_info\n  {x=\"1\"} 0.1\n  {x=\"2\"} 0.1\n",
      "eval instant at 10s quantile(2, a)\n  expect no_warn\n  {} Inf\n",
      "eval instant at 10s quantile(2, a)\n  expect warn msg: other words\n  {} Inf\n",
      "eval instant at 10s sum(a)\n  expect warn\n  {} 7\n",
      "eval instant at 0s h\n  h {{count:2 sum:3 buckets:[1 1.1]}}\n",
      "eval instant at 0s h\n  h {{count:2 sum:3 offset:1 buckets:[1 1]}}\n",
      "eval instant at 0s h\n  h {{count:2 sum:3 buckets:[1 1] counter_reset_hint:gauge}}\n",
      "eval instant at 0s h\n  h 2\n",
      "eval range from 0 to 20s step 10s a\n  a{x=\"1\"} 1 2 3\n  a{x=\"2\"} 4 5\n",
      "eval range from 0 to 20s step 10s a\n  a{x=\"1\"} 1 2 3\n  a{x=\"2\"} 4 _ 6\n",
      "eval range from 0 to 20s step 10s a\n  a{x=\"1\"} 1 2 3 4\n  a{x=\"2\"} 4 5 6\n",
      "eval range from 0 to 10s step 10s a\n  a{x=\"1\"} 1 2\n  a{x=\"2\"} 4 6\n",
      "eval instant at 20s a[20s]\n  expect range vector from 10s to 20s step 10s\n  a{x=\"1\"} 2 "
      "3\n  a{x=\"2\"} 5 7\n",
  };
  for (const std::string_view eval : wrong) {
    const Result<Report> report = RunOn(load + std::string(eval), 1);
    ASSERT_TRUE(report.ok()) << eval << report.status().ToString();
    EXPECT_EQ(report->failures.size(), 1U) << eval;
  }
}

TEST(ScriptRunner, SaysWhichLineItCannotRead) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"lode 5m", "line 1: unknown command \"lode 5m\""},
      {"\nload x", "line 2: not a valid duration string: \"x\""},
      {"load 5m\n  a 1+", "line 2: cannot read an increment at \"1+\""},
      {"load 5m\n  a 1+2", "line 2: an increment needs a repetition at \"1+2\""},
      {"load 5m\n  a 1x9999999999", "line 2: cannot read a repetition at \"1x9999999999\""},
      {"load 5m\n  a 1y", "line 2: expected a space behind a value at \"1y\""},
      {"load 5m\n  a{b!=\"c\"} 1",
       "line 2: a metric has labels, not matchers at \"a{b!=\\\"c\\\"}\""},
      {"load 5m\n  a {{sums:1}}", "line 2: cannot read a histogram's field at \"sums:1}}\""},
      {"load 5m\n  a@st -1m", "line 2: an @st line without samples"},
      {"load 5m\n  a@st -1m\n  a 1 2", "line 3: an @st line that does not fit its samples: a 1 2"},
      {"eval instant in 5m a", "line 1: expected \"at\""},
      {"eval range from 5m to 1m step 1m a", "line 1: the end is before the start"},
      {"eval instant at 5m a\n  a 1 2", "line 2: an instant has one value for each series: a 1 2"},
      {"eval instant at 5m a\n  expect luck", "line 2: unknown expectation \"luck\""},
      {"eval instant at 5m a\n  expect warn\n  expect no_warn",
       "line 3: annotations both expected and excluded"},
  };
  for (const auto& [script, message] : cases) {
    const Result<Report> report = RunOn(script, 1);
    ASSERT_FALSE(report.ok()) << script;
    EXPECT_EQ(report.status().message(), message) << script;
  }
}

}  // namespace
}  // namespace basalt::query::script
