#include "engine/notify/outbox.h"

#include <algorithm>
#include <random>
#include <utility>

#include "engine/notify/payload.h"

namespace basalt::notify {

using std::chrono::nanoseconds;

struct Outbox::Entry {
  Alert alert;
  uint64_t version = 0;  // grows with each published state
  nanoseconds published{0};
  std::optional<Timestamp> delivered_at;
  struct PerReceiver {
    uint64_t taken_version = 0;
    nanoseconds taken{0};
  };
  std::vector<PerReceiver> receivers;
};

// Its sending half is used by one thread at a time; `failures` and the stats are under the outbox's
// lock.
struct Outbox::Receiver {
  size_t number = 0;
  std::unique_ptr<AlertPoster> poster;
  std::mt19937_64 random;  // jitter, so that many of us do not probe at once
  ReceiverStats stats;
  uint32_t failures = 0;  // in a row
  nanoseconds not_before{0};
};

namespace {

constexpr size_t kLogErrorsShown = 200;  // characters of a receiver's error that are kept

bool IsSuccess(int status) { return status >= 200 && status < 300; }

}  // namespace

Outbox::Outbox(OutboxOptions options, AlertLog log)
    : options_(std::move(options)), log_(std::move(log)) {}

Result<std::unique_ptr<Outbox>> Outbox::Open(OutboxOptions options,
                                             std::vector<std::string>* warnings) {
  std::map<Hash128, Alert> alerts;
  std::vector<std::string> found;
  BASALT_TRY_ASSIGN(AlertLog log, AlertLog::Open(options.directory + "/alerts.log", alerts, found));
  if (warnings != nullptr) *warnings = std::move(found);
  std::unique_ptr<Outbox> outbox(new Outbox(std::move(options), std::move(log)));
  for (const std::string& url : outbox->options_.alertmanagers) {
    auto receiver = std::make_unique<Receiver>();
    receiver->number = outbox->receivers_.size();
    Result<std::unique_ptr<AlertPoster>> poster = outbox->options_.make_poster(url);
    if (!poster.ok()) return poster.status().WithContext("alertmanager " + url);
    receiver->poster = std::move(poster).value();
    receiver->random.seed(HashBytes64(url) ^ std::random_device()());
    receiver->stats.url = url;
    outbox->receivers_.push_back(std::move(receiver));
  }
  {
    const MutexLock lock(outbox->mu_);
    for (auto& [fingerprint, alert] : alerts) {
      Entry entry;
      entry.alert = std::move(alert);
      entry.version = 1;
      entry.published = outbox->options_.clock->Monotonic();
      entry.receivers.resize(outbox->receivers_.size());
      outbox->entries_.emplace(fingerprint, std::move(entry));
    }
    outbox->Forget();
  }
  if (outbox->options_.threads) {
    for (size_t i = 0; i < outbox->receivers_.size(); ++i) {
      outbox->threads_.emplace_back([raw = outbox.get(), i] { raw->Run(i); });
    }
  }
  return outbox;
}

Outbox::~Outbox() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

Status Outbox::Publish(std::span<const Alert> alerts) {
  const MutexLock lock(mu_);
  Status status = log_.Append(alerts);
  if (!status.ok()) ++stats_.log_errors;
  for (const Alert& alert : alerts) {
    Entry& entry = entries_[Fingerprint(alert)];
    entry.receivers.resize(receivers_.size());
    if (entry.version == 0 || entry.alert.starts_at != alert.starts_at) entry.delivered_at.reset();
    entry.alert = alert;
    ++entry.version;
    entry.published = options_.clock->Monotonic();
  }
  Forget();
  ++published_;
  wake_.NotifyAll();
  return status;
}

// Drops alerts that have been resolved for long, and rewrites the log when it has grown.
void Outbox::Forget() {
  const Timestamp now = options_.clock->Now();
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    if (!entry.alert.resolved()) return false;
    const bool taken = entry.delivered_at.has_value() || receivers_.empty();
    return now - *entry.alert.ends_at > (taken ? kResendResolved : kKeepUndelivered);
  });
  if (!log_.WantsRewrite()) return;
  std::vector<const Alert*> kept;
  for (const auto& [fingerprint, entry] : entries_) kept.push_back(&entry.alert);
  if (!log_.Rewrite(kept).ok()) ++stats_.log_errors;
}

std::vector<Alert> Outbox::Firing() const {
  const MutexLock lock(mu_);
  std::vector<Alert> firing;
  for (const auto& [fingerprint, entry] : entries_) {
    if (!entry.alert.resolved()) firing.push_back(entry.alert);
  }
  return firing;
}

std::optional<Timestamp> Outbox::DeliveredAt(const Hash128& fingerprint) const {
  const MutexLock lock(mu_);
  const auto it = entries_.find(fingerprint);
  return it == entries_.end() ? std::nullopt : it->second.delivered_at;
}

OutboxStats Outbox::Stats() const {
  const MutexLock lock(mu_);
  OutboxStats stats = stats_;
  stats.log_bytes = log_.bytes();
  for (const auto& receiver : receivers_) {
    ReceiverStats one = receiver->stats;
    one.breaker_open = receiver->failures >= kBreakerFailures;
    for (const auto& [fingerprint, entry] : entries_) {
      one.waiting += entry.receivers[receiver->number].taken_version < entry.version ? 1 : 0;
    }
    stats.receivers.push_back(std::move(one));
  }
  for (const auto& [fingerprint, entry] : entries_) stats.firing += entry.alert.resolved() ? 0 : 1;
  return stats;
}

bool Outbox::IsDue(const Entry& entry, size_t receiver, nanoseconds now) const {
  const Entry::PerReceiver& state = entry.receivers[receiver];
  return state.taken_version < entry.version || now - state.taken >= kResend;
}

std::vector<Outbox::Due> Outbox::TakeDue(const Receiver& receiver) {
  const MutexLock lock(mu_);
  const nanoseconds now = options_.clock->Monotonic();
  std::vector<Due> due;
  for (const auto& [fingerprint, entry] : entries_) {
    if (IsDue(entry, receiver.number, now))
      due.push_back({fingerprint, entry.version, entry.alert});
  }
  // Pages first, and news before repetitions.
  std::stable_sort(due.begin(), due.end(),
                   [&](const Due& a, const Due& b) { return a.alert.urgent && !b.alert.urgent; });
  return due;
}

nanoseconds Outbox::DeliverOnce(size_t number) {
  Receiver& receiver = *receivers_[number];
  {
    const MutexLock lock(mu_);
    Forget();
    const nanoseconds wait = receiver.not_before - options_.clock->Monotonic();
    if (wait > nanoseconds::zero()) return wait;
  }
  const std::vector<Due> due = TakeDue(receiver);
  for (size_t at = 0; at < due.size(); at += kMaxBatch) {
    const size_t n = std::min(kMaxBatch, due.size() - at);
    if (!Send(receiver, std::span(due).subspan(at, n))) break;
  }
  const MutexLock lock(mu_);
  const nanoseconds now = options_.clock->Monotonic();
  if (receiver.failures > 0) return std::max(receiver.not_before - now, nanoseconds::zero());
  nanoseconds next = now + kResend;
  for (const auto& [fingerprint, entry] : entries_) {
    const Entry::PerReceiver& state = entry.receivers[number];
    if (state.taken_version < entry.version) return nanoseconds::zero();
    next = std::min(next, state.taken + kResend);
  }
  return std::max(next - now, nanoseconds::zero());
}

// False: the receiver does not answer, so that more need not be tried now.
bool Outbox::Send(Receiver& receiver, std::span<const Due> batch) {
  std::vector<const Alert*> alerts;
  for (const Due& due : batch) alerts.push_back(&due.alert);
  const Timestamp until = options_.clock->Now() + kFiringFor;
  const Result<int> status = receiver.poster->Post(AlertsJson(alerts, until));
  {
    const MutexLock lock(mu_);
    ++receiver.stats.posts;
  }
  if (status.ok() && IsSuccess(*status)) {
    Accepted(receiver, batch);
    return true;
  }
  if (status.ok() && *status == 400) {
    // Alertmanager keeps the valid alerts of a batch and answers 400 for the others: find those.
    if (batch.size() == 1) {
      Rejected(receiver, batch[0]);
      return true;
    }
    const size_t half = batch.size() / 2;
    return Send(receiver, batch.first(half)) && Send(receiver, batch.subspan(half));
  }
  Failed(receiver, status.ok() ? "HTTP status " + std::to_string(*status)
                               : std::string(status.status().message()));
  return false;
}

void Outbox::Accepted(Receiver& receiver, std::span<const Due> batch) {
  const MutexLock lock(mu_);
  const nanoseconds now = options_.clock->Monotonic();
  receiver.failures = 0;
  receiver.not_before = nanoseconds::zero();
  receiver.stats.sent += batch.size();
  receiver.stats.last_error.clear();
  for (const Due& due : batch) {
    const auto it = entries_.find(due.fingerprint);
    if (it == entries_.end()) continue;
    Entry& entry = it->second;
    Entry::PerReceiver& state = entry.receivers[receiver.number];
    const bool is_first = std::all_of(entry.receivers.begin(), entry.receivers.end(),
                                      [&](const auto& r) { return r.taken_version < due.version; });
    state = {due.version, now};
    if (!entry.delivered_at.has_value()) entry.delivered_at = options_.clock->Now();
    if (!is_first || due.version != entry.version) continue;
    const auto took = static_cast<uint64_t>((now - entry.published).count());
    ++stats_.deliveries;
    stats_.delivery_ns += took;
    stats_.slowest_delivery_ns = std::max(stats_.slowest_delivery_ns, took);
  }
}

void Outbox::Rejected(Receiver& receiver, const Due& due) {
  const MutexLock lock(mu_);
  ++receiver.stats.rejected;
  receiver.stats.last_rejection = "400 for " + due.alert.identity.ToString();
  const auto it = entries_.find(due.fingerprint);
  if (it == entries_.end()) return;
  // Tried again when it would be repeated anyway, not before.
  it->second.receivers[receiver.number] = {due.version, options_.clock->Monotonic()};
}

void Outbox::Failed(Receiver& receiver, const std::string& why) {
  const MutexLock lock(mu_);
  ++receiver.stats.failures;
  ++receiver.failures;
  receiver.stats.last_error = why.substr(0, kLogErrorsShown);
  nanoseconds wait{};
  if (receiver.failures >= kBreakerFailures) {
    std::uniform_int_distribution<int64_t> probe(kMinProbe.count(), kMaxProbe.count());
    wait = nanoseconds(probe(receiver.random));
  } else {
    wait = kFirstRetry * (int64_t{1} << (receiver.failures - 1));
  }
  receiver.not_before = options_.clock->Monotonic() + wait;
}

void Outbox::Run(size_t number) {
  MutexLock lock(mu_);
  while (!stopping_) {
    const uint64_t seen = published_;
    lock.Unlock();
    const nanoseconds wait = DeliverOnce(number);
    lock.Lock();
    // While the receiver is down, a new alert does not shorten the wait: it would fail as well.
    const bool down = receivers_[number]->failures > 0;
    const nanoseconds until = options_.clock->Monotonic() + wait;
    while (!stopping_ && (down || published_ == seen)) {
      const nanoseconds left = until - options_.clock->Monotonic();
      if (left <= nanoseconds::zero()) break;
      wake_.WaitFor(lock, left);
    }
  }
}

}  // namespace basalt::notify
