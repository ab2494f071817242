// engine/notify/outbox.h -- alerts stay here until every Alertmanager has taken them.
//
// Publish() makes an alert's state durable, then each receiver's own worker sends it: pages before
// tickets, the latest state only, again every minute while it fires, until the receiver has
// answered 200. A receiver that is down is probed every few seconds and delays nobody else. After a
// restart everything is sent again with its original start; receivers know alerts by their labels.
#pragma once

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

namespace basalt::notify {

// A receiver's wire, so that tests can fake one. One thread.
class AlertPoster {
 public:
  virtual ~AlertPoster() = default;
  // POSTs `body` to the receiver's alerts endpoint and gives the HTTP status. An error: no answer.
  virtual Result<int> Post(std::string_view body) = 0;
};
using PosterFactory = std::function<Result<std::unique_ptr<AlertPoster>>(const std::string& url)>;
// Real HTTP: `url` is "http://host:9093/prefix", to which "/api/v2/alerts" is added.
Result<std::unique_ptr<AlertPoster>> MakeHttpPoster(const std::string& url);

struct OutboxOptions {
  std::string directory;                   // holds alerts.log; exists
  std::vector<std::string> alertmanagers;  // URLs; may be empty: alerts are kept and shown only
  const Clock* clock = &SystemClock();
  PosterFactory make_poster = MakeHttpPoster;
  // Without threads nothing is sent but by DeliverOnce(): for tests.
  bool threads = true;
};

// Alerts of one POST at most.
inline constexpr size_t kMaxBatch = 256;
// While an alert fires it is sent again this often, and its endsAt lies four times as far ahead
// (as Prometheus does), so that three lost sends do not resolve it.
inline constexpr std::chrono::nanoseconds kResend = std::chrono::minutes(1);
inline constexpr Duration kFiringFor = std::chrono::minutes(4);
// Resolved alerts are sent again for this long, then forgotten; those that no receiver has taken
// are tried for longer.
inline constexpr Duration kResendResolved = std::chrono::minutes(15);
inline constexpr Duration kKeepUndelivered = std::chrono::hours(24);
// After the n-th failure in a row the next attempt waits 100 ms * 2^n; after kBreakerFailures the
// receiver counts as down and gets one probe every 2 to 5 s.
inline constexpr std::chrono::nanoseconds kFirstRetry = std::chrono::milliseconds(100);
inline constexpr uint32_t kBreakerFailures = 5;
inline constexpr std::chrono::nanoseconds kMinProbe = std::chrono::seconds(2);
inline constexpr std::chrono::nanoseconds kMaxProbe = std::chrono::seconds(5);

// Of one receiver, since construction, and gauges of now.
struct ReceiverStats {
  std::string url;
  uint64_t sent = 0;  // alerts accepted
  uint64_t posts = 0;
  uint64_t failures = 0;  // posts without a 2xx
  uint64_t rejected = 0;  // alerts that the receiver refused for good (400)
  uint64_t waiting = 0;   // alerts whose latest state it has not taken
  bool breaker_open = false;
  std::string last_error;      // empty while it answers
  std::string last_rejection;  // which alert it refused last
};
struct OutboxStats {
  std::vector<ReceiverStats> receivers;
  uint64_t firing = 0;
  uint64_t log_bytes = 0;
  uint64_t log_errors = 0;
  // From Publish() to the first receiver's acceptance.
  uint64_t deliveries = 0;
  uint64_t delivery_ns = 0;  // sum
  uint64_t slowest_delivery_ns = 0;
};

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

  // Sends everything that is due to the receiver of that number, and returns how long nothing more
  // will be due. What its thread does.
  std::chrono::nanoseconds DeliverOnce(size_t receiver) BASALT_EXCLUDES(mu_);

 private:
  struct Entry;
  struct Receiver;
  struct Due {
    Hash128 fingerprint;
    uint64_t version = 0;
    Alert alert;
  };

  explicit Outbox(OutboxOptions options, AlertLog log);
  std::vector<Due> TakeDue(const Receiver& receiver) BASALT_EXCLUDES(mu_);
  bool Send(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  void Accepted(Receiver& receiver, std::span<const Due> batch) BASALT_EXCLUDES(mu_);
  void Rejected(Receiver& receiver, const Due& due) BASALT_EXCLUDES(mu_);
  void Failed(Receiver& receiver, const std::string& why) BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool IsDue(const Entry& entry, size_t receiver, std::chrono::nanoseconds now) const
      BASALT_REQUIRES(mu_);
  void Forget() BASALT_REQUIRES(mu_);
  void Run(size_t receiver);

  const OutboxOptions options_;
  mutable Mutex mu_;
  CondVar wake_;
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  uint64_t published_ BASALT_GUARDED_BY(mu_) = 0;  // counts Publish() calls: wakes the workers
  std::map<Hash128, Entry> entries_ BASALT_GUARDED_BY(mu_);
  AlertLog log_ BASALT_GUARDED_BY(mu_);
  OutboxStats stats_ BASALT_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::thread> threads_;
};

}  // namespace basalt::notify
