// engine/slo/evaluator.h -- runs SLOs: the narrow face of this folder.
//
// Give it definitions; it taps the store's write path, reads their history, and from then on
// decides every 100 ms, publishing what fires and resolves to a notify::AlertSink. Nobody in the
// write path waits for it.
//
//   slo::StoreSamples samples(*store);
//   slo::Evaluator slos(samples, outbox, {});
//   BASALT_TRY(slos.SetDefinitions(std::move(definitions)));
//   slos.Start();
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/notify/alert.h"
#include "engine/slo/definition.h"
#include "engine/slo/ledger.h"
#include "engine/slo/message.h"
#include "engine/slo/poller.h"
#include "engine/slo/sample_store.h"
#include "engine/slo/sli_queries.h"
#include "engine/slo/slo_limits.h"
#include "engine/slo/slo_set.h"
#include "engine/slo/view.h"

namespace basalt::slo {

struct EvaluatorOptions {
  const Clock* clock = &SystemClock();
  std::chrono::nanoseconds settle_timeout = kSettleTimeout;
  std::chrono::nanoseconds sweep_interval = std::chrono::milliseconds(100);
  // Basalt's own address, for links in alerts; may be empty.
  std::string external_url;
  size_t max_queued = kMaxQueued;  // taps.h
  size_t max_slos = kMaxSlos;      // slo_limits.h
  size_t max_groups = kMaxGroups;  // likewise
  size_t max_leaves = kMaxLeavesPerSlo;
  bool judge_every_round = false;  // SloSetOptions'; for tests
  // Times that do not count; borrowed. Null: all of them do.
  const Ledger* ledger = nullptr;
  // Answers the queries of polled SLIs; borrowed. Null: they have no data, and say so.
  SliQueries* queries = nullptr;
};

struct SloProblem {
  TenantId tenant = kDefaultTenant;
  std::string id;
  std::string problem;  // which limit, how many, and what to do
};

// Since construction, and gauges of now; for /metrics.
struct EvaluatorStats {
  uint64_t slos = 0;
  uint64_t groups = 0;
  uint64_t firing = 0;
  uint64_t sweeps = 0;
  uint64_t sweep_ns = 0;  // sum
  uint64_t last_sweep_ns = 0;
  uint64_t slowest_sweep_ns = 0;
  uint64_t transitions = 0;
  uint64_t publish_errors = 0;
  uint64_t loads = 0;
  uint64_t load_ns = 0;  // of the last one
  uint64_t bytes_per_group = 0;
  // Slots recomputed from stored samples; those that could not be, and those that differed.
  uint64_t audited_slots = 0;
  uint64_t audit_skipped = 0;
  uint64_t audit_mismatches = 0;
  std::string audit_last_mismatch;
  std::vector<SloProblem> problems;  // SLOs that are not evaluated, or not over all their series
  SweepStats sweep;                  // of the current load
};

inline constexpr std::chrono::milliseconds kViewBudget{100};

// How often a sweep audits one slot.
inline constexpr std::chrono::seconds kAuditEvery{10};

// Groups of one SLO that a view shows if the caller does not say otherwise.
inline constexpr size_t kDefaultGroupsShown = 100;

// Thread-safe.
class Evaluator {
 public:
  // `store` and `sink` must outlive it.
  Evaluator(SampleStore& store, notify::AlertSink& sink, EvaluatorOptions options);
  ~Evaluator();  // stops and detaches from the store
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Replaces all definitions: reads their history from the store and decides where they stand.
  // Alerts that the sink says are firing keep their identity and their start; those of SLOs that
  // are gone are resolved. Blocks while history is read; samples that arrive meanwhile wait.
  // kUnavailable, kResourceExhausted: it could not be read now; the next sweeps try again.
  // kInvalidArgument: more than run together (slo_limits.h); names the first one beyond, and the
  // definitions of before go on.
  Status SetDefinitions(std::vector<Definition> definitions) BASALT_EXCLUDES(mu_);

  // Sweeps in a thread of its own until Stop() or destruction, and asks the queries of polled SLIs
  // in another. Idempotent.
  void Start() BASALT_EXCLUDES(thread_mu_);
  void Stop() BASALT_EXCLUDES(thread_mu_);
  // One sweep on the calling thread: what the thread does, for tests and simulations.
  Status Sweep() BASALT_EXCLUDES(mu_);
  // Asks what is due of polled SLIs, on the calling thread; the next sweep decides.
  void Poll() BASALT_EXCLUDES(mu_);

  // Copies. `max_groups` bounds the groups of each SLO that are shown, firing ones first. Windows
  // are exact as long as reading their edges back takes no longer than kViewBudget in all; the rest
  // is estimated and says so (WindowView::exact), because sweeps wait meanwhile.
  [[nodiscard]] std::vector<SloView> Slos(TenantId tenant, size_t max_groups = kDefaultGroupsShown)
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::optional<SloView> Slo(TenantId tenant, std::string_view id,
                                           size_t max_groups = kDefaultGroupsShown)
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::vector<SloAlertRule> AlertRules(TenantId tenant) BASALT_EXCLUDES(mu_);
  // How the budget of each group went since its period began, or since `from`; nothing if there is
  // no such SLO.
  [[nodiscard]] std::optional<std::vector<BudgetHistoryView>> BudgetHistory(
      TenantId tenant, std::string_view id, std::optional<Timestamp> from,
      size_t max_groups = kDefaultGroupsShown) BASALT_EXCLUDES(mu_);
  // For event counters (event_counters.h), evaluator_counters.cc. The groups that have data and
  // count events, at most `max_groups` of an SLO in order of their labels; never a total, which is
  // their sum. What has changed is told once.
  [[nodiscard]] std::vector<CountedSlo> TakeCounted(TenantId tenant, size_t max_groups)
      BASALT_EXCLUDES(mu_);
  // One answer a request, in order; none at all if the SLO or one of the groups is gone.
  [[nodiscard]] std::vector<CountedSince> CountSince(TenantId tenant, std::string_view id,
                                                     std::span<const CountRequest> requests) const
      BASALT_EXCLUDES(mu_);
  // Recomputes that many random slots from stored samples now; Stats() tells what came of it. A
  // slot that differs is looked at once more after the next sweep before it counts.
  void Audit(size_t slots) BASALT_EXCLUDES(mu_);
  // The definition of that id, as it is evaluated.
  [[nodiscard]] std::optional<Definition> DefinitionOf(TenantId tenant, std::string_view id) const
      BASALT_EXCLUDES(mu_);
  // The ledger has changed: what is excluded takes effect with each group's next round.
  void ReadLedger() BASALT_EXCLUDES(mu_);
  [[nodiscard]] EvaluatorStats Stats() const BASALT_EXCLUDES(mu_);

 private:
  Status Load() BASALT_REQUIRES(mu_);
  void Publish(const std::vector<Transition>& transitions) BASALT_REQUIRES(mu_);
  // evaluator_groups.cc: what groups, their total and __other__ say to each other.
  // True: nobody is to hear of it, because the total of its SLO fires.
  bool HoldBack(const Transition& transition) BASALT_REQUIRES(mu_);
  // Its groups' alerts that were held back, to be sent now that their total fires no longer.
  void LetGo(const Transition& total, std::vector<notify::Alert>& alerts) BASALT_REQUIRES(mu_);
  [[nodiscard]] bool IsHeldBack(GroupIndex g, Severity severity) const BASALT_REQUIRES(mu_);
  // "region=eu: 52 % (104 of 200); ...": the groups with most errors in the condition's short
  // window. Empty for what is no total.
  std::string WorstGroups(GroupIndex g, const AlertNumbers& numbers) BASALT_REQUIRES(mu_);
  // Logs each problem of an SLO once a load.
  void TellProblems() BASALT_REQUIRES(mu_);
  // Tickets of SLOs with more groups than their max_groups.
  void WatchGroupCounts(const std::vector<notify::Alert>& firing) BASALT_REQUIRES(mu_);
  void ResolveOrphans(const std::vector<notify::Alert>& before) BASALT_REQUIRES(mu_);
  void Send(std::vector<notify::Alert> alerts) BASALT_REQUIRES(mu_);
  // evaluator_audit.cc
  void AuditSlots(size_t slots) BASALT_REQUIRES(mu_);
  void AuditSlot(const SlotName& name, bool is_suspect) BASALT_REQUIRES(mu_);
  // evaluator_absence.cc
  void WatchForAbsence() BASALT_REQUIRES(mu_);
  void RememberAbsence(const std::vector<notify::Alert>& firing) BASALT_REQUIRES(mu_);
  notify::Alert AlertOf(GroupIndex g, Severity severity, const AlertState& state)
      BASALT_REQUIRES(mu_);
  AlertNumbers NumbersOf(GroupIndex g, Severity severity) BASALT_REQUIRES(mu_);
  SloView ViewOf(SloIndex slo, size_t max_groups, std::chrono::nanoseconds until)
      BASALT_REQUIRES(mu_);
  GroupView ViewOfGroup(GroupIndex g, std::chrono::nanoseconds until) BASALT_REQUIRES(mu_);
  SeverityView ViewOfSeverity(GroupIndex g, Severity severity) BASALT_REQUIRES(mu_);
  BudgetView BudgetOf(GroupIndex g, bool exactly) BASALT_REQUIRES(mu_);
  BudgetHistoryView HistoryOf(GroupIndex g, std::optional<Timestamp> from) BASALT_REQUIRES(mu_);
  std::vector<GroupIndex> GroupsShown(SloIndex slo, size_t max_groups, uint64_t& omitted)
      BASALT_REQUIRES(mu_);
  [[nodiscard]] CountedSince CountedOf(GroupIndex g, const CountRequest& request) const
      BASALT_REQUIRES(mu_);
  Counts AgainstPeriod(GroupIndex g, size_t window, const Counts& counts) BASALT_REQUIRES(mu_);
  void Run();
  void RunPolls();

  SampleStore& store_;
  notify::AlertSink& sink_;
  const EvaluatorOptions options_;
  const std::unique_ptr<Poller> poller_;  // null without queries

  mutable Mutex mu_;  // held during a sweep; the write path never takes it
  std::vector<Definition> definitions_ BASALT_GUARDED_BY(mu_);
  std::unique_ptr<SloSet> set_ BASALT_GUARDED_BY(mu_);  // null: nothing loaded
  bool needs_load_ BASALT_GUARDED_BY(mu_) = false;
  EvaluatorStats stats_ BASALT_GUARDED_BY(mu_);
  Timestamp last_sweep_ BASALT_GUARDED_BY(mu_){};
  std::chrono::nanoseconds ledger_read_ BASALT_GUARDED_BY(mu_){0};
  std::chrono::nanoseconds absence_looked_ BASALT_GUARDED_BY(mu_){0};
  int64_t loaded_ms_ BASALT_GUARDED_BY(mu_) = 0;
  std::chrono::nanoseconds audited_ BASALT_GUARDED_BY(mu_){0};
  std::vector<SlotName> suspects_ BASALT_GUARDED_BY(mu_);
  std::mt19937_64 random_ BASALT_GUARDED_BY(mu_){std::random_device()()};
  std::map<Hash128, notify::Alert> absent_ BASALT_GUARDED_BY(mu_);  // that fire
  std::set<std::pair<GroupIndex, Severity>> held_back_ BASALT_GUARDED_BY(mu_);
  std::set<SloIndex> too_many_groups_ BASALT_GUARDED_BY(mu_);  // that people have been told of
  std::set<SloIndex> told_problems_ BASALT_GUARDED_BY(mu_);

  Mutex thread_mu_;
  CondVar wake_;
  bool stopping_ BASALT_GUARDED_BY(thread_mu_) = false;
  std::thread thread_ BASALT_GUARDED_BY(thread_mu_);
  std::thread polls_ BASALT_GUARDED_BY(thread_mu_);
};

}  // namespace basalt::slo
