// tests/engine/slo/world.h -- an evaluator over a store in memory, with queries and a clock.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/slo_files.h"
#include "query/engine.h"
#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/scenario.h"
#include "tests/support/temporary_directory.h"

namespace basalt::slo {

inline constexpr int64_t kScrape = 15'000;
inline constexpr int64_t kBegin = 1'700'000'010'000;  // a multiple of 30 s

// Of the SLOs in a text. A step asks what is due of polled SLIs and sweeps.
class World {
 public:
  explicit World(const std::string& text, int64_t now_ms = kBegin) : clock(now_ms), text_(text) {
    Restart(now_ms);
  }
  std::vector<Definition> Definitions() const {
    CheckedSlos checked = CheckSloText(text_, "slo.yml");
    for (const Problem& problem : checked.problems) {
      if (problem.is_error) ADD_FAILURE() << ToString(problem);
    }
    return checked.definitions;
  }
  void Restart(int64_t now_ms) {
    clock.Set(now_ms);
    EvaluatorOptions options;
    options.clock = &clock;
    options.queries = &queries;
    options.ledger = ledger;
    evaluator.reset();
    evaluator = std::make_unique<Evaluator>(store, sink, options);
    EXPECT_TRUE(evaluator->SetDefinitions(Definitions()).ok());
  }
  void Step(int64_t now_ms) {
    clock.Set(now_ms);
    evaluator->Poll();
    EXPECT_TRUE(evaluator->Sweep().ok());
  }
  GroupView Group(const std::string& id) {
    const auto slo = evaluator->Slo(kDefaultTenant, id);
    if (!slo.has_value() || slo->groups.empty()) return {};
    return slo->groups[0];
  }
  SeverityView Page(const std::string& id) {
    const GroupView group = Group(id);
    return group.severities.empty() ? SeverityView{} : group.severities[0];
  }

  FakeClock clock;
  FakeStore store;
  query::Engine engine{query::EngineOptions{}};
  EngineQueries queries{engine, store};
  RecordingSink sink;
  TemporaryDirectory directory;
  const Ledger* ledger = nullptr;
  std::unique_ptr<Evaluator> evaluator;

 private:
  const std::string text_;
};

}  // namespace basalt::slo
