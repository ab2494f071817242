#include "tests/engine/slo/oracle.h"

#include <algorithm>
#include <cmath>

namespace basalt::slo::oracle {
namespace {

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

bool Usable(const Sample& sample) {
  return !sample.stale && std::isfinite(sample.value) && sample.value >= 0;
}

}  // namespace

bool Oracle::TargetSeen(const Series& one, int64_t from_ms, int64_t before_ms) const {
  if (one.target.empty()) return false;
  return std::any_of(series.begin(), series.end(), [&](const auto& other) {
    if (other.second.target != one.target) return false;
    return std::any_of(other.second.samples.begin(), other.second.samples.end(),
                       [&](const auto& s) {
                         return s.first >= from_ms && s.first < before_ms && !s.second.stale;
                       });
  });
}

std::vector<Oracle::Increment> Oracle::Increments(const Series& one) const {
  std::vector<Increment> out;
  std::vector<int64_t> times;  // of the usable samples so far
  double last = 0;
  bool ended = false;
  for (const auto& [t, sample] : one.samples) {
    if (sample.stale) {
      ended = !times.empty();
      continue;
    }
    if (!Usable(sample)) continue;
    if (times.empty() || t - times.back() > kDay) {
      if (TargetSeen(one, t - kMinute, t)) {
        out.push_back({t, t, sample.value});
      } else if (sample.start_ms != 0 && sample.start_ms <= t && sample.start_ms >= t - kMinute) {
        out.push_back({sample.start_ms, t, sample.value});
      }
      times = {t};
    } else {
      const int64_t before = times.back();
      const size_t n = times.size();
      int64_t interval = 0;
      if (n >= 2) interval = times[n - 1] - times[n - 2];
      if (n >= 3) interval = std::min(interval, times[n - 2] - times[n - 3]);
      // Two replicas with clocks apart: off the beat, and a little less than before.
      bool switched = false;
      if (n >= 3 && sample.value < last && last - sample.value < last / 8) {
        const int64_t a = times[n - 1] - times[n - 2];
        const int64_t b = times[n - 2] - times[n - 3];
        const int64_t beat = std::min(a, b);
        const int64_t off = (t - before) % beat;
        switched = std::abs(a - b) * 10 <= beat && std::min(off, beat - off) * 10 > beat;
      }
      const bool gap = ended || t - before > std::max(3 * interval, kMinute);
      const bool reset = sample.value < last || (sample.start_ms > before && sample.start_ms <= t);
      const double amount = reset ? sample.value : sample.value - last;
      out.push_back({gap ? before : t, t, switched ? 0 : amount});
      times.push_back(t);
    }
    last = sample.value;
    ended = false;
  }
  return out;
}

void Oracle::Recount() {
  counted_.clear();
  for (const auto& [name, one] : series) {
    if (!one.presence_only) counted_.push_back({one.bad, one.total, Increments(one)});
  }
}

// What of the increment lies in (from, to].
long double Oracle::ShareIn(const Increment& increment, int64_t from_ms, int64_t to_ms) {
  if (increment.from_ms == increment.to_ms) {
    return increment.to_ms > from_ms && increment.to_ms <= to_ms ? 1 : 0;
  }
  const int64_t from = std::max(from_ms, increment.from_ms);
  const int64_t to = std::min(to_ms, increment.to_ms);
  return static_cast<long double>(std::max<int64_t>(to - from, 0)) /
         static_cast<long double>(increment.to_ms - increment.from_ms);
}

Sums Oracle::Window(int64_t at_ms, int64_t window_ms) const {
  Sums sums;
  const int64_t begin = at_ms - window_ms;
  for (const Counted& one : counted_) {
    for (const Increment& increment : one.increments) {
      if (increment.to_ms > at_ms) continue;  // a gap is known only when it is over
      long double share = ShareIn(increment, begin, at_ms);
      for (const auto& [from, to] : excluded) {
        if (from < at_ms && to > begin) {
          share -= ShareIn(increment, std::max(from, begin), std::min(to, at_ms));
        }
      }
      sums.bad += share * increment.amount * one.bad;
      sums.total += share * increment.amount * one.total;
    }
  }
  return sums;
}

int Oracle::Above(int64_t at_ms, int64_t window_ms, int64_t factor_num, int64_t factor_den) const {
  const Sums sums = Window(at_ms, window_ms);
  // Shares of a gap that exclusions take out one by one leave dust behind.
  if (sums.total <= 1e-9L) return -1;
  return sums.bad * static_cast<long double>(factor_den * budget_den_) >
                 sums.total * static_cast<long double>(factor_num * budget_num_)
             ? 1
             : 0;
}

int Oracle::Both(int64_t at_ms, int64_t short_ms, int64_t long_ms, int64_t factor_num,
                 int64_t factor_den) const {
  const int a = Above(at_ms, short_ms, factor_num, factor_den);
  const int b = Above(at_ms, long_ms, factor_num, factor_den);
  if (a == 0 || b == 0) return 0;
  if (a != 1 || b != 1) return -1;
  // More errors than requests: the two do not fit together, so nobody knows.
  const Sums sums = Window(at_ms, short_ms);
  return sums.bad > sums.total ? -1 : 1;
}

void Oracle::Step(Episode& episode, std::vector<Episode>& past, int64_t at_ms, int truth) {
  if (!episode.firing) {
    if (truth == 1) episode = {true, at_ms, 0, 0};
    return;
  }
  if (truth == 1) {
    episode.undefined_since_ms = 0;
    return;
  }
  if (truth == -1) {
    if (episode.undefined_since_ms == 0) episode.undefined_since_ms = at_ms;
    if (at_ms - episode.undefined_since_ms < kHour) return;
  }
  episode.firing = false;
  episode.ends_ms = at_ms;
  episode.undefined_since_ms = 0;
  past.push_back(episode);
}

void Oracle::Round(int64_t at_ms) {
  const auto either = [](int a, int b) {
    if (a == 1 || b == 1) return 1;
    return a == 0 && b == 0 ? 0 : -1;
  };
  Step(
      page, past_pages, at_ms,
      either(Both(at_ms, 5 * kMinute, kHour, 144, 10), Both(at_ms, 30 * kMinute, 6 * kHour, 6, 1)));
  Step(ticket, past_tickets, at_ms,
       either(Both(at_ms, 2 * kHour, kDay, 3, 1), Both(at_ms, 6 * kHour, 3 * kDay, 1, 1)));
}

}  // namespace basalt::slo::oracle
