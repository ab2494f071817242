// tests/engine/slo/outage.h -- plays an outage: samples into a store, an evaluator over it, and the
// oracle (oracle.h) asked after every round. No gtest: a mutant's run is a failure that is wanted.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/slo/evaluator.h"
#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/oracle.h"
#include "tests/engine/slo/played_store.h"
#include "tests/engine/slo/scenario.h"
#include "tests/support/temporary_directory.h"

namespace basalt::slo {

struct PlayOptions {
  std::string group_by;  // "" or "instance"
  // Above 0: the total alerts too. It is the group Play::kTotal, and kOther is what is beyond them.
  int max_groups = 0;
  bool compare = true;  // Judge asks the oracle; without it, what is published is all there is
  bool judge_every_round = false;
  std::string more = "";  // further keys of the SLO
  // Of an SLO with a calendar: when its budgets begin, known from elsewhere. What is played lies
  // between the first and the last.
  std::vector<int64_t> budget_begins = {};
  // By the play's clock, which outlives it. Empty: a store in memory.
  std::function<std::unique_ptr<PlayedStore>(const FakeClock&)> store = {};
};

class Play {
 public:
  static constexpr const char* kTotal = "*";
  static constexpr const char* kOther = "__other__";

  explicit Play(PlayOptions options);

  // As Scenario::Write: "errors a" is errors_total{job="shop",instance="a"}.
  void Write(const std::string& series, int64_t t_ms, double value, int64_t start_ms = 0);
  void Stale(const std::string& series, int64_t t_ms);
  void Delete(const std::string& series, int64_t from_ms, int64_t to_ms);
  void Forget(const std::string& series);  // it leaves memory

  void Sweep(int64_t now_ms);
  // The process ends and begins anew: a new evaluator over the same sink and what is stored.
  void Restart(int64_t now_ms);
  // (from, to] does not count any more, by the ledger; and does again. Whole minutes.
  void Exclude(int64_t from_ms, int64_t to_ms);
  void IncludeAgain();
  void StepWallClock(int64_t offset_ms) { clock_.StepWall(offset_ms); }
  // Sweeps until the round at `t_ms` of the group has settled, and compares.
  void Judge(int64_t t_ms, const std::string& group = "");
  // The oracle's part of Judge, for a round that settles together with a later one.
  void Pass(int64_t t_ms, const std::string& group = "");
  // Simulates all that is stored, with Quiet and without it, against the oracle in hindsight. Not
  // with groups.
  void CompareSimulation();
  // At the end: every episode that was published, against every one that should have been.
  void Finish();

  [[nodiscard]] bool agrees() const { return mismatch_.empty(); }
  [[nodiscard]] const std::string& mismatch() const { return mismatch_; }  // the first
  [[nodiscard]] size_t pages() const;  // distinct starts of pages that were published
  [[nodiscard]] size_t fired_publications() const;
  // Everything that was published, a line each.
  [[nodiscard]] std::string Published() const;

 private:
  // The names of the groups that a series counts in.
  std::vector<std::string> GroupsOf(const std::string& series);
  // The same series in the oracles of each of its groups.
  std::vector<oracle::Series*> TrueSeries(const std::string& series);
  [[nodiscard]] std::optional<GroupView> View(const std::string& group) const;
  void Differ(const std::string& what);
  void CompareAlerts(int64_t t_ms, const oracle::Oracle& truth, const GroupView& view);
  void CompareWindows(int64_t t_ms, const oracle::Oracle& truth, const GroupView& view);
  void CompareBudget(int64_t t_ms, const oracle::Oracle& truth, const BudgetView& budget);
  void StartEvaluator();
  [[nodiscard]] std::vector<Definition> Slo() const;
  void Must(const char* what, const Status& status);  // it is no outage if that fails

  const PlayOptions options_;
  std::set<std::string> own_groups_;  // the first max_groups_ that came
  const TemporaryDirectory directory_;
  FakeClock clock_;
  std::unique_ptr<PlayedStore> store_;
  RecordingSink sink_;
  std::map<std::string, oracle::Oracle> truths_;  // by value of group_by
  std::unique_ptr<Ledger> ledger_;
  std::vector<std::string> excluded_;
  std::unique_ptr<Evaluator> evaluator_;
  std::string mismatch_;
  int judged_ = 0;
};

struct OutageShape {
  const char* name;
  std::function<void(Play&)> play;
  int pages = -1;               // how many are expected; -1: whatever the oracle says
  bool publishes_once = false;  // a page is published as firing once, restarts or not
  // As of PlayOptions.
  std::string group_by;
  int max_groups = 0;
  std::string more = "";
  std::vector<int64_t> budget_begins = {};
};

// The whole list, quick ones first.
const std::vector<OutageShape>& OutageShapes();

// Plays a shape to its end or to its first disagreement, over a store in memory or, if given,
// another one. Empty: it agrees with the oracle.
std::string PlayOut(
    const OutageShape& shape,
    const std::function<std::unique_ptr<PlayedStore>(const FakeClock&)>& store = {});
// What it publishes, with Quiet (quiet.h) or without it.
std::string PublishedBy(const OutageShape& shape, bool judge_every_round);

}  // namespace basalt::slo
