// The outbox's sending half: groups of alerts to webhooks.
//
// A webhook is told when something of a group begins to fire or resolves, as Alertmanager tells it;
// what it has never been told of as firing is no news when it resolves. While something of a group
// fires, it is told again every repeat_interval.
#include <algorithm>
#include <utility>

#include "engine/notify/outbox_state.h"
#include "engine/notify/webhook.h"

namespace basalt::notify {

using std::chrono::nanoseconds;

namespace {

// Far enough for whoever waits for the nearest.
constexpr nanoseconds kNever = std::chrono::hours(24 * 365 * 100);

}  // namespace

// When the receiver has to be told of this alert next; in the past: now.
nanoseconds Outbox::NextDue(const Entry& entry, const Receiver& receiver, nanoseconds now) const {
  const PerReceiver* state = FindState(entry, receiver.id);
  const nanoseconds resend = config_ == nullptr ? Receivers().resend : nanoseconds(config_->resend);
  if (receiver.endpoint.webhook == nullptr) {
    if (state == nullptr || state->version < entry.version) return now;
    return state->at + resend;
  }
  const Webhook& webhook = *receiver.endpoint.webhook;
  const bool resolved = entry.alert->resolved();
  const auto told = state == nullptr ? PerReceiver::Told::kNothing : state->told;
  if (state != nullptr && state->version == entry.version) {
    if (state->refused) return state->at + resend;
    return resolved || told != PerReceiver::Told::kFiring ? kNever + now
                                                          : state->at + webhook.repeat;
  }
  return now;
}

void Outbox::DeliverGroups(Receiver& receiver) {
  const Webhook& webhook = *receiver.endpoint.webhook;
  Work work;
  {
    const MutexLock lock(mu_);
    const nanoseconds now = options_.clock->Monotonic();
    work.receivers = config_;
    const bool any =
        std::any_of(entries_.begin(), entries_.end(), [&](const auto& item) BASALT_REQUIRES(mu_) {
          return NextDue(item.second, receiver, now) <= now;
        });
    if (!any) return;
    for (auto& [fingerprint, entry] : entries_) {
      PerReceiver& state = StateOf(entry, receiver.id);
      const bool resolved = entry.alert->resolved();
      const bool told_firing = state.told == PerReceiver::Told::kFiring;
      const bool is_due = NextDue(entry, receiver, now) <= now;
      const bool tell = resolved ? told_firing && webhook.send_resolved : true;
      if (!tell || (resolved && !is_due)) {
        // Nothing that it wants to hear.
        if (is_due) {
          state.version = entry.version;
          state.refused = false;
          if (resolved && told_firing) state.told = PerReceiver::Told::kResolved;
        }
        continue;
      }
      // A new text of what it knows is no news; it goes along when the group is told.
      const bool news =
          is_due && (resolved || !told_firing || state.version == entry.version || state.refused);
      if (is_due && !news) state.version = entry.version;
      work.due.push_back({fingerprint, entry.version, entry.alert, news, false, OutgoingAlert()});
    }
  }
  if (!PrepareAll(receiver, work)) return;
  struct Group {
    bool news = false;
    bool urgent = false;
    std::vector<Due> alerts;
  };
  std::map<Labels, Group> groups;
  for (Due& due : work.due) {
    Group& group = groups[GroupLabelsOf(webhook.group_by, due.out.labels)];
    group.news = group.news || due.news;
    group.urgent = group.urgent || due.alert->urgent;
    group.alerts.push_back(std::move(due));
  }
  std::vector<std::pair<const Labels*, const Group*>> order;
  for (const auto& [labels, group] : groups) {
    if (group.news) order.emplace_back(&labels, &group);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second->urgent && !b.second->urgent;
  });
  for (const auto& [labels, group] : order) {
    std::vector<OutgoingAlert> alerts;
    alerts.reserve(group->alerts.size());
    for (const Due& due : group->alerts) alerts.push_back(due.out);
    const Result<int> answer =
        Post(receiver, WebhookJson(webhook, *labels, alerts, options_.external_url), group->urgent);
    if (answer.ok() && *answer >= 200 && *answer < 300) {
      Accepted(receiver, group->alerts);
    } else if (answer.ok() && (*answer == 400 || *answer == 413 || *answer == 422)) {
      Rejected(receiver, group->alerts);
    } else {
      Failed(receiver, answer);
      return;
    }
  }
}

}  // namespace basalt::notify
