// The outbox's sending half: to Alertmanagers.
#include <algorithm>
#include <utility>

#include "engine/notify/outbox_state.h"
#include "engine/notify/payload.h"

namespace basalt::notify {

using std::chrono::nanoseconds;

namespace {

constexpr size_t kErrorShown = 200;  // characters of a receiver's error that are kept

bool IsSuccess(const Result<int>& answer) { return answer.ok() && *answer >= 200 && *answer < 300; }
// It will not be taken however often it is sent. What says that we are not welcome at all (401,
// 403, 404) is a failure of the receiver: it concerns every alert, and ends when somebody repairs
// it.
bool IsRefusal(const Result<int>& answer) {
  return answer.ok() && (*answer == 400 || *answer == 413 || *answer == 422);
}

}  // namespace

// The states that the receiver has not answered, or that are to be repeated: pages first, news
// before repetitions, what it refuses last. At most kMaxTaken.
Outbox::Work Outbox::TakeDue(const Receiver& receiver) {
  const MutexLock lock(mu_);
  const nanoseconds now = options_.clock->Monotonic();
  Work work;
  work.receivers = config_;
  work.urgent_seen = urgent_published_;
  struct Candidate {
    int rank = 0;
    const Hash128* fingerprint = nullptr;
    const Entry* entry = nullptr;
  };
  std::vector<Candidate> found;
  for (const auto& [fingerprint, entry] : entries_) {
    if (NextDue(entry, receiver, now) > now) continue;
    const PerReceiver* state = FindState(entry, receiver.id);
    const bool news = state == nullptr || state->version < entry.version;
    const bool refused = !news && state->refused;
    const int rank = refused ? 4 : (news ? 0 : 2) + (entry.alert->urgent ? 0 : 1);
    found.push_back({rank, &fingerprint, &entry});
  }
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank < b.rank : *a.fingerprint < *b.fingerprint;
  };
  const size_t n = std::min(found.size(), kMaxTaken);
  std::partial_sort(found.begin(), found.begin() + static_cast<ptrdiff_t>(n), found.end(), before);
  for (size_t i = 0; i < n; ++i) {
    const Candidate& one = found[i];
    work.due.push_back({*one.fingerprint, one.entry->version, one.entry->alert, one.rank < 2,
                        one.rank == 4, OutgoingAlert()});
  }
  return work;
}

// Gives each state its labels for this receiver; what a rule drops is done with. False: the
// receivers have changed meanwhile.
bool Outbox::PrepareAll(Receiver& receiver, Work& work) {
  if (work.receivers == nullptr) return false;
  const Receivers& config = *work.receivers;
  const Timestamp now = options_.clock->Now();
  const Duration ahead = kEndsAfterResends * config.resend;
  std::vector<Due> dropped;
  std::vector<Due> kept;
  for (Due& due : work.due) {
    due.out.alert = due.alert.get();
    due.out.labels = AllLabels(*due.alert, config.external_labels);
    due.out.firing_until =
        now + (due.alert->urgent ? std::max(ahead, config.page_ends_after) : ahead);
    const bool keep = Relabel(config.alert_relabel, due.out.labels) &&
                      Relabel(receiver.endpoint.alert_relabel(), due.out.labels);
    (keep ? kept : dropped).push_back(std::move(due));
  }
  work.due = std::move(kept);
  const MutexLock lock(mu_);
  for (const Due& due : dropped) {
    const auto it = entries_.find(due.fingerprint);
    if (it == entries_.end()) continue;
    PerReceiver& state = StateOf(it->second, receiver.id);
    if (state.version < due.version) ++receiver.stats.dropped;
    state.version = due.version;
    state.at = options_.clock->Monotonic();
    state.refused = false;
  }
  return !receiver.stopping;
}

void Outbox::DeliverAlerts(Receiver& receiver) {
  Work work = TakeDue(receiver);
  if (work.due.empty() || !PrepareAll(receiver, work)) return;
  const auto refused = std::partition_point(work.due.begin(), work.due.end(),
                                            [](const Due& due) { return !due.refused; });
  const auto split = static_cast<size_t>(refused - work.due.begin());
  for (size_t at = 0; at < work.due.size();) {
    const size_t end = at < split ? split : work.due.size();
    const size_t n = std::min(kMaxBatch, end - at);
    const auto batch = std::span<const Due>(work.due).subspan(at, n);
    if (!(at < split ? Send(receiver, batch) : SendRefused(receiver, batch))) return;
    at += n;
    const MutexLock lock(mu_);
    // A page that has come meanwhile goes next, not behind all of these.
    if (receiver.stopping || urgent_published_ != work.urgent_seen) return;
  }
}

Result<int> Outbox::Post(Receiver& receiver, const std::string& body, bool urgent_news) {
  if (receiver.poster == nullptr) return Unavailable(receiver.broken);
  Duration timeout = receiver.endpoint.http().timeout;
  {
    const MutexLock lock(mu_);
    if (urgent_news && receiver.failures == 0) timeout = std::min(timeout, kFirstPageTimeout);
    ++receiver.stats.posts;
  }
  const nanoseconds begin = options_.clock->Monotonic();
  Result<int> answer = receiver.poster->Post(body, timeout);
  const MutexLock lock(mu_);
  receiver.stats.post_ns += static_cast<uint64_t>((options_.clock->Monotonic() - begin).count());
  return answer;
}

// False: the receiver does not answer, so that more need not be tried now.
bool Outbox::Send(Receiver& receiver, std::span<const Due> batch) {
  std::vector<OutgoingAlert> alerts;
  bool urgent_news = false;
  for (const Due& due : batch) {
    alerts.push_back(due.out);
    urgent_news = urgent_news || (due.news && due.alert->urgent);
  }
  const Result<int> answer = Post(receiver, AlertsJson(alerts), urgent_news);
  if (IsSuccess(answer)) {
    Accepted(receiver, batch);
    return true;
  }
  if (IsRefusal(answer)) {
    // Alertmanager keeps the valid alerts of a batch and answers 400 for the others: find those.
    if (batch.size() == 1) {
      Rejected(receiver, batch);
      return true;
    }
    const size_t half = batch.size() / 2;
    return Send(receiver, batch.first(half)) && Send(receiver, batch.subspan(half));
  }
  Failed(receiver, answer);
  return false;
}

// Alerts that were refused one by one before: together, because Alertmanager keeps those that have
// become valid whatever it answers, and they are no reason to halve batches every minute.
bool Outbox::SendRefused(Receiver& receiver, std::span<const Due> batch) {
  std::vector<OutgoingAlert> alerts;
  for (const Due& due : batch) alerts.push_back(due.out);
  const Result<int> answer = Post(receiver, AlertsJson(alerts), false);
  if (IsSuccess(answer)) {
    Accepted(receiver, batch);
  } else if (IsRefusal(answer)) {
    Rejected(receiver, batch);
  } else {
    Failed(receiver, answer);
    return false;
  }
  return true;
}

void Outbox::Accepted(Receiver& receiver, std::span<const Due> batch) {
  std::vector<Alert> told;
  const Timestamp wall = options_.clock->Now();
  {
    const MutexLock lock(mu_);
    const nanoseconds now = options_.clock->Monotonic();
    receiver.failures = 0;
    receiver.not_before = nanoseconds::zero();
    receiver.stats.sent += batch.size();
    receiver.stats.last_error.clear();
    std::vector<Acceptance> acceptances;
    for (const Due& due : batch) {
      const auto it = entries_.find(due.fingerprint);
      if (it == entries_.end()) continue;
      Entry& entry = it->second;
      PerReceiver& state = StateOf(entry, receiver.id);
      const auto what =
          due.alert->resolved() ? PerReceiver::Told::kResolved : PerReceiver::Told::kFiring;
      // Webhooks count their repetitions from here, so theirs is written down every time.
      if (state.told != what || state.told_starts != due.alert->starts_at ||
          receiver.endpoint.webhook != nullptr) {
        acceptances.push_back(
            {due.fingerprint, receiver.id, due.alert->starts_at, due.alert->resolved(), wall});
        told.push_back(*due.alert);
      }
      state = {receiver.id, due.version, now, what, due.alert->starts_at, false};
      if (!entry.delivered_at.has_value() && entry.alert->starts_at == due.alert->starts_at)
        entry.delivered_at = wall;
      if (entry.measured >= due.version || due.version != entry.version) continue;
      entry.measured = due.version;
      DeliveryTimes& times = due.alert->urgent ? stats_.pages : stats_.tickets;
      times.Observe(static_cast<uint64_t>((now - entry.published).count()));
    }
    if (!acceptances.empty() && !log_.Append(acceptances).ok()) ++stats_.log_errors;
  }
  if (options_.observer != nullptr && !told.empty())
    options_.observer->OnAccepted(told, receiver.endpoint.key, wall);
}

void Outbox::Rejected(Receiver& receiver, std::span<const Due> batch) {
  const MutexLock lock(mu_);
  receiver.failures = 0;  // it answers
  for (const Due& due : batch) {
    const auto it = entries_.find(due.fingerprint);
    if (it == entries_.end()) continue;
    PerReceiver& state = StateOf(it->second, receiver.id);
    if (state.version < due.version || !state.refused) {
      ++receiver.stats.rejected;
      receiver.stats.last_rejection = "refused: " + due.out.labels.ToString();
    }
    // Tried again when it would be repeated anyway, not before.
    state.version = due.version;
    state.at = options_.clock->Monotonic();
    state.refused = true;
  }
}

void Outbox::Failed(Receiver& receiver, const Result<int>& answer) {
  const MutexLock lock(mu_);
  ++receiver.stats.failures;
  ++receiver.failures;
  const std::string why = answer.ok() ? "HTTP status " + std::to_string(*answer)
                                      : std::string(answer.status().message());
  receiver.stats.last_error = why.substr(0, kErrorShown);
  nanoseconds wait{};
  if (receiver.failures >= kBreakerFailures) {
    std::uniform_int_distribution<int64_t> probe(kMinProbe.count(), kMaxProbe.count());
    wait = nanoseconds(probe(receiver.random));
  } else {
    wait = kFirstRetry * (int64_t{1} << (receiver.failures - 1));
  }
  receiver.not_before = options_.clock->Monotonic() + wait;
}

}  // namespace basalt::notify
