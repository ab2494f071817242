// engine/notify/outbox.h -- alerts stay here until every receiver has taken them.
//
// Publish() makes an alert's state durable, then each receiver's own worker sends it: pages before
// tickets, news before repetitions, the latest state only, until the receiver has answered 2xx. An
// Alertmanager is sent a firing alert again every minute; a webhook is told what has changed, and
// what still fires every few hours. A receiver that is down is probed every second or two and
// delays nobody else. After a restart everything is sent again with its original start; receivers
// know alerts by their labels.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/notify/alert.h"
#include "engine/notify/alert_log.h"
#include "engine/notify/alert_observer.h"
#include "engine/notify/delivery_stats.h"
#include "engine/notify/discovery.h"
#include "engine/notify/endpoint.h"
#include "engine/notify/payload.h"
#include "engine/notify/receivers.h"

namespace basalt::notify {

// A receiver's wire, so that tests can fake one. One thread.
class AlertPoster {
 public:
  virtual ~AlertPoster() = default;
  // POSTs `body` to the endpoint's URL and gives the HTTP status. An error: no answer.
  virtual Result<int> Post(std::string_view body, Duration timeout) = 0;
};
// `cancelled` is set when what is under way should end.
using PosterFactory = std::function<Result<std::unique_ptr<AlertPoster>>(
    const Endpoint& endpoint, const std::atomic<bool>& cancelled)>;
Result<std::unique_ptr<AlertPoster>> MakeHttpPoster(const Endpoint& endpoint,
                                                    const std::atomic<bool>& cancelled);

struct OutboxOptions {
  std::string directory;  // holds alerts.log; exists
  // Null or without any: alerts are kept and shown only.
  std::shared_ptr<const Receivers> receivers;
  std::string external_url;  // in messages to webhooks
  const Clock* clock = &SystemClock();
  PosterFactory make_poster = MakeHttpPoster;
  std::shared_ptr<DnsResolver> dns;   // null: the system's
  AlertObserver* observer = nullptr;  // borrowed
  FileSteps* files = &SystemFileSteps();
  uint64_t log_rewrite_bytes = kLogRewriteBytes;
  // Told what discovery could not find; see DiscoveryOptions.
  std::function<void(const std::string&, const std::string&)> problem = [](const std::string&,
                                                                           const std::string&) {};
  // Without threads nothing is sent but by DeliverOnce(): for tests.
  bool threads = true;
};

// Alerts of one POST at most.
inline constexpr size_t kMaxBatch = 256;
// Alerts that a worker picks at a time; news that come meanwhile are looked at after each batch.
inline constexpr size_t kMaxTaken = 16 * kMaxBatch;
// Alerts that are kept. Beyond it new tickets are refused and counted; pages never are.
inline constexpr size_t kMaxAlerts = 200'000;
// endsAt of a firing alert lies so many resends ahead (as Prometheus has it), so that three lost
// sends do not resolve it.
inline constexpr int kEndsAfterResends = 4;
// Resolved alerts are sent again for this long, then forgotten; those that no receiver has taken
// are tried for longer.
inline constexpr Duration kResendResolved = std::chrono::minutes(15);
inline constexpr Duration kKeepUndelivered = std::chrono::hours(24);
// After the n-th failure in a row the next attempt waits 100 ms * 2^n; after kBreakerFailures the
// receiver counts as down and gets one probe every 1 to 2.5 s, so that it has everything within 5 s
// of its return even when a probe has just hung for kConnectTimeout.
inline constexpr std::chrono::nanoseconds kFirstRetry = std::chrono::milliseconds(100);
inline constexpr uint32_t kBreakerFailures = 5;
inline constexpr std::chrono::nanoseconds kMinProbe = std::chrono::milliseconds(1000);
inline constexpr std::chrono::nanoseconds kMaxProbe = std::chrono::milliseconds(2500);
inline constexpr Duration kConnectTimeout = std::chrono::seconds(2);
// The first attempt at a page gives up after this: a kept connection may be dead without a word.
inline constexpr Duration kFirstPageTimeout = std::chrono::seconds(2);

// Thread-safe.
class Outbox final : public AlertSink {
 public:
  // Reads what was published before. `warnings`: damage that was found and left out.
  static Result<std::unique_ptr<Outbox>> Open(OutboxOptions options,
                                              std::vector<std::string>* warnings = nullptr);
  ~Outbox() override;  // stops sending; what is unsent is sent after the next Open
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  Status Publish(std::span<const Alert> alerts) override BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::vector<Alert> Firing() const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::optional<Timestamp> DeliveredAt(const Hash128& fingerprint) const override
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] OutboxStats Stats() const BASALT_EXCLUDES(mu_);

  // From now on to these; what stays the same goes on undisturbed in what it has been told.
  void SetReceivers(std::shared_ptr<const Receivers> receivers) BASALT_EXCLUDES(mu_, configure_mu_);
  // Base URLs of the Alertmanagers of now.
  [[nodiscard]] std::vector<std::string> AlertmanagerUrls() const BASALT_EXCLUDES(mu_);

  // Sends everything that is due to the receiver of that number, and returns how long nothing more
  // will be due. What its thread does.
  std::chrono::nanoseconds DeliverOnce(size_t receiver) BASALT_EXCLUDES(mu_);
  // Looks for addresses now, where there are no threads.
  void LookOnce() BASALT_EXCLUDES(configure_mu_);

 private:
  struct Entry;
  struct Receiver;
  struct PerReceiver;
  // A state to send.
  struct Due {
    Hash128 fingerprint;
    uint64_t version = 0;
    std::shared_ptr<const Alert> alert;
    bool news = false;     // the receiver has not had this state
    bool refused = false;  // it has, and answered 400
    OutgoingAlert out;
  };
  struct Work {
    std::vector<Due> due;
    std::shared_ptr<const Receivers> receivers;
    uint64_t urgent_seen = 0;
  };

  Outbox(OutboxOptions options, AlertLog log);
  void Restore(AlertLogContent content) BASALT_EXCLUDES(mu_);
  void SetEndpoints(const std::shared_ptr<const Receivers>& receivers,
                    std::vector<Endpoint> endpoints) BASALT_EXCLUDES(mu_);
  std::shared_ptr<Receiver> MakeReceiver(const Endpoint& endpoint) BASALT_REQUIRES(mu_);
  static void StopReceiver(Receiver& receiver);
  std::chrono::nanoseconds Deliver(Receiver& receiver) BASALT_EXCLUDES(mu_);
  void Run(Receiver& receiver);
  void Forget() BASALT_REQUIRES(mu_);
  void RewriteLog() BASALT_REQUIRES(mu_);
  static PerReceiver& StateOf(Entry& entry, uint64_t receiver);
  static const PerReceiver* FindState(const Entry& entry, uint64_t receiver);

  // delivery.cc: to Alertmanagers
  Work TakeDue(const Receiver& receiver) BASALT_EXCLUDES(mu_);
  bool PrepareAll(Receiver& receiver, Work& work) BASALT_EXCLUDES(mu_);
  void DeliverAlerts(Receiver& receiver) BASALT_EXCLUDES(mu_);
  bool Send(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  bool SendRefused(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  Result<int> Post(Receiver& receiver, const std::string& body, bool urgent_news)
      BASALT_EXCLUDES(mu_);
  void Accepted(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  void Rejected(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  void Failed(Receiver& receiver, const Result<int>& answer) BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::chrono::nanoseconds NextDue(const Entry& entry, const Receiver& receiver,
                                                 std::chrono::nanoseconds now) const
      BASALT_REQUIRES(mu_);
  // webhook_delivery.cc
  void DeliverGroups(Receiver& receiver) BASALT_EXCLUDES(mu_);

  const OutboxOptions options_;
  mutable Mutex mu_;
  CondVar wake_;
  uint64_t published_ BASALT_GUARDED_BY(mu_) = 0;  // counts Publish() calls: wakes the workers
  uint64_t urgent_published_ BASALT_GUARDED_BY(mu_) = 0;
  std::map<Hash128, Entry> entries_ BASALT_GUARDED_BY(mu_);
  AlertLog log_ BASALT_GUARDED_BY(mu_);
  OutboxStats stats_ BASALT_GUARDED_BY(mu_);
  std::shared_ptr<const Receivers> config_ BASALT_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Receiver>> receivers_ BASALT_GUARDED_BY(mu_);

  mutable Mutex configure_mu_;  // before mu_
  std::unique_ptr<Discovery> discovery_ BASALT_GUARDED_BY(configure_mu_);
};

}  // namespace basalt::notify
