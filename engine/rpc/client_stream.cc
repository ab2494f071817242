#include "engine/rpc/client_stream.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "basalt/v1/ingest.grpc.pb.h"
#include "engine/base/mutex.h"

namespace basalt::rpc {
namespace {

class GrpcClientStream final : public ClientStream {
 public:
  explicit GrpcClientStream(Options options) : options_(std::move(options)) {}
  ~GrpcClientStream() override { (void)Cancel(); }
  GrpcClientStream(const GrpcClientStream&) = delete;
  GrpcClientStream& operator=(const GrpcClientStream&) = delete;

  Status Connect() {
    grpc::ChannelArguments arguments;
    // Of its own, so that a server that is back is tried at once and not when the shared channel's
    // backoff allows, and streams do not wait for each other's bytes.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // A server that has vanished without a word is noticed.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    const auto channel =
        grpc::CreateCustomChannel(options_.address, grpc::InsecureChannelCredentials(), arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + options_.connect_timeout))
      return Unavailable(options_.address + ": no connection");
    stub_ = v1::Ingest::NewStub(channel);
    context_.AddMetadata("x-scope-orgid", std::to_string(static_cast<uint32_t>(options_.tenant)));
    stream_ = stub_->Push(&context_);
    v1::PushRequest hello;
    hello.mutable_hello()->set_writer(options_.writer);
    v1::PushResponse answer;
    if (!stream_->Write(hello) || !stream_->Read(&answer)) {
      const Status status = End();
      return status.ok() ? Unavailable(options_.address + ": the server has ended the stream")
                         : status;
    }
    last_seq_ = answer.hello().last_seq();
    {
      const MutexLock lock(mu_);
      acked_ = last_seq_;
    }
    reader_ = std::thread([this] { ReadAcks(); });
    return OkStatus();
  }

  [[nodiscard]] uint64_t last_seq() const override { return last_seq_; }

  bool Write(const v1::PushRequest& request) override { return stream_->Write(request); }

  uint64_t WaitForAck(uint64_t seq, std::optional<Duration> patience) override {
    MutexLock lock(mu_);
    if (acked_ >= seq || ended_) return acked_;
    if (patience.has_value()) {
      changed_.WaitFor(lock, *patience);
    } else {
      while (acked_ < seq && !ended_) changed_.Wait(lock);
    }
    return acked_;
  }

  [[nodiscard]] uint64_t acked() const override {
    const MutexLock lock(mu_);
    return acked_;
  }
  [[nodiscard]] LogPosition token() const override {
    const MutexLock lock(mu_);
    return token_;
  }
  [[nodiscard]] bool ended() const override {
    const MutexLock lock(mu_);
    return ended_;
  }
  std::vector<PushRejection> TakeRejections() override {
    const MutexLock lock(mu_);
    return std::exchange(rejections_, {});
  }

  Status Finish() override {
    if (stream_ == nullptr) return end_;
    stream_->WritesDone();
    return End();
  }

  Status Cancel() override {
    if (stream_ == nullptr) return end_;
    if (!ended()) context_.TryCancel();
    return End();
  }

 private:
  void ReadAcks() {
    v1::PushResponse answer;
    while (stream_->Read(&answer)) {
      const MutexLock lock(mu_);
      acked_ = std::max(acked_, answer.acked_seq());
      token_ = std::max(
          token_, LogPosition{static_cast<uint16_t>(answer.token().lane()), answer.token().seq()});
      for (const v1::Rejection& rejection : answer.rejections()) {
        rejections_.push_back({rejection.seq(),
                               rejection.items(),
                               {rejection.details().begin(), rejection.details().end()}});
      }
      changed_.NotifyAll();
    }
    const MutexLock lock(mu_);
    ended_ = true;
    changed_.NotifyAll();
  }

  Status End() {
    if (reader_.joinable()) reader_.join();
    const grpc::Status status = stream_->Finish();
    stream_.reset();
    if (!status.ok()) {
      end_ = {static_cast<StatusCode>(status.error_code()),
              options_.address + ": " + status.error_message()};
    }
    return end_;
  }

  const Options options_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PushRequest, v1::PushResponse>> stream_;
  std::thread reader_;
  uint64_t last_seq_ = 0;
  Status end_;  // once `stream_` is gone

  mutable Mutex mu_;
  CondVar changed_;
  uint64_t acked_ BASALT_GUARDED_BY(mu_) = 0;
  LogPosition token_ BASALT_GUARDED_BY(mu_);
  std::vector<PushRejection> rejections_ BASALT_GUARDED_BY(mu_);
  bool ended_ BASALT_GUARDED_BY(mu_) = false;
};

}  // namespace

Result<std::unique_ptr<ClientStream>> ClientStream::Open(const Options& options) {
  auto stream = std::make_unique<GrpcClientStream>(options);
  BASALT_TRY(stream->Connect());
  return std::unique_ptr<ClientStream>(std::move(stream));
}

}  // namespace basalt::rpc
