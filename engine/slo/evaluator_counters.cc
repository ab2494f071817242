// What event counters (event_counters.h) ask the evaluator.
#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/slo/evaluator.h"
#include "engine/slo/event_counters.h"
#include "engine/slo/message.h"
#include "engine/slo/recorded_series.h"

namespace basalt::slo {
namespace {

// Where an SLO's slots are coarser than a counter's step there is nothing to write in between.
int64_t StepOf(const Definition& definition) {
  return std::max(kCounterStepMs, definition.layout->levels().front().slot_ms);
}

// Windows that are asked for one by one tell ratios, and no events that could be added up.
bool CountsEvents(const Definition& definition) {
  return !definition.polled.has_value() || !definition.polled->by_windows();
}

}  // namespace

std::vector<CountedSlo> Evaluator::TakeCounted(TenantId tenant, size_t max_groups) {
  const MutexLock lock(mu_);
  std::vector<CountedSlo> out;
  if (set_ == nullptr) return out;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (definition.tenant != tenant || !CountsEvents(definition)) continue;
    CountedSlo one{definition.id, {}};
    for (const auto& [values, g] : set_->groups_of(slo)) {
      if (one.groups.size() == max_groups) break;
      if (!set_->group(g).has_data) continue;
      one.groups.push_back({values, RecordedLabels(definition, GroupLabels(definition, values)),
                            set_->slots().head_ms(g), StepOf(definition), definition.period.count(),
                            set_->TakeChanged(g)});
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<CountedSince> Evaluator::CountSince(TenantId tenant, std::string_view id,
                                                std::span<const CountRequest> requests) const {
  const MutexLock lock(mu_);
  std::vector<CountedSince> out;
  if (set_ == nullptr || requests.empty()) return out;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (definition.tenant != tenant || definition.id != id) continue;
    const auto& groups = set_->groups_of(slo);
    for (const CountRequest& request : requests) {
      const auto it = groups.find(request.values);
      if (it == groups.end()) return {};
      out.push_back(CountedOf(it->second, request));
    }
    break;
  }
  return out;
}

CountedSince Evaluator::CountedOf(GroupIndex g, const CountRequest& request) const {
  const Definition& definition = set_->definitions()[set_->group(g).slo];
  const int64_t step_ms = StepOf(definition);
  const std::vector<int64_t>& anchors = request.anchors_ms;
  CountedSince out;
  const auto is_good = [&](int64_t time_ms)
                           BASALT_REQUIRES(mu_) { return set_->OnSlotEnd(g, time_ms); };
  const auto after = std::upper_bound(anchors.begin(), anchors.end(), request.latest_ms);
  auto at = std::find_if(std::make_reverse_iterator(after), anchors.rend(), is_good).base();
  if (at != anchors.begin()) {
    --at;
  } else if (anchors.empty() || request.born) {
    const std::optional<int64_t> first_ms = set_->FirstCounted(g);
    if (!first_ms.has_value()) return out;
    out.begins_ms = *first_ms - *first_ms % step_ms;
    if (!anchors.empty()) out.begins_ms = std::min(out.begins_ms, anchors.front());
  } else {
    // Without a better one some of what has changed is left out.
    at = std::find_if(after, anchors.end(), is_good);
    if (at == anchors.end()) at = std::prev(anchors.end());
  }
  if (out.begins_ms == 0) {
    out.anchor = static_cast<size_t>(at - anchors.begin());
    out.begins_ms = *at;
    out.exact = is_good(*at);
  }
  for (const CountedStep& step : set_->CountSince(g, out.begins_ms, step_ms)) {
    out.steps.push_back({step.time_ms, Events(step.counts.bad, definition.sli.scale),
                         Events(step.counts.total, definition.sli.scale)});
  }
  return out;
}

}  // namespace basalt::slo
