#include "engine/slo/simulation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/slo/message.h"
#include "engine/slo/slo_set.h"

namespace basalt::slo {
namespace {

// It is always the end of the simulated time.
class EndClock final : public Clock {
 public:
  explicit EndClock(int64_t now_ms) : now_ms_(now_ms) {}
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return SystemClock().Monotonic();
  }

 private:
  const int64_t now_ms_;
};

// Reads only: the write path keeps the observer it has.
class UnobservedStore final : public SampleStore {
 public:
  explicit UnobservedStore(SampleStore& store) : store_(store) {}
  void Observe(storage::ApplyObserver* /*observer*/) override {}
  [[nodiscard]] const storage::Reader& reader() const override { return store_.reader(); }

 private:
  SampleStore& store_;
};

// A window that was asked for whole has its events evenly: nobody knows more of it.
void InjectIntoWindows(const Injection& injection, const Definition& definition,
                       SettledRound& round) {
  for (size_t w = 0; w < round.windows.size(); ++w) {
    if (!round.windows[w].has_value()) continue;
    const int64_t length_ms = definition.layout->windows()[w].length_ms;
    const int64_t inside_ms = std::min(injection.to_ms, round.time_ms) -
                              std::max(injection.from_ms, round.time_ms - length_ms);
    if (inside_ms <= 0) continue;
    Counts& counts = *round.windows[w];
    const auto good = static_cast<Int128>(counts.total - counts.bad);
    counts.bad += static_cast<Amount>(good * injection.share.num / injection.share.den * inside_ms /
                                      length_ms);
  }
}

void Inject(const std::vector<Injection>& injections, const Definition& definition,
            SettledRound& round) {
  for (const Injection& injection : injections) {
    if (!injection.slo.empty() && injection.slo != definition.id) continue;
    InjectIntoWindows(injection, definition, round);
    if (round.time_ms < injection.from_ms || round.time_ms >= injection.to_ms) continue;
    const Amount good = round.counts.total - round.counts.bad;
    round.counts.bad +=
        static_cast<Amount>(static_cast<Int128>(good) * injection.share.num / injection.share.den);
  }
}

std::vector<SimulatedAlert> AlertsOf(const SloSet& set, const std::vector<Transition>& moved) {
  std::vector<SimulatedAlert> alerts;
  std::map<std::pair<GroupIndex, Severity>, size_t> open;
  for (const Transition& transition : moved) {
    const auto key = std::pair(transition.group, transition.severity);
    const auto it = open.find(key);
    if (transition.state.firing && it == open.end()) {
      const SloGroup& group = set.group(transition.group);
      const Definition& definition = set.definitions()[group.slo];
      open.emplace(key, alerts.size());
      alerts.push_back({definition.id, GroupLabels(definition, group.values), transition.severity,
                        transition.state.starts_ms, std::nullopt, false, definition.setting});
    } else if (!transition.state.firing && it != open.end()) {
      alerts[it->second].ends_ms = transition.state.ends_ms;
      open.erase(it);
    }
  }
  return alerts;
}

// As Evaluator::HoldBack does.
void HoldBack(const SloSet& set, std::vector<SimulatedAlert>& alerts) {
  for (const Definition& definition : set.definitions()) {
    if (!definition.total_alerts) continue;
    const auto is_of_it = [&](const SimulatedAlert& alert) {
      return alert.slo == definition.id && alert.setting == definition.setting;
    };
    std::vector<const SimulatedAlert*> totals;
    for (const SimulatedAlert& alert : alerts) {
      if (is_of_it(alert) && alert.group.empty()) totals.push_back(&alert);
    }
    for (SimulatedAlert& alert : alerts) {
      if (!is_of_it(alert) || alert.group.empty()) continue;
      alert.held_back = std::any_of(totals.begin(), totals.end(), [&](const SimulatedAlert* total) {
        if (total->severity != alert.severity || total->starts_ms > alert.starts_ms) return false;
        if (!total->ends_ms.has_value()) return true;
        return *total->ends_ms > alert.starts_ms && alert.ends_ms.has_value() &&
               *alert.ends_ms <= *total->ends_ms;
      });
    }
  }
}

// What polled SLIs would have been told: as the poller asks, at simulated times.
Status FeedPolled(SloSet& set, const SimulationOptions& options, SliQueries& queries,
                  std::vector<Transition>& transitions) {
  for (SloIndex slo = 0; slo < set.definitions().size(); ++slo) {
    const Definition& definition = set.definitions()[slo];
    if (!definition.polled.has_value()) continue;
    const PolledSli& sli = *definition.polled;
    const int64_t piece_ms = kPolledSteps * RoundIntervalMs(sli);
    const int64_t reach_ms = std::max(definition.period.count(), AlertReachMs(definition));
    int64_t at = options.from_ms - (sli.by_windows() ? 0 : reach_ms);
    while (at < options.to_ms) {
      const int64_t until = std::min(at + piece_ms, options.to_ms);
      Result<std::vector<PolledRound>> rounds =
          AskRounds(queries, definition, slo, at, until, until == options.to_ms);
      if (!rounds.ok()) return rounds.status().WithContext("slo " + definition.id);
      set.Feed(std::move(rounds).value(), transitions);
      at = until;
    }
  }
  return OkStatus();
}

}  // namespace

Result<SimulationReport> Simulate(std::vector<Definition> definitions, SampleStore& store,
                                  const SimulationOptions& options, SliQueries* queries) {
  if (options.from_ms >= options.to_ms) {
    return InvalidArgument("simulate: `from` has to be before `to`");
  }
  const EndClock clock(options.to_ms);
  UnobservedStore unobserved(store);
  const std::vector<Definition> copies = definitions;
  SloSetOptions set_options;
  set_options.clock = &clock;
  set_options.replay_from_ms = options.from_ms;
  set_options.until_ms = options.to_ms;
  set_options.judge_every_round = options.judge_every_round;
  if (!options.injections.empty()) {
    set_options.inject_from_ms = INT64_MAX;
    set_options.inject_to_ms = INT64_MIN;
    for (const Injection& injection : options.injections) {
      set_options.inject_from_ms = std::min(set_options.inject_from_ms, injection.from_ms);
      set_options.inject_to_ms = std::max(set_options.inject_to_ms, injection.to_ms);
    }
    set_options.inject = [&](SloIndex slo, const std::vector<std::string>&, SettledRound& round) {
      Inject(options.injections, copies[slo], round);
    };
  }
  SloSet set(std::move(definitions), unobserved, set_options,
             [](const auto&, const auto&, Severity) { return std::optional<int64_t>(); });
  if (!options.exclusions.empty()) set.SetExclusions(options.exclusions);
  std::vector<Transition> transitions;
  BASALT_TRY(set.Load(transitions));
  if (queries != nullptr) BASALT_TRY(FeedPolled(set, options, *queries, transitions));

  SimulationReport report;
  // History is replayed day by day, and in each of them group by group.
  std::stable_sort(transitions.begin(), transitions.end(),
                   [](const Transition& a, const Transition& b) { return a.group < b.group; });
  report.alerts = AlertsOf(set, transitions);
  HoldBack(set, report.alerts);
  for (SloIndex slo = 0; slo < set.definitions().size(); ++slo) {
    const Definition& definition = set.definitions()[slo];
    SimulatedSlo one;
    one.id = definition.id;
    one.setting = definition.setting;
    for (const auto& [values, g] : set.groups_of(slo)) {
      PeriodBounds bounds;
      const Counts counts = set.ReadPeriod(g, bounds).counts;
      one.bad += Events(counts.bad, definition.sli.scale);
      one.total += Events(counts.total, definition.sli.scale);
      ++one.groups;
    }
    const Fraction& objective = definition.objective;
    one.budget = one.total * static_cast<double>(objective.den - objective.num) /
                 static_cast<double>(objective.den);
    report.slos.push_back(std::move(one));
  }
  set.DropSnapshot();
  report.rounds = set.stats().rounds;
  report.storage_errors = set.stats().storage_errors;
  report.last_storage_error = set.stats().last_storage_error;
  return report;
}

namespace {

ExplainedWindow WindowOf(SloSet& set, const Definition& definition, GroupIndex g, size_t window) {
  const Counts counts = set.Read(g, window).counts;
  ExplainedWindow out;
  out.length = Duration(definition.layout->windows()[window].length_ms);
  out.bad = Events(counts.bad, definition.sli.scale);
  out.total = Events(counts.total, definition.sli.scale);
  if (counts.total > 0) out.burn_rate = BurnRate(definition, counts);
  return out;
}

Truth HoldsOver(SloSet& set, GroupIndex g, size_t window, const Fraction& threshold) {
  const Counts counts = set.Read(g, window).counts;
  if (counts.total <= 0) return Truth::kUndefined;
  return RatioExceeds(counts.bad, counts.total, threshold) ? Truth::kYes : Truth::kNo;
}

ExplainedGroup GroupOf(SloSet& set, GroupIndex g) {
  const SloGroup& group = set.group(g);
  const Definition& definition = set.definitions()[group.slo];
  ExplainedGroup out;
  out.labels = GroupLabels(definition, group.values);
  out.is_total = group.kind == SloGroup::Kind::kTotal;
  out.as_of_ms = set.slots().head_ms(g);
  for (const BurnCondition& c : definition.conditions) {
    out.conditions.push_back({c.severity, WindowOf(set, definition, g, c.short_index),
                              WindowOf(set, definition, g, c.long_index), ToString(c.factor),
                              ToString(c.threshold),
                              And(HoldsOver(set, g, c.short_index, c.threshold),
                                  HoldsOver(set, g, c.long_index, c.threshold))});
  }
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const AlertState& alert = group.alerts[s];
    if (!alert.firing) continue;
    out.firing.push_back(
        {static_cast<Severity>(s), alert.undefined_since_ms != 0, alert.starts_ms});
  }
  return out;
}

}  // namespace

Result<std::vector<ExplainedGroup>> Explain(const Definition& definition, SampleStore& store,
                                            int64_t at_ms, std::vector<Exclusion> exclusions,
                                            SliQueries* queries) {
  const EndClock clock(at_ms);
  UnobservedStore unobserved(store);
  SloSetOptions set_options;
  set_options.clock = &clock;
  set_options.replay_from_ms = at_ms - kReplayMs;
  set_options.until_ms = at_ms;
  SloSet set({definition}, unobserved, set_options,
             [](const auto&, const auto&, Severity) { return std::optional<int64_t>(); });
  if (!exclusions.empty()) set.SetExclusions(exclusions);
  std::vector<Transition> transitions;
  BASALT_TRY(set.Load(transitions));
  if (queries != nullptr) {
    const SimulationOptions options{at_ms - kReplayMs, at_ms, {}, {}};
    BASALT_TRY(FeedPolled(set, options, *queries, transitions));
  }
  std::vector<ExplainedGroup> out;
  if (const auto total = set.total_of(0)) out.push_back(GroupOf(set, *total));
  for (const auto& [values, g] : set.groups_of(0)) {
    if (set.group(g).has_data) out.push_back(GroupOf(set, g));
  }
  set.DropSnapshot();
  return out;
}

}  // namespace basalt::slo
