#include "engine/slo/poller.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/slo/history.h"

namespace basalt::slo {
namespace {

// Thresholds are looked at this often within a slice that has a target.
constexpr int64_t kLooksPerSlice = 4;
// Beyond any sum of events; keeps products with coefficients inside 64 bits.
constexpr double kMaxEvents = 1e12;

int64_t Floor(int64_t time_ms, int64_t step_ms) { return time_ms - time_ms % step_ms; }

Amount ToAmount(double events) {
  if (!(events > 0)) return 0;  // NaN and negative shares are no events
  return static_cast<Amount>(std::nearbyint(std::min(events, kMaxEvents) * kAmountPerEvent));
}

// Sums of one group at one time, over the elements that fall to it.
struct Sums {
  double bad = 0;
  double total = 0;
  int64_t bad_elements = 0;
  int64_t total_elements = 0;
};
using GroupSums = std::map<std::vector<std::string>, std::map<int64_t, Sums>>;

class Asker {
 public:
  Asker(SliQueries& queries, const Definition& definition, SloIndex slo)
      : queries_(queries), definition_(definition), sli_(*definition.polled), slo_(slo) {}

  // Adds `windows` of SLIs by windows at each time first, first + step, ..., last.
  Status AskWindow(size_t window, int64_t first_ms, int64_t last_ms, int64_t step_ms) {
    const Duration length(definition_.layout->windows()[window].length_ms);
    BASALT_TRY_ASSIGN(const GroupSums groups, Ask(length, first_ms, last_ms, step_ms));
    for (const auto& [values, times] : groups) {
      for (const auto& [time_ms, sums] : times) {
        SettledRound& round = RoundAt(values, time_ms);
        if (round.windows.empty()) {
          round.windows.resize(definition_.layout->windows().size());
        }
        round.windows[window] = CountsOf(sums, length);
      }
    }
    return OkStatus();
  }

  // Books each slice that ends at first, first + slice, ..., last.
  Status AskSlices(int64_t first_ms, int64_t last_ms) {
    const int64_t slice_ms = sli_.slice.count();
    const bool looks = sli_.kind == PolledSli::Kind::kThreshold &&
                       sli_.slice_budget != PolledSli::SliceBudget::kEvents;
    const int64_t step_ms = looks ? slice_ms / kLooksPerSlice : slice_ms;
    BASALT_TRY_ASSIGN(
        const GroupSums groups,
        Ask(sli_.slice, first_ms - (looks ? slice_ms - step_ms : 0), last_ms, step_ms));
    for (const auto& [values, times] : groups) {
      std::map<int64_t, Sums> slices;
      for (const auto& [time_ms, sums] : times) {
        Sums& slice = slices[Floor(time_ms + slice_ms - 1, slice_ms)];
        slice.bad += sums.bad;
        slice.total += sums.total;
        slice.bad_elements += sums.bad_elements;
        slice.total_elements += sums.total_elements;
      }
      for (const auto& [time_ms, sums] : slices) {
        RoundAt(values, time_ms).counts = SliceOf(CountsOf(sums, sli_.slice));
      }
    }
    return OkStatus();
  }

  // Windows that were asked for and have no answer at a time have no events then.
  void FillIn(const std::vector<bool>& asked) {
    for (auto& [values, times] : rounds_) {
      for (auto& [time_ms, round] : times) {
        for (size_t w = 0; w < asked.size(); ++w) {
          if (asked[w] && !round.windows[w].has_value()) round.windows[w] = Counts{};
        }
      }
    }
  }

  std::vector<PolledRound> Take() {
    std::vector<PolledRound> out;
    for (auto& [values, times] : rounds_) {
      for (auto& [time_ms, round] : times) {
        round.time_ms = time_ms;
        out.push_back({slo_, values, std::move(round), false});
      }
    }
    return out;
  }

 private:
  Result<GroupSums> Ask(Duration window, int64_t first_ms, int64_t last_ms, int64_t step_ms) {
    GroupSums groups;
    const auto ask = [&](const std::string& promql, auto&& add) -> Status {
      BASALT_TRY_ASSIGN(const std::vector<SliSeries> series,
                        queries_.Range(definition_.tenant, WithWindow(promql, window), first_ms,
                                       last_ms, step_ms));
      for (const SliSeries& one : series) {
        auto& times = groups[GroupValues(definition_, one.labels)];
        for (const auto& [time_ms, value] : one.points) {
          if (!std::isnan(value)) add(times[time_ms], value);
        }
      }
      return OkStatus();
    };
    const bool is_events = sli_.kind == PolledSli::Kind::kEvents;
    BASALT_TRY(ask(sli_.bad, [&](Sums& sums, double value) {
      ++sums.bad_elements;
      if (sli_.kind == PolledSli::Kind::kThreshold) {
        sums.bad += Compare(value, sli_.op, sli_.bound) ? 0 : 1;
      } else {
        sums.bad += value;
      }
    }));
    if (!is_events) return groups;
    BASALT_TRY(ask(sli_.total, [](Sums& sums, double value) {
      ++sums.total_elements;
      sums.total += value;
    }));
    // Errors of what is not there (`or vector(0)`) are no round.
    for (auto& [values, times] : groups) {
      std::erase_if(times, [](const auto& at) { return at.second.total_elements == 0; });
    }
    return groups;
  }

  [[nodiscard]] Counts CountsOf(const Sums& sums, Duration window) const {
    if (sli_.kind == PolledSli::Kind::kEvents) {
      const double events = sli_.is_rate ? std::chrono::duration<double>(window).count() : 1;
      return {ToAmount(sums.bad * events), ToAmount(sums.total * events)};
    }
    // Elements of one group count alike. By slices, thresholds count each element as an event.
    const auto elements = static_cast<double>(sums.bad_elements);
    if (sli_.kind == PolledSli::Kind::kThreshold) return {ToAmount(sums.bad), ToAmount(elements)};
    const auto scale = static_cast<double>(definition_.sli.scale);
    return {ToAmount(sums.bad / elements * scale), ToAmount(scale)};
  }

  [[nodiscard]] Counts SliceOf(const Counts& events) const {
    if (events.total <= 0) return {};
    switch (sli_.slice_budget) {
      case PolledSli::SliceBudget::kEvents:
        return events;
      case PolledSli::SliceBudget::kTarget: {
        // Bad if more than 1 - target of it is.
        const Fraction allowed{sli_.slice_target.den - sli_.slice_target.num,
                               sli_.slice_target.den};
        const bool bad = RatioExceeds(events.bad, events.total, allowed);
        return {bad ? kAmountPerEvent : 0, kAmountPerEvent};
      }
      case PolledSli::SliceBudget::kMean:
        break;
    }
    const double ratio = static_cast<double>(events.bad) / static_cast<double>(events.total);
    return {ToAmount(std::min(ratio, 1.0)), kAmountPerEvent};
  }

  SettledRound& RoundAt(const std::vector<std::string>& values, int64_t time_ms) {
    return rounds_[values][time_ms];
  }

  SliQueries& queries_;
  const Definition& definition_;
  const PolledSli& sli_;
  const SloIndex slo_;
  std::map<std::vector<std::string>, std::map<int64_t, SettledRound>> rounds_;
};

}  // namespace

int64_t RoundIntervalMs(const PolledSli& sli) {
  return sli.by_windows() ? kPollIntervalMs : sli.slice.count();
}

int64_t AlertReachMs(const Definition& definition) {
  int64_t reach_ms = 0;
  for (const BurnCondition& condition : definition.conditions) {
    reach_ms = std::max(reach_ms, condition.long_window.count());
  }
  return reach_ms;
}

Result<std::vector<PolledRound>> AskRounds(SliQueries& queries, const Definition& definition,
                                           SloIndex slo, int64_t from_ms, int64_t to_ms,
                                           bool period) {
  const PolledSli& sli = *definition.polled;
  const int64_t step_ms = RoundIntervalMs(sli);
  const int64_t first_ms = Floor(from_ms, step_ms) + step_ms;
  const int64_t last_ms = Floor(to_ms, step_ms);
  Asker asker(queries, definition, slo);
  if (last_ms < first_ms) return asker.Take();
  if (!sli.by_windows()) {
    BASALT_TRY(asker.AskSlices(first_ms, last_ms));
    return asker.Take();
  }
  std::vector<bool> alerted(definition.layout->windows().size(), false);
  for (const BurnCondition& condition : definition.conditions) {
    alerted[condition.short_index] = alerted[condition.long_index] = true;
  }
  for (size_t w = 0; w < alerted.size(); ++w) {
    if (alerted[w]) BASALT_TRY(asker.AskWindow(w, first_ms, last_ms, step_ms));
  }
  asker.FillIn(alerted);
  const size_t p = definition.period_index;
  if (!alerted[p] && period) BASALT_TRY(asker.AskWindow(p, last_ms, last_ms, step_ms));
  return asker.Take();
}

void Poller::Reset(std::vector<Definition> definitions) {
  const MutexLock lock(mu_);
  definitions_ = std::make_shared<const std::vector<Definition>>(std::move(definitions));
  ++generation_;
  rounds_.clear();
  problems_.clear();
}

bool Poller::IsFull() const {
  const MutexLock lock(mu_);
  return rounds_.size() >= kMaxPolledRounds;
}

bool Poller::Push(Result<std::vector<PolledRound>> rounds, SloIndex slo, bool is_history,
                  uint64_t generation) {
  const MutexLock lock(mu_);
  if (generation != generation_) return false;
  if (!rounds.ok()) {
    problems_[slo] = std::string(rounds.status().message());
    return false;
  }
  problems_.erase(slo);
  for (PolledRound& round : *rounds) {
    round.is_history = is_history;
    rounds_.push_back(std::move(round));
  }
  return true;
}

void Poller::PollOnce() {
  const MutexLock work(work_mu_);
  {
    const MutexLock lock(mu_);
    if (working_generation_ != generation_) progress_.clear();
    working_ = definitions_;
    working_generation_ = generation_;
  }
  if (working_ == nullptr) return;
  for (SloIndex slo = 0; slo < working_->size(); ++slo) {
    if ((*working_)[slo].polled.has_value()) Poll(slo, progress_[slo], working_generation_);
  }
}

void Poller::Poll(SloIndex slo, Progress& progress, uint64_t generation) {
  const Definition& definition = (*working_)[slo];
  const PolledSli& sli = *definition.polled;
  const int64_t step_ms = RoundIntervalMs(sli);
  const int64_t to_ms = Floor(ToMs(clock_.Now()) - kPollDelayMs, step_ms);
  const bool is_first = progress.asked_ms == 0;
  if (!is_first && to_ms <= progress.asked_ms && progress.history_from_ms <= progress.history_to_ms)
    return;
  if (IsFull()) return;

  const int64_t replay_ms =
      sli.by_windows() ? kPolledReplayMs : AlertReachMs(definition) + kSlicesReplayMs;
  // After a long failure the replay is enough, too.
  int64_t from_ms = std::max(progress.asked_ms, to_ms - replay_ms);
  if (to_ms > from_ms) {
    const bool period = to_ms - progress.period_asked_ms >= kPollPeriodMs;
    std::vector<PolledRound> all;
    // In pieces that a query can answer; one push, so that the sweep sees the history whole.
    for (int64_t at = from_ms; at < to_ms;) {
      const int64_t until = std::min(at + kPolledSteps * step_ms, to_ms);
      auto rounds =
          AskRounds(queries_, definition, slo, at, until, until == to_ms && (is_first || period));
      if (!rounds.ok()) {
        Push(std::move(rounds), slo, false, generation);
        return;
      }
      std::move(rounds->begin(), rounds->end(), std::back_inserter(all));
      at = until;
    }
    // A period that had nothing yet is asked again the next time.
    const bool answered = std::any_of(all.begin(), all.end(), [&](const PolledRound& polled) {
      const auto& windows = polled.round.windows;
      return !windows.empty() && windows[definition.period_index].has_value();
    });
    if (!Push(std::move(all), slo, is_first, generation)) return;
    progress.asked_ms = to_ms;
    if (answered) progress.period_asked_ms = to_ms;
    if (is_first) {
      progress.history_from_ms = sli.by_windows() ? 0 : from_ms;
      progress.history_to_ms = sli.by_windows() ? 0 : to_ms - definition.period.count();
    }
  }
  // The rest of the period, newest first, a piece at a time.
  if (progress.history_from_ms > progress.history_to_ms) {
    const int64_t until = progress.history_from_ms;
    const int64_t at = std::max(progress.history_to_ms, until - kPolledSteps * step_ms);
    if (Push(AskRounds(queries_, definition, slo, at, until, false), slo, true, generation)) {
      progress.history_from_ms = at;
    }
  }
}

std::vector<PolledRound> Poller::Take() {
  const MutexLock lock(mu_);
  return std::exchange(rounds_, {});
}

std::string Poller::ProblemOf(SloIndex slo) const {
  const MutexLock lock(mu_);
  const auto it = problems_.find(slo);
  return it == problems_.end() ? "" : it->second;
}

}  // namespace basalt::slo
