#include "tests/engine/slo/outage.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include "engine/base/stale.h"
#include "engine/slo/simulation.h"

namespace basalt::slo {
namespace {

constexpr const char* kSlo = "shop-requests";

std::string Describe(const oracle::Episode& episode) {
  return "[" + std::to_string(episode.starts_ms - kStartMs) + ", " +
         (episode.firing ? "firing" : std::to_string(episode.ends_ms - kStartMs)) + "]";
}

// FakeStore, as plays see stores.
class MemoryStore final : public PlayedStore {
 public:
  Status Write(const Labels& labels, int64_t t_ms, double value, int64_t start_ms) override {
    store_.Write(labels, t_ms, value, start_ms);
    return OkStatus();
  }
  Status Delete(const Labels& labels, int64_t from_ms, int64_t to_ms) override {
    store_.Delete(labels, from_ms, to_ms);
    return OkStatus();
  }
  Status Forget(const Labels& labels) override {
    store_.Forget(labels);
    return OkStatus();
  }
  SampleStore& samples() override { return store_; }

 private:
  FakeStore store_;
};

std::string Describe(const std::vector<oracle::Episode>& episodes) {
  std::string out;
  for (const oracle::Episode& episode : episodes) out += Describe(episode);
  return out.empty() ? "none" : out;
}

}  // namespace

Play::Play(PlayOptions options) : options_(std::move(options)), clock_(kStartMs) {
  store_ = options_.store ? options_.store(clock_) : std::make_unique<MemoryStore>();
  StartEvaluator();
}

void Play::Exclude(int64_t from_ms, int64_t to_ms) {
  Exclusion exclusion;
  exclusion.from_ms = from_ms;
  exclusion.to_ms = to_ms;
  exclusion.reason = "test";
  const auto added = ledger_->Add(exclusion, from_ms);
  if (!added.ok()) return Differ("exclude: " + added.status().ToString());
  excluded_.push_back(added->id);
  for (auto& [group, truth] : truths_) truth.excluded.emplace_back(added->from_ms, added->to_ms);
  evaluator_->ReadLedger();
}

void Play::IncludeAgain() {
  for (const std::string& id : excluded_) {
    const Status status = ledger_->Remove(id, clock_.now_ms());
    if (!status.ok()) Differ("include: " + status.ToString());
  }
  excluded_.clear();
  for (auto& [group, truth] : truths_) truth.excluded.clear();
  evaluator_->ReadLedger();
}

void Play::Differ(const std::string& what) {
  if (mismatch_.empty()) mismatch_ = what;
}

void Play::Must(const char* what, const Status& status) {
  if (!status.ok()) Differ(std::string(what) + ": " + status.ToString());
}

std::vector<std::string> Play::GroupsOf(const std::string& series) {
  if (options_.group_by.empty()) return {""};
  const std::string own = series.substr(series.find(' ') + 1);
  if (options_.max_groups == 0) return {own};
  if (!series.starts_with("up") && own_groups_.size() < static_cast<size_t>(options_.max_groups)) {
    own_groups_.insert(own);
  }
  return {own_groups_.contains(own) ? own : kOther, kTotal};
}

std::vector<oracle::Series*> Play::TrueSeries(const std::string& series) {
  std::vector<oracle::Series*> out;
  for (const std::string& group : GroupsOf(series)) {
    oracle::Series& one =
        truths_.try_emplace(group, oracle::Oracle(1, 1000)).first->second.series[series];
    one.target = series.substr(series.find(' ') + 1);
    one.bad = series.starts_with("errors") ? 1 : 0;
    one.total = series.starts_with("requests") ? 1 : 0;
    one.presence_only = series.starts_with("up");
    out.push_back(&one);
  }
  return out;
}

void Play::Write(const std::string& series, int64_t t_ms, double value, int64_t start_ms) {
  Must("write", store_->Write(Scenario::LabelsOf(series), t_ms, value, start_ms));
  for (oracle::Series* one : TrueSeries(series)) one->samples[t_ms] = {value, start_ms, false};
}

void Play::Stale(const std::string& series, int64_t t_ms) {
  Must("write", store_->Write(Scenario::LabelsOf(series), t_ms, kStaleMarker, 0));
  for (oracle::Series* one : TrueSeries(series)) one->samples[t_ms] = {0, 0, true};
}

void Play::Delete(const std::string& series, int64_t from_ms, int64_t to_ms) {
  Must("delete", store_->Delete(Scenario::LabelsOf(series), from_ms, to_ms));
  for (oracle::Series* one : TrueSeries(series)) {
    one->samples.erase(one->samples.lower_bound(from_ms), one->samples.upper_bound(to_ms));
  }
}

void Play::Forget(const std::string& series) {
  Must("forget", store_->Forget(Scenario::LabelsOf(series)));
}

void Play::Sweep(int64_t now_ms) {
  clock_.Set(std::max(now_ms, clock_.now_ms()));
  Must("tick", store_->Tick());
  Must("sweep", evaluator_->Sweep());
}

void Play::Restart(int64_t now_ms) {
  clock_.Set(std::max(now_ms, clock_.now_ms()));
  evaluator_.reset();
  Must("restart", store_->Restart());
  StartEvaluator();
}

std::vector<Definition> Play::Slo() const {
  const bool bounded = options_.max_groups > 0;
  const std::string bound =
      bounded ? "    max_groups: " + std::to_string(options_.max_groups) + "\n" : "";
  return ShopSlo(options_.group_by, bound + options_.more, bounded);
}

void Play::StartEvaluator() {
  EvaluatorOptions options;
  options.clock = &clock_;
  options.judge_every_round = options_.judge_every_round;
  auto ledger = Ledger::Open(directory_.path("ledger.yml"));
  if (!ledger.ok()) return Differ("ledger: " + ledger.status().ToString());
  ledger_ = std::move(ledger).value();
  options.ledger = ledger_.get();
  evaluator_ = std::make_unique<Evaluator>(store_->samples(), sink_, options);
  Must("load", evaluator_->SetDefinitions(Slo()));
}

std::optional<GroupView> Play::View(const std::string& group) const {
  const auto slo = evaluator_->Slo(kDefaultTenant, kSlo);
  if (!slo.has_value()) return std::nullopt;
  if (options_.max_groups > 0 && group == kTotal) return slo->total;
  for (const GroupView& view : slo->groups) {
    if (options_.group_by.empty() || view.labels.Get(options_.group_by) == group) return view;
  }
  return std::nullopt;
}

void Play::Judge(int64_t t_ms, const std::string& group) {
  if (!agrees()) return;
  Sweep(t_ms + 200);
  auto view = View(group);
  if (view.has_value() && (!view->as_of.has_value() || ToMs(*view->as_of) < t_ms)) {
    Sweep(t_ms + 6'300);  // somebody is waited for
    view = View(group);
  }
  if (!options_.compare) return;
  Pass(t_ms, group);
  const oracle::Oracle& truth = truths_.at(group);
  const std::string at = "at +" + std::to_string(t_ms - kStartMs) + " ms: ";
  if (!view.has_value() || !view->as_of.has_value()) return Differ(at + "no group");
  if (ToMs(*view->as_of) != t_ms) {
    return Differ(at + "settled up to +" + std::to_string(ToMs(*view->as_of) - kStartMs));
  }
  CompareAlerts(t_ms, truth, *view);
  if (judged_++ % 3 != 0) return;
  CompareWindows(t_ms, truth, *view);
  if (!options_.budget_begins.empty()) CompareBudget(t_ms, truth, view->budget);
}

void Play::Pass(int64_t t_ms, const std::string& group) {
  if (!options_.compare) return;
  oracle::Oracle& truth = truths_.at(group);
  truth.Recount();
  truth.Round(t_ms);
}

void Play::CompareAlerts(int64_t t_ms, const oracle::Oracle& truth, const GroupView& view) {
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const oracle::Episode& expected = s == 0 ? truth.page : truth.ticket;
    const SeverityView& found = view.severities[s];
    const bool frozen = found.state == SeverityState::kFrozen;
    bool firing = frozen || found.state == SeverityState::kFiring;
    // It has fired early, at a round that has not settled yet.
    if (firing && !expected.firing && ToMs(*found.starts_at) > t_ms) firing = false;
    const std::string at = "at +" + std::to_string(t_ms - kStartMs) +
                           " ms: " + std::string(SeverityName(static_cast<Severity>(s)));
    if (firing != expected.firing) {
      Differ(at + (firing ? " fires and should not" : " does not fire and should"));
    } else if (firing && ToMs(*found.starts_at) != expected.starts_ms) {
      Differ(at + " starts at +" + std::to_string(ToMs(*found.starts_at) - kStartMs) +
             " and not at +" + std::to_string(expected.starts_ms - kStartMs));
    } else if (firing && frozen != (expected.undefined_since_ms != 0)) {
      Differ(at + (frozen ? " is frozen" : " is not frozen"));
    }
  }
}

void Play::CompareWindows(int64_t t_ms, const oracle::Oracle& truth, const GroupView& view) {
  for (const WindowView& window : view.windows) {
    const oracle::Sums sums = truth.Window(t_ms, window.length.count());
    // Shares of a gap are kept in 2^-16 of an event, rounded down.
    const bool same = std::abs(window.bad - static_cast<double>(sums.bad)) < 0.01 &&
                      std::abs(window.total - static_cast<double>(sums.total)) < 0.01;
    if (same && window.exact) continue;
    Differ("at +" + std::to_string(t_ms - kStartMs) + " ms: the window of " +
           std::to_string(window.length.count()) + " ms has " + std::to_string(window.bad) +
           " of " + std::to_string(window.total) + ", not " +
           std::to_string(static_cast<double>(sums.bad)) + " of " +
           std::to_string(static_cast<double>(sums.total)));
  }
}

void Play::CompareBudget(int64_t t_ms, const oracle::Oracle& truth, const BudgetView& budget) {
  const std::string at = "at +" + std::to_string(t_ms - kStartMs) + " ms: the budget ";
  const std::vector<int64_t>& begins = options_.budget_begins;
  const auto next = std::lower_bound(begins.begin(), begins.end(), t_ms);
  if (next == begins.begin() || next == begins.end()) return Differ(at + "is of no known period");
  const int64_t from = *std::prev(next);
  if (ToMs(budget.begins_at) != from || ToMs(budget.ends_at) != *next) {
    return Differ(at + "is that of " + std::to_string(ToMs(budget.begins_at)) + " to " +
                  std::to_string(ToMs(budget.ends_at)) + ", not of " + std::to_string(from) +
                  " to " + std::to_string(*next));
  }
  const oracle::Sums sums = truth.Window(t_ms, t_ms - from);
  const auto bad = static_cast<double>(sums.bad);
  const double allowed = static_cast<double>(sums.total) / 1000;
  const bool same = std::abs(budget.consumed - bad) < 0.01 &&
                    std::abs(budget.total - allowed) < 0.01 &&
                    std::abs(budget.remaining - (allowed - bad)) < 0.02;
  if (same && budget.exact) return;
  Differ(at + "has " + std::to_string(budget.consumed) + " of " + std::to_string(budget.total) +
         ", not " + std::to_string(bad) + " of " + std::to_string(allowed) +
         (budget.exact ? "" : ", and is estimated"));
}

void Play::CompareSimulation() {
  if (!agrees()) return;
  oracle::Oracle hindsight(1, 1000);
  const oracle::Oracle& truth = truths_.at("");
  hindsight.series = truth.series;
  hindsight.excluded = truth.excluded;
  hindsight.Recount();
  std::set<int64_t> rounds;
  for (const auto& [name, one] : hindsight.series) {
    for (const auto& [t, sample] : one.samples) {
      if (!sample.stale) rounds.insert(t);
    }
  }
  for (const int64_t t : rounds) hindsight.Round(t);
  SimulationOptions options;
  options.from_ms = kStartMs - 1;
  options.to_ms = rounds.empty() ? kStartMs : *rounds.rbegin();
  options.exclusions = ledger_->All();
  for (const bool every_round : {false, true}) {
    options.judge_every_round = every_round;
    const auto report = Simulate(Slo(), store_->samples(), options);
    if (!report.ok()) return Differ("simulate: " + report.status().ToString());
    for (const bool urgent : {true, false}) {
      std::vector<oracle::Episode> expected =
          urgent ? hindsight.past_pages : hindsight.past_tickets;
      const oracle::Episode& last = urgent ? hindsight.page : hindsight.ticket;
      if (last.firing) expected.push_back({true, last.starts_ms, 0, 0});
      std::vector<oracle::Episode> found;
      for (const SimulatedAlert& alert : report->alerts) {
        if ((alert.severity == Severity::kPage) != urgent) continue;
        found.push_back(
            {!alert.ends_ms.has_value(), alert.starts_ms, alert.ends_ms.value_or(0), 0});
      }
      if (Describe(found) == Describe(expected)) continue;
      return Differ(std::string(urgent ? "pages" : "tickets") + " simulated" +
                    (every_round ? " round by round" : "") + ": " + Describe(found) + ", not " +
                    Describe(expected));
    }
  }
}

void Play::Finish() {
  for (const auto& [group, truth] : truths_) {
    if (options_.max_groups > 0 && group != kTotal) continue;  // the total speaks for its groups
    for (const bool urgent : {true, false}) {
      std::vector<oracle::Episode> expected = urgent ? truth.past_pages : truth.past_tickets;
      const oracle::Episode& last = urgent ? truth.page : truth.ticket;
      if (last.firing) expected.push_back(last);
      std::vector<oracle::Episode> found;
      for (const notify::Alert& alert : sink_.published) {
        if (alert.urgent != urgent) continue;
        if (options_.max_groups > 0 && alert.identity.Get("alertname") != "ShopErrors") continue;
        if (!options_.group_by.empty() &&
            alert.identity.Get(options_.group_by) != (options_.max_groups > 0 ? "" : group)) {
          continue;
        }
        if (!found.empty() && found.back().firing) found.pop_back();  // a newer word on the same
        found.push_back({!alert.resolved(), ToMs(alert.starts_at),
                         alert.resolved() ? ToMs(*alert.ends_at) : 0, 0});
      }
      const bool same = std::equal(expected.begin(), expected.end(), found.begin(), found.end(),
                                   [](const oracle::Episode& a, const oracle::Episode& b) {
                                     return a.firing == b.firing && a.starts_ms == b.starts_ms &&
                                            (a.firing || a.ends_ms == b.ends_ms);
                                   });
      if (!same) {
        Differ(std::string(urgent ? "pages" : "tickets") + " of \"" + group +
               "\": " + Describe(found) + " were published, not " + Describe(expected));
      }
    }
  }
}

size_t Play::pages() const {
  std::set<Timestamp> starts;
  for (const notify::Alert& alert : sink_.published) {
    if (alert.urgent) starts.insert(alert.starts_at);
  }
  return starts.size();
}

size_t Play::fired_publications() const {
  return static_cast<size_t>(
      std::count_if(sink_.published.begin(), sink_.published.end(),
                    [](const notify::Alert& alert) { return alert.urgent && !alert.resolved(); }));
}

std::string Play::Published() const {
  std::string out;
  for (const notify::Alert& alert : sink_.published) {
    for (const Label& label : alert.identity) out += label.name + "=" + label.value + " ";
    out += std::to_string(ToMs(alert.starts_at) - kStartMs);
    if (alert.resolved()) out += " to " + std::to_string(ToMs(*alert.ends_at) - kStartMs);
    for (const Label& label : alert.annotations) out += " " + label.name + "=" + label.value;
    out += "\n";
  }
  return out;
}

std::string PublishedBy(const OutageShape& shape, bool judge_every_round) {
  Play play({shape.group_by, shape.max_groups, false, judge_every_round, shape.more});
  shape.play(play);
  return play.Published();
}

std::string PlayOut(const OutageShape& shape,
                    const std::function<std::unique_ptr<PlayedStore>(const FakeClock&)>& store) {
  Play play(
      {shape.group_by, shape.max_groups, true, false, shape.more, shape.budget_begins, store});
  shape.play(play);
  play.Finish();
  if (!play.agrees()) return play.mismatch();
  if (shape.pages >= 0 && play.pages() != static_cast<size_t>(shape.pages)) {
    return std::to_string(play.pages()) + " pages, not " + std::to_string(shape.pages);
  }
  if (shape.publishes_once && play.fired_publications() != play.pages()) {
    return "a page was published as firing more than once";
  }
  return "";
}

}  // namespace basalt::slo
