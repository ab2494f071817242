// tests/engine/slo/oracle.h -- what an SLO ought to say, by brute force over the samples.
//
// Shares no code with engine/slo: written from the tables in engine/slo/docs, it walks all samples
// of all series for every question. Slow and plain on purpose.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace basalt::slo::oracle {

struct Sample {
  double value = 0;
  int64_t start_ms = 0;  // 0: none
  bool stale = false;
};

struct Series {
  std::string target;  // empty: none
  int bad = 0;         // coefficients
  int total = 0;
  bool presence_only = false;  // `up`
  std::map<int64_t, Sample> samples;
};

struct Sums {
  long double bad = 0;
  long double total = 0;
};

struct Episode {
  bool firing = false;
  int64_t starts_ms = 0;
  int64_t ends_ms = 0;
  int64_t undefined_since_ms = 0;
};

class Oracle {
 public:
  // Threshold of a burn rate: factor * (100 - objective) / 100, as num/den of integers.
  explicit Oracle(int64_t budget_num, int64_t budget_den)
      : budget_num_(budget_num), budget_den_(budget_den) {}

  std::map<std::string, Series> series;  // by any name

  // Times (from, to] that do not count; they do not overlap.
  std::vector<std::pair<int64_t, int64_t>> excluded;

  // Call after changing `series`: counts everything again.
  void Recount();
  // Events in (at - window, at].
  [[nodiscard]] Sums Window(int64_t at_ms, int64_t window_ms) const;
  // Runs the page's and the ticket's state machine over one more round.
  void Round(int64_t at_ms);

  Episode page;
  Episode ticket;
  // Those that are over, in order.
  std::vector<Episode> past_pages;
  std::vector<Episode> past_tickets;

 private:
  struct Increment {
    int64_t from_ms;
    int64_t to_ms;
    long double amount;
  };
  [[nodiscard]] std::vector<Increment> Increments(const Series& one) const;
  [[nodiscard]] bool TargetSeen(const Series& one, int64_t from_ms, int64_t before_ms) const;
  // 1: above, 0: not, -1: no events.
  [[nodiscard]] int Above(int64_t at_ms, int64_t window_ms, int64_t factor_num,
                          int64_t factor_den) const;
  // Of both windows; -1 also where the short one has more errors than events.
  [[nodiscard]] int Both(int64_t at_ms, int64_t short_ms, int64_t long_ms, int64_t factor_num,
                         int64_t factor_den) const;
  static void Step(Episode& episode, std::vector<Episode>& past, int64_t at_ms, int truth);

  static long double ShareIn(const Increment& increment, int64_t from_ms, int64_t to_ms);

  struct Counted {
    int bad;
    int total;
    std::vector<Increment> increments;
  };
  std::vector<Counted> counted_;
  const int64_t budget_num_;
  const int64_t budget_den_;
};

}  // namespace basalt::slo::oracle
