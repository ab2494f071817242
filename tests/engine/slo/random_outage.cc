#include "tests/engine/slo/random_outage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace basalt::slo {
namespace {

constexpr int64_t kScrapeMs = 15'000;

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed), restarts_(RandomOutageRestarts(seed)) {}

  void operator()(Play& play) {
    const int steps = 300 + Below(300);
    const int trouble = 1 + Below(3);  // some are calm, so that episodes are long
    for (int i = 0; i < steps && play.agrees(); ++i) Step(play, i, trouble);
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  template <size_t N>
  double Any(const std::array<double, N>& values) {
    return values[static_cast<size_t>(Below(N))];
  }

  struct Scrape {
    int64_t time_ms;
    double requests;
    double errors;
  };

  void Step(Play& play, int i, int trouble) {
    if (OneIn(45)) share_ = Any<8>({0, 0, 0.0005, 0.003, 0.0145, 0.03, 0.3, 1});
    if (OneIn(60)) traffic_ = Any<7>({0, 2, 40, 1000, 1000, 1000, 60'000});
    requests_ += traffic_;
    errors_ += std::floor(traffic_ * share_);
    const int64_t t = kStartMs + i * kScrapeMs;
    if (OneIn(120 / trouble)) requests_ = errors_ = 0;  // the process starts anew
    if (OneIn(150)) {
      play.StepWallClock(static_cast<int64_t>(Any<4>({0, 40'000, -7'200'000, 10'800'000})));
    }
    if (silent_ > 0) {
      --silent_;
      return;
    }
    if (OneIn(90 / trouble)) {
      silent_ = Below(40);
      if (OneIn(2)) {
        play.Stale("requests a", t);
        play.Stale("errors a", t);
        play.Sweep(t + 100);  // as time passes, sweeps do
      } else if (OneIn(3)) {
        play.Forget(OneIn(2) ? "errors a" : "requests a");
        play.Sweep(t);
      }
      return;
    }
    const Scrape scrape{t, requests_, errors_};
    if (!restarts_ && OneIn(30 / trouble)) {  // it comes with one of the next
      late_.push_back(scrape);
      return;
    }
    const int restart = restarts_ && OneIn(25) ? Below(5) : -1;
    if (restart == 0) play.Restart(t - 100);
    // Late: a newer one has been judged. Before this round opens, which would be decided without
    // it.
    const size_t waiting = late_.size();
    std::erase_if(late_, [&](const Scrape& one) {
      if (one.time_ms > judged_ms_ || OneIn(2)) return false;
      Write(play, one, true, true);
      return true;
    });
    if (late_.size() != waiting) play.Sweep(t - 40);
    // Shards: one comes first, and a sweep looks at it alone.
    const bool errors_first = OneIn(2);
    Write(play, scrape, !errors_first, errors_first);
    if (restart == 1) play.Restart(t + 20);
    if (OneIn(2)) play.Sweep(t + 50);
    if (restart == 2) play.Restart(t + 70);
    Write(play, scrape, errors_first, !errors_first);
    if (OneIn(15)) Write(play, scrape, true, true);  // a retry
    if (restart == 3) play.Restart(t + 90);
    play.Judge(t);
    judged_ms_ = t;
    if (restart == 4) play.Restart(t + 300);
    if (restarts_) return;
    if (OneIn(150)) {
      const int64_t from = std::max((t - Below(90) * 60'000) / 60'000 * 60'000, excluded_to_);
      excluded_to_ = from + (1 + Below(30)) * 60'000;
      play.Exclude(from, excluded_to_);
    } else if (OneIn(300)) {
      play.IncludeAgain();
      excluded_to_ = 0;
    }
  }

  static void Write(Play& play, const Scrape& scrape, bool requests, bool errors) {
    if (requests) play.Write("requests a", scrape.time_ms, scrape.requests);
    if (errors) play.Write("errors a", scrape.time_ms, scrape.errors);
  }

  std::mt19937_64 random_;
  // What comes late and what is excluded later changes hindsight, and a restart decides by
  // hindsight, so a play has either: docs/0001-counting.md, docs/0006-ledger.md.
  const bool restarts_;
  double share_ = 0;
  double traffic_ = 1000;
  double requests_ = 0;
  double errors_ = 0;
  int silent_ = 0;
  int64_t judged_ms_ = 0;
  int64_t excluded_to_ = 0;  // the oracle's do not overlap
  std::vector<Scrape> late_;
};

}  // namespace

void PlayRandomOutage(uint64_t seed, Play& play) { Chaos{seed}(play); }

bool RandomOutageRestarts(uint64_t seed) { return seed % 2 == 0; }

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace basalt::slo
