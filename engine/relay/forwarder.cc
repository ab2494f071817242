#include "engine/relay/forwarder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/log.h"

namespace basalt::relay {
namespace {

// How long it waits for a record, or an acknowledgement, before it looks whether it is to stop.
constexpr Duration kPatience{100};

}  // namespace

Forwarder::Forwarder(Spool& spool, ForwarderOptions options)
    : spool_(spool), options_(std::move(options)) {}

Forwarder::~Forwarder() { Stop(); }

void Forwarder::Start() {
  BASALT_CHECK(!thread_.joinable(), "Forwarder::Start twice");
  thread_ = std::thread([this] { Run(); });
}

void Forwarder::Stop() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    stop_changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

Forwarder::Stats Forwarder::GetStats() const {
  const MutexLock lock(mu_);
  return stats_;
}

void Forwarder::Run() {
  Duration backoff = options_.min_backoff;
  std::string said;
  for (;;) {
    bool progress = false;
    const Status status = RunStream(progress);
    if (progress) backoff = options_.min_backoff;
    MutexLock lock(mu_);
    stats_.connected = false;
    if (stopping_) return;
    stats_.last_error = status.ToString();
    if (stats_.last_error != said) {
      said = stats_.last_error;
      BASALT_LOG(kWarn, "the server does not take records; they are kept, and tried again",
                 {"error", said});
    }
    stop_changed_.WaitFor(lock, std::chrono::nanoseconds(backoff));
    if (stopping_) return;
    backoff = std::min(options_.max_backoff, 2 * backoff);
  }
}

void Forwarder::Take(rpc::PushRelay& stream, uint64_t acked, uint64_t& known) {
  if (acked > known) {
    spool_.Trim(acked);
    const MutexLock lock(mu_);
    stats_.acked += acked - known;
    known = acked;
  }
  for (const rpc::PushRejection& rejection : stream.TakeRejections()) {
    const std::string why = rejection.details.empty() ? "" : rejection.details[0];
    BASALT_LOG(kWarn, "the server has left items of a record out", {"record", rejection.seq},
               {"items", rejection.items}, {"first", why});
    const MutexLock lock(mu_);
    stats_.rejected_items += rejection.items;
    stats_.last_rejection = why;
  }
}

Status Forwarder::RunStream(bool& progress) {
  {
    const MutexLock lock(mu_);
    if (stopping_) return OkStatus();
    ++stats_.attempts;
  }
  BASALT_TRY_ASSIGN(const std::unique_ptr<rpc::PushRelay> stream,
                    rpc::PushRelay::Open({.address = options_.address,
                                          .writer = spool_.writer(),
                                          .tenant = options_.tenant,
                                          .connect_timeout = std::chrono::seconds(2)}));
  {
    const MutexLock lock(mu_);
    stats_.connected = true;
  }
  uint64_t acked = stream->last_seq();
  spool_.SkipTo(acked);
  spool_.Trim(acked);
  BASALT_LOG(kInfo, "forwarding", {"server", options_.address}, {"from_record", acked + 1});
  // The spool may have nothing older than this: what was acknowledged before is gone.
  uint64_t sent = std::max(acked, spool_.GetStats().oldest - 1);
  acked = sent;
  for (;;) {
    {
      const MutexLock lock(mu_);
      if (stopping_) return OkStatus();
    }
    const uint64_t before = acked;
    const bool full = sent - acked >= options_.max_unacked;
    Take(*stream, stream->WaitForAck(acked, full ? kPatience : Duration(0)), acked);
    progress = progress || acked > before;
    if (stream->ended()) break;
    if (full) continue;
    const Duration patience = sent > acked ? Duration(1) : kPatience;
    Result<std::optional<Spool::Record>> record = spool_.Read(sent + 1, patience);
    if (!record.ok()) return record.status();
    if (!record->has_value()) {
      if (sent > acked) Take(*stream, stream->WaitForAck(acked, kPatience), acked);
      progress = progress || acked > before;
      continue;
    }
    if (const Status status = stream->Send((*record)->number, (*record)->payload); !status.ok()) {
      if (status.code() == StatusCode::kUnavailable) break;
      return status;
    }
    sent = (*record)->number;
    const MutexLock lock(mu_);
    ++stats_.sent;
  }
  const Status why = stream->End();
  Take(*stream, stream->WaitForAck(acked, Duration(0)), acked);
  return why;
}

}  // namespace basalt::relay
