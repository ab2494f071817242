// engine/relay/forwarder.h -- what is in the spool goes to the server, exactly once and in order,
// for as long as it takes.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/relay/spool.h"
#include "engine/rpc/push_relay.h"

namespace basalt::relay {

struct ForwarderOptions {
  std::string address;  // of the server's gRPC
  TenantId tenant = kDefaultTenant;
  // Between attempts, doubled each time that nothing was acknowledged.
  Duration min_backoff{100};
  Duration max_backoff = std::chrono::seconds(30);
  uint64_t max_unacked = 64;  // records on their way
};

// A thread of its own from Start to Stop. Thread-safe. `spool` must outlive it.
class Forwarder {
 public:
  Forwarder(Spool& spool, ForwarderOptions options);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  void Start();
  // What is on its way is left to the next start, which asks the server what has arrived.
  void Stop();

  struct Stats {
    bool connected = false;
    uint64_t sent = 0;   // records, since the start
    uint64_t acked = 0;  // likewise
    uint64_t attempts = 0;
    uint64_t rejected_items = 0;  // that the server has left out; `last_rejection` says why
    std::string last_rejection;
    std::string last_error;  // of the last stream that ended; empty: none has
  };
  [[nodiscard]] Stats GetStats() const BASALT_EXCLUDES(mu_);

 private:
  void Run();
  // One stream, until it ends. `progress`: something was acknowledged.
  Status RunStream(bool& progress);
  void Take(rpc::PushRelay& stream, uint64_t acked, uint64_t& known);

  Spool& spool_;
  const ForwarderOptions options_;
  std::thread thread_;
  mutable Mutex mu_;
  CondVar stop_changed_;
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  Stats stats_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::relay
