// engine/slo/simulation.h -- what SLOs would have done over stored samples: the evaluator's own
// code, fed from history instead of the write path.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/slo/alert_state.h"
#include "engine/slo/definition.h"
#include "engine/slo/ledger.h"
#include "engine/slo/sample_store.h"
#include "engine/slo/sli_queries.h"

namespace basalt::slo {

// An outage laid over what was: of the good events of each round in [from_ms, to_ms), this share is
// bad. A round's share is rounded down to 2^-16 events. The slot that a window's beginning cuts is
// read from storage, which knows nothing of it: up to one slot after the outage leaves a window,
// its errors may count as none.
struct Injection {
  std::string slo;  // an id; empty: all
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  Fraction share{1, 1};  // in (0, 1]
};

struct SimulationOptions {
  int64_t from_ms = 0;  // rounds in (from_ms, to_ms] are judged; windows reach further back
  int64_t to_ms = 0;
  std::vector<Injection> injections;
  std::vector<Exclusion> exclusions = {};  // times that do not count, as the ledger has them
  bool judge_every_round = false;          // SloSetOptions'; for tests
};

struct SimulatedAlert {
  std::string slo;
  Labels group;
  Severity severity = Severity::kPage;
  int64_t starts_ms = 0;
  std::optional<int64_t> ends_ms;  // none: it still fires at the end
  // The total of its SLO, which has no group labels, fired when it started and until it was over:
  // nobody would have been told.
  bool held_back = false;
  std::string setting = {};  // its definition's: which variant of the SLO
};

struct SimulatedSlo {
  std::string id;
  size_t groups = 0;
  double bad = 0;  // over the period that ends at to_ms, all groups
  double total = 0;
  double budget = 0;  // bad events that the objective allows of these
  std::string setting = {};
};

struct SimulationReport {
  std::vector<SimulatedSlo> slos;
  std::vector<SimulatedAlert> alerts;  // by SLO, group and start
  uint64_t rounds = 0;                 // sample times, once for each target
  uint64_t storage_errors = 0;         // series that could not be read and are missing
  std::string last_storage_error;
};

// Reads `store` and publishes nothing. `queries` answers polled SLIs; null: they have no data.
// kInvalidArgument if from_ms is not before to_ms; kUnavailable if nothing can be read.
Result<SimulationReport> Simulate(std::vector<Definition> definitions, SampleStore& store,
                                  const SimulationOptions& options, SliQueries* queries = nullptr);

// ---- the numbers behind a decision ----

struct ExplainedWindow {
  Duration length{0};
  double bad = 0;
  double total = 0;
  std::optional<double> burn_rate;  // none without events
};
struct ExplainedCondition {
  Severity severity = Severity::kPage;
  ExplainedWindow in_short;
  ExplainedWindow in_long;
  std::string factor;
  std::string threshold;
  Truth holds = Truth::kNo;  // both windows; guards and `for` aside
};
struct ExplainedAlert {
  Severity severity = Severity::kPage;
  bool frozen = false;
  int64_t starts_ms = 0;
};
struct ExplainedGroup {
  Labels labels;
  bool is_total = false;
  int64_t as_of_ms = 0;  // its last round at or before the time asked for
  std::vector<ExplainedCondition> conditions;
  std::vector<ExplainedAlert> firing;
};

// What an SLO saw and decided at `at_ms`, from stored samples as they are now: late ones, deletes
// and exclusions that came since are in it. The start of an alert is exact if it is younger than
// kReplayMs.
Result<std::vector<ExplainedGroup>> Explain(const Definition& definition, SampleStore& store,
                                            int64_t at_ms, std::vector<Exclusion> exclusions,
                                            SliQueries* queries = nullptr);

}  // namespace basalt::slo
