#include "engine/rpc/push_service.h"

#include <memory>
#include <string>
#include <vector>

#include "engine/rpc/grpc_types.h"

namespace basalt::rpc {
namespace {

grpc::ByteBuffer Serialize(const PushReply& reply) {
  v1::PushResponse message;
  if (reply.is_hello) message.mutable_hello()->set_last_seq(reply.last_seq);
  message.set_acked_seq(reply.acked_seq);
  if (reply.token.seq != 0) {
    message.mutable_token()->set_lane(reply.token.lane);
    message.mutable_token()->set_seq(reply.token.seq);
  }
  for (const PushReply::Rejected& rejected : reply.rejections) {
    v1::Rejection* out = message.add_rejections();
    out->set_seq(rejected.seq);
    out->set_items(rejected.items);
    for (const std::string& detail : rejected.details) out->add_details(detail);
  }
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

}  // namespace

// The transport of one stream: at most one read and one write under way, and an end that waits for
// the decoder, for every append and for the write. Kept alive by `self_` until gRPC is done with
// it, and by whoever still works for it.
//
// The end is Finish, or StartWriteAndFinish with the last reply: StartWriteLast followed by Finish
// hangs with several streams in gRPC 1.51 (design/stack.md A.3). A read that is out on the wire
// does not hold up the end; gRPC ends it.
class PushReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public std::enable_shared_from_this<PushReactor> {
 public:
  PushReactor(PushService& service, TenantId tenant)
      : service_(service),
        tenant_(tenant),
        stream_(service.store_, service.clock_, service.counts_, tenant, [this] { Pump(); }) {}

  void Begin() {
    self_ = shared_from_this();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    {
      const MutexLock lock(mu_);
      if (!ok) {
        reading_ = Reading::kEnded;
      } else if (service_.ingest_.Post(tenant_, [self = shared_from_this()] { self->Consume(); })) {
        // Decoding is not for gRPC's threads.
        reading_ = Reading::kDecoding;
      } else {
        // A full executor is answered like a full store: try again later.
        reading_ = Reading::kRefused;
      }
    }
    Pump();
  }

  void OnWriteDone(bool ok) override {
    {
      const MutexLock lock(mu_);
      writing_ = false;
      if (!ok) cancelled_ = true;
    }
    Pump();
  }

  void OnCancel() override {
    {
      const MutexLock lock(mu_);
      cancelled_ = true;
    }
    Pump();
  }

  void OnDone() override { self_.reset(); }

  // Starts whatever can be started now. Called after every change, from any thread. Operations are
  // started under the lock, so that none can follow Finish; gRPC runs their reactions on threads of
  // its own.
  void Pump() {
    const std::shared_ptr<PushReactor> alive =
        shared_from_this();  // beyond OnDone, which may come before we return
    const MutexLock lock(mu_);
    if (finished_) return;
    const Status failure = stream_.Failure();
    const bool ending = reading_ == Reading::kEnded || reading_ == Reading::kRefused ||
                        cancelled_ || !failure.ok() || service_.draining();
    if (!ending && reading_ == Reading::kIdle &&
        stream_.in_flight() < service_.options_.max_in_flight_per_stream) {
      reading_ = Reading::kOnTheWire;
      StartRead(&request_);
    }
    if (writing_) return;
    // Asked in this order: what is in flight cannot grow while nothing is decoded, so "last" is
    // final.
    const bool last = ending && reading_ != Reading::kDecoding && stream_.in_flight() == 0;
    PushReply reply;
    const bool has_reply = !cancelled_ && stream_.TakeReply(reply);
    if (has_reply) response_ = Serialize(reply);
    if (last) {
      finished_ = true;
      if (has_reply) {
        StartWriteAndFinish(&response_, grpc::WriteOptions(), EndStatus(failure));
      } else {
        Finish(EndStatus(failure));
      }
    } else if (has_reply) {
      writing_ = true;
      StartWrite(&response_);
    }
  }

 private:
  enum class Reading : uint8_t { kIdle, kOnTheWire, kDecoding, kEnded, kRefused };

  void Consume() {
    grpc::Slice slice;
    if (request_.TrySingleSlice(&slice).ok()) {
      stream_.OnMessage({reinterpret_cast<const char*>(slice.begin()), slice.size()},
                        shared_from_this());
    } else {
      std::vector<grpc::Slice> slices;
      flat_.clear();
      if (request_.Dump(&slices).ok()) {
        for (const grpc::Slice& piece : slices) {
          flat_.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
        }
      }
      stream_.OnMessage(flat_, shared_from_this());
    }
    // The next read may be long in coming, and what is decoded already is not to wait for it.
    slice = {};
    request_.Clear();
    {
      const MutexLock lock(mu_);
      reading_ = Reading::kIdle;
    }
    Pump();
  }

  [[nodiscard]] grpc::Status EndStatus(const Status& failure) const BASALT_REQUIRES(mu_) {
    if (!failure.ok()) return ToGrpc(failure);
    if (cancelled_) return ToGrpc(Cancelled("push: the writer went away"));
    if (reading_ == Reading::kRefused)
      return ToGrpc(ResourceExhausted("push: too many messages wait; resume later"));
    if (reading_ != Reading::kEnded)
      return ToGrpc(Unavailable("push: the server is stopping; resume elsewhere"));
    return grpc::Status::OK;
  }

  PushService& service_;
  const TenantId tenant_;
  std::shared_ptr<PushReactor> self_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::string flat_;  // a message that came in several slices

  Mutex mu_;
  Reading reading_ BASALT_GUARDED_BY(mu_) = Reading::kOnTheWire;
  bool writing_ BASALT_GUARDED_BY(mu_) = false;
  bool cancelled_ BASALT_GUARDED_BY(mu_) = false;
  bool finished_ BASALT_GUARDED_BY(mu_) = false;
  PushStream stream_;
};

namespace {

// A stream that is refused before it begins.
class RefusedReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedReactor(const Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PushService::Push(
    grpc::CallbackServerContext* context) {
  const auto tenant = TenantOf(*context);
  if (!tenant.ok()) return new RefusedReactor(tenant.status());
  const auto reactor = std::make_shared<PushReactor>(*this, *tenant);
  reactor->Begin();
  {
    const MutexLock lock(mu_);
    std::erase_if(streams_, [](const auto& stream) { return stream.expired(); });
    streams_.push_back(reactor);
  }
  return reactor.get();
}

void PushService::Drain() {
  std::vector<std::weak_ptr<PushReactor>> streams;
  {
    const MutexLock lock(mu_);
    draining_ = true;
    streams = streams_;
  }
  for (const auto& stream : streams) {
    if (const auto alive = stream.lock()) alive->Pump();
  }
}

}  // namespace basalt::rpc
