#include "engine/rpc/push_client.h"

#include <absl/container/flat_hash_map.h>
#include <grpcpp/grpcpp.h>

#include <thread>

#include "basalt/v1/ingest.grpc.pb.h"
#include "engine/base/mutex.h"

namespace basalt::rpc {
namespace {

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return OkStatus();
  return {static_cast<StatusCode>(status.error_code()), "push: " + status.error_message()};
}

class GrpcPushClient final : public PushClient {
 public:
  explicit GrpcPushClient(const PushClientOptions& options) : options_(options) {}

  ~GrpcPushClient() override {
    if (stream_ == nullptr || closed_) return;
    context_.TryCancel();
    (void)End();
  }
  GrpcPushClient(const GrpcPushClient&) = delete;
  GrpcPushClient& operator=(const GrpcPushClient&) = delete;

  Status Connect() {
    auto channel = grpc::CreateChannel(options_.address, grpc::InsecureChannelCredentials());
    stub_ = v1::Ingest::NewStub(channel);
    context_.AddMetadata("x-scope-orgid", std::to_string(static_cast<uint32_t>(options_.tenant)));
    stream_ = stub_->Push(&context_);
    v1::PushRequest hello;
    hello.mutable_hello()->set_writer(options_.writer);
    v1::PushResponse answer;
    if (!stream_->Write(hello) || !stream_->Read(&answer)) {
      closed_ = true;
      return FromGrpc(stream_->Finish()).WithContext(options_.address);
    }
    last_seq_ = answer.hello().last_seq();
    next_seq_ = last_seq_ + 1;
    {
      const MutexLock lock(mu_);
      acked_ = last_seq_;
    }
    reader_ = std::thread([this] { ReadAcks(); });
    return OkStatus();
  }

  [[nodiscard]] uint64_t last_seq() const override { return last_seq_; }

  uint32_t Define(const Labels& labels) override {
    v1::SeriesDefinition* series = request_.add_series();
    series->set_ref(next_ref_);
    for (const Label& label : labels) {
      series->add_labels(Symbol(label.name));
      series->add_labels(Symbol(label.value));
    }
    return next_ref_++;
  }

  void AddScrape(uint32_t first, Timestamp time, std::span<const double> values) override {
    v1::SampleBlock* block = request_.add_samples();
    block->set_first_ref(first);
    block->set_time_ms(ToMs(time));
    block->set_values(values.data(), values.size_bytes());
  }

  void AddSamples(std::span<const uint32_t> refs, std::span<const int64_t> time_ms,
                  std::span<const double> values) override {
    BASALT_CHECK(refs.size() == values.size() && time_ms.size() == values.size(),
                 "parallel columns");
    if (refs.empty()) return;
    v1::SampleBlock* block = request_.add_samples();
    block->set_first_ref(refs[0]);
    block->set_time_ms(time_ms[0]);
    for (size_t i = 1; i < refs.size(); ++i) {
      block->add_ref_delta(static_cast<int32_t>(refs[i] - refs[i - 1]));
      block->add_time_delta_ms(time_ms[i] - time_ms[i - 1]);
    }
    block->set_values(values.data(), values.size_bytes());
  }

  Result<uint64_t> Send() override {
    {
      MutexLock lock(mu_);
      while (!ended_ && next_seq_ - 1 - acked_ >= options_.max_unacked) changed_.Wait(lock);
      if (ended_) return Unavailable("push: the server has ended the stream");
    }
    request_.set_seq(next_seq_);
    if (!stream_->Write(request_)) return Unavailable("push: the connection is gone");
    request_.Clear();
    symbols_.clear();
    return next_seq_++;
  }

  Status Flush() override {
    MutexLock lock(mu_);
    while (!ended_ && acked_ + 1 < next_seq_) changed_.Wait(lock);
    return acked_ + 1 < next_seq_ ? Unavailable("push: the server has ended the stream")
                                  : OkStatus();
  }

  [[nodiscard]] uint64_t acked() const override {
    const MutexLock lock(mu_);
    return acked_;
  }
  [[nodiscard]] LogPosition token() const override {
    const MutexLock lock(mu_);
    return token_;
  }
  std::vector<PushRejection> TakeRejections() override {
    const MutexLock lock(mu_);
    return std::exchange(rejections_, {});
  }

  Status Close() override {
    if (closed_) return OkStatus();
    const Status flushed = Flush();
    stream_->WritesDone();
    const Status ended = End();
    return ended.ok() ? flushed : ended;
  }

 private:
  uint32_t Symbol(const std::string& text) {
    const auto [it, is_new] =
        symbols_.try_emplace(text, static_cast<uint32_t>(request_.symbols_size()));
    if (is_new) request_.add_symbols(text);
    return it->second;
  }

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
    closed_ = true;
    if (reader_.joinable()) reader_.join();
    return FromGrpc(stream_->Finish());
  }

  const PushClientOptions options_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PushRequest, v1::PushResponse>> stream_;
  std::thread reader_;
  bool closed_ = false;
  uint64_t last_seq_ = 0;
  uint64_t next_seq_ = 1;
  uint32_t next_ref_ = 0;
  v1::PushRequest request_;
  absl::flat_hash_map<std::string, uint32_t> symbols_;

  mutable Mutex mu_;
  CondVar changed_;
  uint64_t acked_ BASALT_GUARDED_BY(mu_) = 0;
  LogPosition token_ BASALT_GUARDED_BY(mu_);
  std::vector<PushRejection> rejections_ BASALT_GUARDED_BY(mu_);
  bool ended_ BASALT_GUARDED_BY(mu_) = false;
};

}  // namespace

Result<std::unique_ptr<PushClient>> PushClient::Open(const PushClientOptions& options) {
  auto client = std::make_unique<GrpcPushClient>(options);
  BASALT_TRY(client->Connect());
  return std::unique_ptr<PushClient>(std::move(client));
}

}  // namespace basalt::rpc
