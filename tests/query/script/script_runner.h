// tests/query/script/script_runner.h -- runs a script against whatever evaluates PromQL, and says
// where it was wrong.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "query/engine.h"
#include "query/value.h"
#include "tests/query/script/script.h"

namespace basalt::query::script {

struct Evaluation {
  Value value;
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

// What a script is run against: the engine over memory here; a server or another evaluator would do
// as well. One thread.
class Target {
 public:
  virtual ~Target() = default;
  virtual void Clear() = 0;
  // Adds to what is loaded.
  virtual Status Add(const Load& load) = 0;
  virtual Result<Evaluation> Instant(std::string_view query, Timestamp time) = 0;
  virtual Result<Evaluation> Range(std::string_view query, Timestamp start, Timestamp end,
                                   Duration step) = 0;
};

// `engine` over series in memory, spread over `partitions`. Borrows the engine.
std::unique_ptr<Target> MakeEngineTarget(const Engine& engine, uint32_t partitions);

struct Failure {
  int line = 0;
  std::string query;
  std::string what;
};

struct Report {
  size_t evaluations = 0;
  std::vector<Failure> failures;
  [[nodiscard]] size_t passed() const { return evaluations - failures.size(); }
};

// Runs all commands, whatever fails on the way. As upstream does, an instant query is repeated as
// the middle of a range query, and with every selector pinned by @ at other times, and must give
// the same. kInvalidArgument if the script cannot be read.
Result<Report> RunScript(std::string_view text, Target& target);

}  // namespace basalt::query::script
