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
#include "tests/engine/slo/scenario.h"

namespace basalt::slo {

class Play {
 public:
  static constexpr const char* kTotal = "*";
  static constexpr const char* kOther = "__other__";

  // `group_by` is "" or "instance". With `max_groups` above 0 the total alerts too: it is the group
  // kTotal here, and kOther is what is beyond them.
  // `compare`: Judge asks the oracle; without it, what is published is all there is to see.
  explicit Play(const std::string& group_by, int max_groups = 0, bool compare = true,
                bool judge_every_round = false);
  ~Play();

  // As Scenario::Write: "errors a" is errors_total{job="shop",instance="a"}.
  void Write(const std::string& series, int64_t t_ms, double value, int64_t start_ms = 0);
  void Stale(const std::string& series, int64_t t_ms);
  void Delete(const std::string& series, int64_t from_ms, int64_t to_ms);
  void Forget(const std::string& series);  // it leaves memory

  void Sweep(int64_t now_ms);
  // A new evaluator over the same store and sink.
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

  const std::string group_by_;
  const int max_groups_;
  const bool compare_;
  const bool judge_every_round_;
  std::set<std::string> own_groups_;  // the first max_groups_ that came
  FakeClock clock_;
  FakeStore store_;
  RecordingSink sink_;
  std::map<std::string, oracle::Oracle> truths_;  // by value of group_by
  const std::string directory_;
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
  std::string group_by;
  int max_groups = 0;  // as of Play
};

// The whole list, quick ones first.
const std::vector<OutageShape>& OutageShapes();

// Plays a shape to its end or to its first disagreement. Empty: it agrees with the oracle.
std::string PlayOut(const OutageShape& shape);
// What it publishes, with Quiet (quiet.h) or without it.
std::string PublishedBy(const OutageShape& shape, bool judge_every_round);

}  // namespace basalt::slo
