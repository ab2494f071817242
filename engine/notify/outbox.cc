#include "engine/notify/outbox.h"

#include <algorithm>
#include <utility>

#include "engine/notify/outbox_state.h"

namespace basalt::notify {

using std::chrono::nanoseconds;

Outbox::Outbox(OutboxOptions options, AlertLog log)
    : options_(std::move(options)), log_(std::move(log)) {}

Result<std::unique_ptr<Outbox>> Outbox::Open(OutboxOptions options,
                                             std::vector<std::string>* warnings) {
  AlertLogContent content;
  std::vector<std::string> found;
  BASALT_TRY_ASSIGN(AlertLog log, AlertLog::Open(options.directory + "/alerts.log", content, found,
                                                 *options.files));
  if (warnings != nullptr) *warnings = std::move(found);
  std::unique_ptr<Outbox> outbox(new Outbox(std::move(options), std::move(log)));
  outbox->Restore(std::move(content));
  std::shared_ptr<const Receivers> receivers = outbox->options_.receivers;
  outbox->SetReceivers(receivers == nullptr ? std::make_shared<const Receivers>()
                                            : std::move(receivers));
  return outbox;
}

void Outbox::Restore(AlertLogContent content) {
  std::vector<Alert> before;
  {
    const MutexLock lock(mu_);
    const nanoseconds now = options_.clock->Monotonic();
    const Timestamp wall = options_.clock->Now();
    for (auto& [fingerprint, alert] : content.alerts) {
      Entry entry;
      before.push_back(alert);
      entry.alert = std::make_shared<const Alert>(std::move(alert));
      entry.version = entry.measured = 1;
      entry.published = now;
      entries_.emplace(fingerprint, std::move(entry));
    }
    for (const auto& [key, acceptance] : content.acceptances) {
      const auto it = entries_.find(key.first);
      if (it == entries_.end()) continue;
      Entry& entry = it->second;
      PerReceiver& state = StateOf(entry, acceptance.receiver);
      state.told = acceptance.resolved ? PerReceiver::Told::kResolved : PerReceiver::Told::kFiring;
      state.told_starts = acceptance.starts_at;
      state.at = now - std::max<nanoseconds>(wall - acceptance.at, nanoseconds::zero());
      const bool is_latest = acceptance.starts_at == entry.alert->starts_at &&
                             acceptance.resolved == entry.alert->resolved();
      state.version = is_latest ? entry.version : 0;
      if (acceptance.starts_at != entry.alert->starts_at) continue;
      if (!entry.delivered_at.has_value() || acceptance.at < *entry.delivered_at)
        entry.delivered_at = acceptance.at;
    }
    Forget();
  }
  if (options_.observer != nullptr) options_.observer->OnPublished(before, options_.clock->Now());
}

Outbox::~Outbox() {
  {
    const MutexLock configure(configure_mu_);
    discovery_.reset();
  }
  SetEndpoints(nullptr, {});
}

void Outbox::SetReceivers(std::shared_ptr<const Receivers> receivers) {
  const MutexLock configure(configure_mu_);
  // Ends before the next one tells what it has found.
  if (discovery_ != nullptr) discovery_->Stop();
  DiscoveryOptions options;
  options.clock = options_.clock;
  options.dns = options_.dns;
  options.thread = options_.threads;
  options.problem = options_.problem;
  options.found = [this, receivers](std::vector<Endpoint> endpoints) {
    SetEndpoints(receivers, std::move(endpoints));
  };
  discovery_ = std::make_unique<Discovery>(receivers, std::move(options), discovery_.get());
}

void Outbox::LookOnce() {
  const MutexLock configure(configure_mu_);
  discovery_->LookOnce();
}

std::shared_ptr<Outbox::Receiver> Outbox::MakeReceiver(const Endpoint& endpoint) {
  auto receiver = std::make_shared<Receiver>();
  receiver->endpoint = endpoint;
  receiver->id = ReceiverId(endpoint.key);
  receiver->random.seed(receiver->id ^ std::random_device()());
  auto poster = options_.make_poster(endpoint, receiver->cancelled);
  if (poster.ok()) {
    receiver->poster = std::move(poster).value();
  } else {
    receiver->broken = poster.status().message();
  }
  receiver->stats.key = endpoint.key;
  receiver->stats.url = endpoint.url;
  receiver->stats.webhook = endpoint.webhook != nullptr;
  receiver->stats.insecure = endpoint.http().tls.insecure_skip_verify;
  return receiver;
}

void Outbox::StopReceiver(Receiver& receiver) {
  receiver.cancelled.store(true, std::memory_order_relaxed);
  if (receiver.thread.joinable()) receiver.thread.join();
}

void Outbox::SetEndpoints(const std::shared_ptr<const Receivers>& receivers,
                          std::vector<Endpoint> endpoints) {
  std::vector<std::shared_ptr<Receiver>> gone;
  {
    const MutexLock lock(mu_);
    config_ = receivers;
    std::vector<std::shared_ptr<Receiver>> next;
    for (const Endpoint& endpoint : endpoints) {
      const auto same = std::find_if(receivers_.begin(), receivers_.end(), [&](const auto& known) {
        return known != nullptr && known->endpoint.key == endpoint.key;
      });
      const bool unchanged = same != receivers_.end() &&
                             (*same)->endpoint.alertmanager == endpoint.alertmanager &&
                             (*same)->endpoint.webhook == endpoint.webhook;
      std::shared_ptr<Receiver> receiver = unchanged ? std::move(*same) : MakeReceiver(endpoint);
      if (same != receivers_.end() && !unchanged) {
        // Its settings have changed: what was counted goes on.
        ReceiverStats stats = (*same)->stats;
        stats.url = receiver->stats.url;
        stats.insecure = receiver->stats.insecure;
        stats.last_error.clear();
        receiver->stats = std::move(stats);
      }
      next.push_back(std::move(receiver));
    }
    for (std::shared_ptr<Receiver>& receiver : receivers_) {
      if (receiver == nullptr) continue;
      receiver->stopping = true;
      gone.push_back(std::move(receiver));
    }
    receivers_ = std::move(next);
    ++published_;
    wake_.NotifyAll();
  }
  for (const auto& receiver : gone) StopReceiver(*receiver);
  if (!options_.threads) return;
  const MutexLock lock(mu_);
  for (const auto& receiver : receivers_) {
    if (!receiver->thread.joinable())
      receiver->thread = std::thread([this, raw = receiver.get()] { Run(*raw); });
  }
}

Status Outbox::Publish(std::span<const Alert> alerts) {
  // First of all: whoever keeps the history knows an alert before somebody accepts it.
  if (options_.observer != nullptr) options_.observer->OnPublished(alerts, options_.clock->Now());
  const MutexLock lock(mu_);
  Status status = log_.Append(alerts);
  if (!status.ok()) ++stats_.log_errors;
  bool urgent = false;
  for (const Alert& alert : alerts) {
    const Hash128 fingerprint = Fingerprint(alert);
    if (!alert.urgent && entries_.size() >= kMaxAlerts && !entries_.contains(fingerprint)) {
      ++stats_.shed;
      continue;
    }
    Entry& entry = entries_[fingerprint];
    if (entry.version == 0 || entry.alert->starts_at != alert.starts_at) entry.delivered_at.reset();
    entry.alert = std::make_shared<const Alert>(alert);
    ++entry.version;
    entry.published = options_.clock->Monotonic();
    urgent = urgent || alert.urgent;
  }
  Forget();
  ++published_;
  if (urgent) ++urgent_published_;
  wake_.NotifyAll();
  return status;
}

// Drops alerts that have been resolved for long, and rewrites the log when it has grown.
void Outbox::Forget() {
  const Timestamp now = options_.clock->Now();
  const bool nobody = receivers_.empty();
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    if (!entry.alert->resolved()) return false;
    const bool taken = entry.delivered_at.has_value() || nobody;
    return now - *entry.alert->ends_at > (taken ? kResendResolved : kKeepUndelivered);
  });
  if (log_.WantsRewrite(options_.log_rewrite_bytes)) RewriteLog();
}

void Outbox::RewriteLog() {
  const nanoseconds now = options_.clock->Monotonic();
  const Timestamp wall = options_.clock->Now();
  std::vector<const Alert*> kept;
  std::vector<Acceptance> acceptances;
  for (const auto& [fingerprint, entry] : entries_) {
    kept.push_back(entry.alert.get());
    for (const PerReceiver& state : entry.receivers) {
      if (state.told == PerReceiver::Told::kNothing) continue;
      acceptances.push_back({fingerprint, state.receiver, state.told_starts,
                             state.told == PerReceiver::Told::kResolved,
                             wall - std::chrono::duration_cast<Duration>(now - state.at)});
    }
  }
  if (!log_.Rewrite(kept, acceptances).ok()) ++stats_.log_errors;
}

Outbox::PerReceiver& Outbox::StateOf(Entry& entry, uint64_t receiver) {
  for (PerReceiver& state : entry.receivers) {
    if (state.receiver == receiver) return state;
  }
  // Addresses that come and go leave their states behind.
  if (entry.receivers.size() >= 2 * kMaxEndpoints) {
    entry.receivers.erase(
        std::min_element(entry.receivers.begin(), entry.receivers.end(),
                         [](const PerReceiver& a, const PerReceiver& b) { return a.at < b.at; }));
  }
  PerReceiver state;
  state.receiver = receiver;
  entry.receivers.push_back(state);
  return entry.receivers.back();
}

const Outbox::PerReceiver* Outbox::FindState(const Entry& entry, uint64_t receiver) {
  for (const PerReceiver& state : entry.receivers) {
    if (state.receiver == receiver) return &state;
  }
  return nullptr;
}

std::vector<Alert> Outbox::Firing() const {
  const MutexLock lock(mu_);
  std::vector<Alert> firing;
  for (const auto& [fingerprint, entry] : entries_) {
    if (!entry.alert->resolved()) firing.push_back(*entry.alert);
  }
  return firing;
}

std::optional<Timestamp> Outbox::DeliveredAt(const Hash128& fingerprint) const {
  const MutexLock lock(mu_);
  const auto it = entries_.find(fingerprint);
  return it == entries_.end() ? std::nullopt : it->second.delivered_at;
}

std::vector<std::string> Outbox::AlertmanagerUrls() const {
  const MutexLock lock(mu_);
  std::vector<std::string> urls;
  for (const auto& receiver : receivers_) {
    if (receiver->endpoint.webhook == nullptr) urls.push_back(receiver->endpoint.url);
  }
  return urls;
}

OutboxStats Outbox::Stats() const {
  OutboxStats stats;
  {
    const MutexLock configure(configure_mu_);
    if (discovery_ != nullptr) stats.discovery_problems = discovery_->problems();
  }
  const MutexLock lock(mu_);
  const auto problems = std::move(stats.discovery_problems);
  stats = stats_;
  stats.discovery_problems = problems;
  stats.log_bytes = log_.bytes();
  stats.alerts = entries_.size();
  for (const auto& receiver : receivers_) {
    ReceiverStats one = receiver->stats;
    one.breaker_open = receiver->failures >= kBreakerFailures;
    for (const auto& [fingerprint, entry] : entries_) {
      const PerReceiver* state = FindState(entry, receiver->id);
      if (state == nullptr || state->version < entry.version) ++one.waiting;
      if (state != nullptr && state->refused && one.refused.size() < kRejectedShown)
        one.refused.push_back(AllLabels(*entry.alert, Labels()));
    }
    stats.receivers.push_back(std::move(one));
  }
  for (const auto& [fingerprint, entry] : entries_) stats.firing += entry.alert->resolved() ? 0 : 1;
  return stats;
}

nanoseconds Outbox::DeliverOnce(size_t number) {
  std::shared_ptr<Receiver> receiver;
  {
    const MutexLock lock(mu_);
    if (number < receivers_.size()) receiver = receivers_[number];
  }
  return receiver == nullptr ? std::chrono::minutes(1) : Deliver(*receiver);
}

nanoseconds Outbox::Deliver(Receiver& receiver) {
  {
    const MutexLock lock(mu_);
    Forget();
    const nanoseconds wait = receiver.not_before - options_.clock->Monotonic();
    if (wait > nanoseconds::zero()) return wait;
  }
  if (receiver.endpoint.webhook != nullptr) {
    DeliverGroups(receiver);
  } else {
    DeliverAlerts(receiver);
  }
  const MutexLock lock(mu_);
  const nanoseconds now = options_.clock->Monotonic();
  if (receiver.failures > 0) return std::max(receiver.not_before - now, nanoseconds::zero());
  nanoseconds next = now + (config_ == nullptr ? Receivers().resend : config_->resend);
  for (const auto& [fingerprint, entry] : entries_)
    next = std::min(next, NextDue(entry, receiver, now));
  return std::max(next - now, nanoseconds::zero());
}

void Outbox::Run(Receiver& receiver) {
  MutexLock lock(mu_);
  while (!receiver.stopping) {
    const uint64_t seen = published_;
    lock.Unlock();
    const nanoseconds wait = Deliver(receiver);
    lock.Lock();
    // While the receiver is down, a new alert does not shorten the wait: it would fail as well.
    const bool down = receiver.failures > 0;
    const nanoseconds until = options_.clock->Monotonic() + wait;
    while (!receiver.stopping && (down || published_ == seen)) {
      const nanoseconds left = until - options_.clock->Monotonic();
      if (left <= nanoseconds::zero()) break;
      wake_.WaitFor(lock, left);
    }
  }
}

}  // namespace basalt::notify
