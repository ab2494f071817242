// What groups, their total and __other__ say to each other. One page for one outage: while the
// total of an SLO fires, the alerts of its groups are decided and shown, and not sent.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

// Groups that a total's message names.
constexpr size_t kWorstGroups = 5;

}  // namespace

bool Evaluator::HoldBack(const Transition& transition) {
  const SloGroup& group = set_->group(transition.group);
  if (group.kind == SloGroup::Kind::kTotal) return false;
  const auto key = std::pair(transition.group, transition.severity);
  if (held_back_.contains(key)) {
    // Nobody has heard of it; that it is over, or began earlier, is no news either.
    if (!transition.state.firing) held_back_.erase(key);
    return true;
  }
  // Whoever was told that it fires hears all the rest.
  if (!transition.state.firing || !transition.news) return false;
  const std::optional<GroupIndex> total = set_->total_of(group.slo);
  if (!total.has_value()) return false;
  if (!set_->group(*total).alerts[static_cast<size_t>(transition.severity)].firing) return false;
  held_back_.insert(key);
  return true;
}

void Evaluator::LetGo(const Transition& total, std::vector<notify::Alert>& alerts) {
  const SloGroup& group = set_->group(total.group);
  if (group.kind != SloGroup::Kind::kTotal || total.state.firing) return;
  std::erase_if(held_back_, [&](const auto& key) BASALT_REQUIRES(mu_) {
    const auto [g, severity] = key;
    if (severity != total.severity || set_->group(g).slo != group.slo) return false;
    alerts.push_back(AlertOf(g, severity, set_->group(g).alerts[static_cast<size_t>(severity)]));
    return true;
  });
}

bool Evaluator::IsHeldBack(GroupIndex g, Severity severity) const {
  return held_back_.contains(std::pair(g, severity));
}

std::string Evaluator::WorstGroups(GroupIndex total, const AlertNumbers& numbers) {
  const SloGroup& group = set_->group(total);
  if (group.kind != SloGroup::Kind::kTotal) return "";
  const Definition& definition = set_->definitions()[group.slo];
  std::vector<std::pair<Counts, const std::vector<std::string>*>> worst;
  for (const auto& [values, g] : set_->groups_of(group.slo)) {
    const Counts counts = set_->Read(g, numbers.condition.short_index, false).counts;
    if (counts.bad > 0) worst.emplace_back(counts, &values);
  }
  const size_t shown = std::min(kWorstGroups, worst.size());
  std::partial_sort(worst.begin(), worst.begin() + static_cast<std::ptrdiff_t>(shown), worst.end(),
                    [](const auto& a, const auto& b) {
                      return a.first.bad != b.first.bad ? a.first.bad > b.first.bad
                                                        : *a.second < *b.second;
                    });
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    if (!text.empty()) text += "; ";
    for (const Label& label : GroupLabels(definition, *worst[i].second)) {
      text += label.name + "=" + label.value + " ";
    }
    text += FormatNumber(100 * RatioOf(worst[i].first)) + " % (" +
            FormatNumber(Events(worst[i].first.bad, definition.sli.scale)) + " of " +
            FormatNumber(Events(worst[i].first.total, definition.sli.scale)) + ")";
  }
  if (worst.size() > shown) text += "; and " + std::to_string(worst.size() - shown) + " more";
  return text;
}

void Evaluator::TellProblems() {
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const std::string& problem = set_->problem_of(slo);
    if (problem.empty() || !told_problems_.insert(slo).second) continue;
    const Definition& definition = set_->definitions()[slo];
    BASALT_LOG(kError, "an SLO has a problem", {"slo", definition.id}, {"problem", problem},
               {"file", definition.file}, {"line", definition.line});
  }
}

void Evaluator::WatchGroupCounts(const std::vector<notify::Alert>& firing) {
  std::vector<notify::Alert> changed;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const bool too_many = set_->other_series_of(slo) > 0;
    if (!too_many && firing.empty()) continue;
    if (too_many && too_many_groups_.contains(slo)) continue;
    notify::Alert alert = MakeTooManyGroupsAlert(set_->definitions()[slo], options_.clock->Now(),
                                                 options_.external_url,
                                                 set_->lacks_room(slo) ? options_.max_groups : 0);
    const auto before = std::find_if(firing.begin(), firing.end(), [&](const notify::Alert& one) {
      return one.identity == alert.identity;
    });
    const bool known = before != firing.end();
    if (too_many) too_many_groups_.insert(slo);
    if (too_many == known) continue;
    if (!too_many) {
      alert = *before;
      alert.ends_at = options_.clock->Now();
    }
    changed.push_back(std::move(alert));
  }
  Send(std::move(changed));
}

}  // namespace basalt::slo
