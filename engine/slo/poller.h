// engine/slo/poller.h -- asks the queries of polled SLIs at their times and turns the answers into
// rounds for the sweep, as the taps do with samples.
//
// It works beside the sweep, never inside it: a query that takes its time delays only its own SLO.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/slo/definition.h"
#include "engine/slo/rounds.h"
#include "engine/slo/sli_queries.h"
#include "engine/slo/tap_index.h"

namespace basalt::slo {

// Windows are asked for this often, at multiples of it.
inline constexpr int64_t kPollIntervalMs = 30'000;
// A time is asked for this long after it has passed: a sender's last flush (5 s) and our own apply
// are over then.
inline constexpr int64_t kPollDelayMs = 10'000;
// The period's window is the dearest and no alert needs it, but for `against_period`.
inline constexpr int64_t kPollPeriodMs = 600'000;
// What is replayed when an SLI by windows is loaded: how far back its alert's start is exact. By
// slices it is kReplayMs (slo_set.h), as of streamed ones.
inline constexpr int64_t kPolledReplayMs = 3'600'000;
inline constexpr int64_t kSlicesReplayMs = 6 * 3'600'000;
// Times asked for in one query.
inline constexpr int64_t kPolledSteps = 1440;
// Rounds that wait for a sweep, at most; then nothing more is asked until they are taken.
inline constexpr size_t kMaxPolledRounds = 2'000'000;

// One group at one time.
struct PolledRound {
  SloIndex slo = 0;
  std::vector<std::string> values;  // of group_by
  SettledRound round;
  bool is_history = false;  // part of the first answer: decided without telling anybody on the way
};

// The rounds of one SLO with times in (from_ms, to_ms], groups mixed, each group's in order. With
// `period`, SLIs by windows are asked for the period's window at the last time.
Result<std::vector<PolledRound>> AskRounds(SliQueries& queries, const Definition& definition,
                                           SloIndex slo, int64_t from_ms, int64_t to_ms,
                                           bool period);
// Times of rounds are multiples of this.
int64_t RoundIntervalMs(const PolledSli& sli);
// How far back the alerts of this SLO look.
int64_t AlertReachMs(const Definition& definition);

// Thread-safe. PollOnce() runs on one thread at a time.
class Poller {
 public:
  // All borrowed.
  Poller(SliQueries& queries, const Clock& clock) : queries_(queries), clock_(clock) {}

  // From now on these; what is under way for others is thrown away.
  void Reset(std::vector<Definition> definitions) BASALT_EXCLUDES(mu_, work_mu_);
  // Asks for everything that is due.
  void PollOnce() BASALT_EXCLUDES(mu_, work_mu_);
  // What has been answered since the last time.
  std::vector<PolledRound> Take() BASALT_EXCLUDES(mu_);
  // Why the SLO's last query failed; empty: it did not.
  [[nodiscard]] std::string ProblemOf(SloIndex slo) const BASALT_EXCLUDES(mu_);

 private:
  struct Progress {
    int64_t asked_ms = 0;         // answered up to here; 0: nothing yet
    int64_t history_from_ms = 0;  // slices after this are known...
    int64_t history_to_ms = 0;    // ...and wanted after this
    int64_t period_asked_ms = 0;
  };
  void Poll(SloIndex slo, Progress& progress, uint64_t generation) BASALT_REQUIRES(work_mu_);
  bool Push(Result<std::vector<PolledRound>> rounds, SloIndex slo, bool is_history,
            uint64_t generation) BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool IsFull() const BASALT_EXCLUDES(mu_);

  SliQueries& queries_;
  const Clock& clock_;

  mutable Mutex mu_;
  std::shared_ptr<const std::vector<Definition>> definitions_ BASALT_GUARDED_BY(mu_);
  uint64_t generation_ BASALT_GUARDED_BY(mu_) = 0;
  std::vector<PolledRound> rounds_ BASALT_GUARDED_BY(mu_);
  std::map<SloIndex, std::string> problems_ BASALT_GUARDED_BY(mu_);

  Mutex work_mu_;
  std::shared_ptr<const std::vector<Definition>> working_ BASALT_GUARDED_BY(work_mu_);
  uint64_t working_generation_ BASALT_GUARDED_BY(work_mu_) = 0;
  std::map<SloIndex, Progress> progress_ BASALT_GUARDED_BY(work_mu_);
};

}  // namespace basalt::slo
