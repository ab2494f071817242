#include "engine/rpc/push_client.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "basalt/v1/ingest.pb.h"
#include "engine/rpc/client_stream.h"

namespace basalt::rpc {
namespace {

class GrpcPushClient final : public PushClient {
 public:
  GrpcPushClient(std::unique_ptr<ClientStream> stream, size_t max_unacked)
      : stream_(std::move(stream)),
        max_unacked_(std::max<size_t>(max_unacked, 1)),
        next_seq_(stream_->last_seq() + 1) {}

  [[nodiscard]] uint64_t last_seq() const override { return stream_->last_seq(); }

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
    if (next_seq_ > max_unacked_) stream_->WaitForAck(next_seq_ - max_unacked_, std::nullopt);
    if (stream_->ended()) return Unavailable("push: the server has ended the stream");
    request_.set_seq(next_seq_);
    if (!stream_->Write(request_)) return Unavailable("push: the connection is gone");
    request_.Clear();
    symbols_.clear();
    return next_seq_++;
  }

  Status Flush() override {
    return stream_->WaitForAck(next_seq_ - 1, std::nullopt) + 1 < next_seq_
               ? Unavailable("push: the server has ended the stream")
               : OkStatus();
  }

  [[nodiscard]] uint64_t acked() const override { return stream_->acked(); }
  [[nodiscard]] LogPosition token() const override { return stream_->token(); }
  std::vector<PushRejection> TakeRejections() override { return stream_->TakeRejections(); }

  Status Close() override {
    if (std::exchange(closed_, true)) return OkStatus();
    const Status flushed = Flush();
    const Status ended = stream_->Finish();
    return ended.ok() ? flushed : ended;
  }

 private:
  uint32_t Symbol(const std::string& text) {
    const auto [it, is_new] =
        symbols_.try_emplace(text, static_cast<uint32_t>(request_.symbols_size()));
    if (is_new) request_.add_symbols(text);
    return it->second;
  }

  const std::unique_ptr<ClientStream> stream_;
  const size_t max_unacked_;
  bool closed_ = false;
  uint64_t next_seq_;
  uint32_t next_ref_ = 0;
  v1::PushRequest request_;
  absl::flat_hash_map<std::string, uint32_t> symbols_;
};

}  // namespace

Result<std::unique_ptr<PushClient>> PushClient::Open(const PushClientOptions& options) {
  BASALT_TRY_ASSIGN(auto stream, ClientStream::Open({.address = options.address,
                                                     .writer = options.writer,
                                                     .tenant = options.tenant}));
  return std::unique_ptr<PushClient>(
      std::make_unique<GrpcPushClient>(std::move(stream), options.max_unacked));
}

}  // namespace basalt::rpc
