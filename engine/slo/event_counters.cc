#include "engine/slo/event_counters.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <utility>

#include "engine/base/stale.h"

namespace basalt::slo {
namespace {

// Read beyond the reach, so that a value on the end of a long slot is among what is read.
constexpr int64_t kReadMarginMs = 3'600'000;

Labels Named(const Labels& labels, std::string_view name) {
  Labels named = labels;
  named.Set(kMetricName, name);
  return named;
}

// Sums of shares of events differ in their last bits by the order in which they were added.
bool Same(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a)); }

bool Same(const CounterPoint& a, const CounterPoint& b) {
  return Same(a.bad, b.bad) && Same(a.total, b.total);
}

// What belongs at `point`'s time, given the steps before and after it: as they stand in storage
// (`was_`; none of the step after) and as they are now.
CounterPoint Between(const CounterPoint& point, const CounterPoint& was_before,
                     const CounterPoint& before, const CounterPoint* was_after,
                     const CounterPoint& after) {
  const double share = static_cast<double>(point.time_ms - before.time_ms) /
                       static_cast<double>(after.time_ms - before.time_ms);
  const auto move = [&](double CounterPoint::* value) {
    const double shift = before.*value - was_before.*value;
    // What has come on top since then came after it.
    if (was_after == nullptr) return std::min(point.*value + shift, after.*value);
    if (Same(was_after->*value + shift, after.*value)) return point.*value + shift;
    return before.*value + share * (after.*value - before.*value);
  };
  return {point.time_ms, move(&CounterPoint::bad), move(&CounterPoint::total)};
}

// Stored values of one counter by time, stale markers left out.
Result<std::map<int64_t, double>> ReadCounter(const storage::Snapshot& snapshot, TenantId tenant,
                                              const Labels& labels, storage::TimeRange range) {
  storage::MatcherSet matchers;
  for (const Label& label : labels) {
    matchers.push_back({storage::MatchType::kEqual, label.name, label.value});
  }
  std::map<int64_t, double> values;
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    // Groups whose labels are a part of another's share its matchers.
    BASALT_TRY_ASSIGN(const auto selection,
                      snapshot.Select(tenant, PartitionId{static_cast<uint16_t>(p)}, matchers,
                                      range, kMaxGroupsPerSlo));
    for (size_t i = 0; i < selection->size(); ++i) {
      if (selection->labels(i) != labels) continue;
      storage::ReadOptions options;
      options.range = range;
      const auto cursor = selection->Read(i, i + 1, options);
      storage::SeriesColumns columns;
      while (true) {
        BASALT_TRY_ASSIGN(const bool more, cursor->Next(columns));
        if (!more) break;
        for (size_t k = 0; k < columns.time_ms.size(); ++k) {
          if (!IsStaleMarker(columns.values[k])) values[columns.time_ms[k]] = columns.values[k];
        }
      }
    }
  }
  return values;
}

}  // namespace

std::vector<CounterPoint> ContinueCounters(std::span<const CounterPoint> stored,
                                           std::span<const CountedEvents> steps) {
  std::vector<CounterPoint> out;
  if (stored.empty()) return out;
  const CounterPoint base = stored[0];
  CounterPoint before = base;
  CounterPoint was_before = base;
  size_t next = 1;  // in stored
  for (const CountedEvents& step : steps) {
    // Counts may fall where samples were deleted or where errors are a difference of counters.
    const CounterPoint now{step.time_ms, std::max(before.bad, base.bad + step.bad),
                           std::max(before.total, base.total + step.total)};
    const size_t first = next;
    while (next < stored.size() && stored[next].time_ms < now.time_ms) ++next;
    const bool is_stored = next < stored.size() && stored[next].time_ms == now.time_ms;
    for (const CounterPoint& point : stored.subspan(first, next - first)) {
      const CounterPoint moved =
          Between(point, was_before, before, is_stored ? &stored[next] : nullptr, now);
      if (!Same(moved, point)) out.push_back(moved);
    }
    if (!is_stored || !Same(stored[next], now)) out.push_back(now);
    was_before = is_stored ? stored[next] : now;
    if (is_stored) ++next;
    before = now;
  }
  return out;
}

Result<std::vector<CounterPoint>> EventCounters::ReadStored(TenantId tenant, const Labels& labels,
                                                            int64_t from_ms) const {
  BASALT_TRY_ASSIGN(const auto snapshot, samples_.reader().TakeSnapshot());
  const storage::TimeRange range{from_ms, INT64_MAX};
  BASALT_TRY_ASSIGN(const auto bad,
                    ReadCounter(*snapshot, tenant, Named(labels, kBadEventsName), range));
  BASALT_TRY_ASSIGN(const auto total,
                    ReadCounter(*snapshot, tenant, Named(labels, kTotalEventsName), range));
  std::vector<CounterPoint> out;
  for (const auto& [time_ms, value] : bad) {
    const auto it = total.find(time_ms);
    if (it != total.end()) out.push_back({time_ms, value, it->second});
  }
  return out;
}

Status EventCounters::Next(TenantId tenant, size_t max_groups, std::vector<Sample>& out,
                           std::vector<Labels>& alive) {
  const std::vector<CountedSlo> slos = slos_.TakeCounted(tenant, max_groups);
  std::map<Labels, State> states;
  for (const CountedSlo& slo : slos) {
    for (const CountedGroup& group : slo.groups) {
      auto node = states_.extract(group.labels);
      State& state = node.empty() ? states.try_emplace(group.labels).first->second
                                  : states.insert(std::move(node)).position->second;
      state.changed_ms = std::min(state.changed_ms, group.changed_ms);
      state.is_done = false;
    }
  }
  // Groups that are gone are looked for in the store should they come back.
  states_ = std::move(states);
  Status status;
  for (const CountedSlo& slo : slos) {
    if (Status failed = OfSlo(tenant, slo, out); !failed.ok()) status = std::move(failed);
  }
  for (const auto& [labels, state] : states_) {
    if (state.last.time_ms == 0 && !(state.is_done && state.next.time_ms != 0)) continue;
    alive.push_back(Named(labels, kBadEventsName));
    alive.push_back(Named(labels, kTotalEventsName));
  }
  return status;
}

Status EventCounters::OfSlo(TenantId tenant, const CountedSlo& slo, std::vector<Sample>& out) {
  // First those that only go on, all at once; then those that have to be compared with the store.
  std::vector<const CountedGroup*> groups;
  std::vector<CountRequest> requests;
  for (const CountedGroup& group : slo.groups) {
    const State& state = states_.at(group.labels);
    if (!state.known || state.changed_ms < state.last.time_ms) continue;
    if (group.head_ms - group.head_ms % group.step_ms <= state.last.time_ms) continue;
    CountRequest request{group.values, {}, INT64_MAX, false};
    if (state.last.time_ms != 0) request.anchors_ms = {state.last.time_ms};
    requests.push_back(std::move(request));
    groups.push_back(&group);
  }
  std::vector<CountedSince> answers = slos_.CountSince(tenant, slo.id, requests);
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].exact) continue;
    State& state = states_.at(groups[i]->labels);
    Continue(groups[i]->labels, {&state.last, state.last.time_ms != 0 ? 1U : 0U}, answers[i], state,
             out);
  }
  Status status;
  for (const CountedGroup& group : slo.groups) {
    State& state = states_.at(group.labels);
    const bool has_news = group.head_ms - group.head_ms % group.step_ms > state.last.time_ms;
    if (state.is_done || (state.known && state.changed_ms >= state.last.time_ms && !has_news)) {
      continue;
    }
    if (out.size() >= kMaxCounterPoints) break;
    if (Status failed = Compare(tenant, slo.id, group, state, out); !failed.ok()) {
      status = failed.WithContext("counters of slo " + slo.id);
    }
  }
  return status;
}

Status EventCounters::Compare(TenantId tenant, const std::string& id, const CountedGroup& group,
                              State& state, std::vector<Sample>& out) {
  const int64_t newest_ms = state.known ? state.last.time_ms : group.head_ms;
  BASALT_TRY_ASSIGN(std::vector<CounterPoint> stored,
                    ReadStored(tenant, group.labels, newest_ms - kCounterReachMs - kReadMarginMs));
  if (stored.empty() && !state.known) {
    // Silent for more than a day, or new. Before the period there is nothing to continue from.
    BASALT_TRY_ASSIGN(stored, ReadStored(tenant, group.labels, group.head_ms - group.period_ms));
  }
  if (stored.empty() && state.known && state.last.time_ms != 0) stored = {state.last};  // deleted
  CountRequest request{group.values, {}, INT64_MAX, false};
  for (const CounterPoint& point : stored) request.anchors_ms.push_back(point.time_ms);
  if (!stored.empty()) {
    request.latest_ms = std::max(state.changed_ms, stored.back().time_ms - kCounterReachMs);
    request.born = stored.front().bad == 0 && stored.front().total == 0;
  }
  const std::vector<CountedSince> answers = slos_.CountSince(tenant, id, {&request, 1});
  if (answers.empty()) return OkStatus();  // it is gone since
  const CountedSince& answer = answers[0];
  const bool reaches = !answer.steps.empty() &&
                       (stored.empty() || answer.steps.back().time_ms >= stored.back().time_ms);
  // What has changed is written when all of it can be: soon after a restart the last rounds are
  // still open.
  if (!reaches && !stored.empty()) return OkStatus();
  Continue(group.labels, std::span(stored).subspan(answer.anchor), answer, state, out);
  return OkStatus();
}

void EventCounters::Continue(const Labels& labels, std::span<const CounterPoint> stored,
                             const CountedSince& answer, State& state, std::vector<Sample>& out) {
  state.is_done = true;
  state.next = stored.empty() ? CounterPoint{} : stored.back();
  if (answer.steps.empty()) return;
  const CounterPoint birth{answer.begins_ms, 0, 0};
  std::vector<CounterPoint> points;
  if (stored.empty() || birth.time_ms < stored.front().time_ms) {
    std::vector<CounterPoint> since_birth = {birth};
    since_birth.insert(since_birth.end(), stored.begin(), stored.end());
    points = ContinueCounters(since_birth, answer.steps);
    // Only if what came before makes a difference is it born earlier than thought.
    const bool is_new =
        stored.empty() || (!points.empty() && points.front().time_ms <= stored.back().time_ms);
    if (is_new) points.insert(points.begin(), birth);
  } else {
    points = ContinueCounters(stored, answer.steps);
  }
  if (points.empty()) return;
  if (points.back().time_ms >= state.next.time_ms) state.next = points.back();
  for (const std::string_view name : {kBadEventsName, kTotalEventsName}) {
    const Labels named = Named(labels, name);
    for (const CounterPoint& point : points) {
      out.push_back({named, point.time_ms, name == kBadEventsName ? point.bad : point.total});
    }
  }
}

void EventCounters::Written() {
  for (auto& [labels, state] : states_) {
    if (!std::exchange(state.is_done, false)) continue;
    state.known = true;
    state.changed_ms = INT64_MAX;
    state.last = state.next;
  }
}

}  // namespace basalt::slo
