#include "bench/compare/stream_sender.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "bench/compare/columns.h"
#include "engine/rpc/push_client.h"

namespace basalt::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kUndefined = ~0u;

// One stream, its references, and its share of the file. One thread.
class Stream final : public ColumnSink {
 public:
  Stream(const RequestFile& file, uint32_t number, uint32_t most)
      : file_(file), number_(number), most_(most) {}

  Status Open(const std::string& address) {
    rpc::PushClientOptions options;
    options.address = address;
    BASALT_TRY_ASSIGN(client_, rpc::PushClient::Open(options));
    first_seq_ = client_->last_seq() + 1;
    return OkStatus();
  }

  void Run(std::atomic<uint64_t>& sent) {
    const Status status = SendAll(sent);
    const Status closed = client_->Close();
    broken_ = !status.ok() || !closed.ok();
    const uint64_t acked = client_->acked() + 1 - first_seq_;
    for (uint64_t i = 0; i < acked && i < samples_.size(); ++i) acked_samples_ += samples_[i];
    acked_requests_ = acked;
    refused_ = client_->TakeRejections();
  }

  void AddTo(StreamReport& report) const {
    report.acked_requests += acked_requests_;
    report.acked_samples += acked_samples_;
    report.broken |= broken_;
    for (const rpc::PushRejection& rejection : refused_) {
      report.refused_items += rejection.items;
      if (report.first_refusal.empty() && !rejection.details.empty())
        report.first_refusal = rejection.details.front();
    }
  }

 private:
  Status SendAll(std::atomic<uint64_t>& sent) {
    RequestHead head;
    size_t body = 0;
    for (size_t at = sizeof(RequestFileHeader); file_.Next(at, head, body);) {
      if (head.connection != number_) continue;
      if (waiting_ > 0 && waiting_ + head.samples > most_) BASALT_TRY(Send(sent));
      BASALT_TRY(ReadColumns(file_.bytes().substr(body, head.bytes), *this));
      waiting_ += head.samples;
    }
    return waiting_ > 0 ? Send(sent) : OkStatus();
  }

  Status Send(std::atomic<uint64_t>& sent) {
    BASALT_TRY_ASSIGN(const uint64_t seq, client_->Send());
    static_cast<void>(seq);
    samples_.push_back(waiting_);
    sent.fetch_add(waiting_, std::memory_order_relaxed);
    waiting_ = 0;
    return OkStatus();
  }

  void Define(uint32_t series, const Labels& labels) override {
    if (series >= reference_.size()) reference_.resize(series + 1, kUndefined);
    reference_[series] = client_->Define(labels);
  }
  // References follow the order of definition: a series that was absent at first stands elsewhere.
  void Scrape(uint32_t first, int64_t time_ms, std::span<const double> values) override {
    for (size_t begin = 0; begin < values.size();) {
      size_t end = begin + 1;
      while (end < values.size() && reference_[first + end] == reference_[first + end - 1] + 1)
        ++end;
      client_->AddScrape(reference_[first + begin], FromMs(time_ms),
                         values.subspan(begin, end - begin));
      begin = end;
    }
  }
  void Samples(std::span<const uint32_t> series, std::span<const int64_t> time_ms,
               std::span<const double> values) override {
    references_.clear();
    for (const uint32_t s : series) references_.push_back(reference_[s]);
    client_->AddSamples(references_, time_ms, values);
  }

  const RequestFile& file_;
  const uint32_t number_;
  const uint32_t most_;   // samples a message
  uint32_t waiting_ = 0;  // samples in the message that is being built
  std::unique_ptr<rpc::PushClient> client_;
  uint64_t first_seq_ = 1;
  std::vector<uint32_t> reference_;  // by series
  std::vector<uint32_t> references_;
  std::vector<uint32_t> samples_;  // by message sent
  uint64_t acked_requests_ = 0;
  uint64_t acked_samples_ = 0;
  bool broken_ = false;
  std::vector<rpc::PushRejection> refused_;
};

}  // namespace

Result<StreamReport> SendStreams(const RequestFile& file, const std::string& address,
                                 uint32_t samples_a_message) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (uint32_t i = 0; i < file.header().connections; ++i) {
    streams.push_back(std::make_unique<Stream>(file, i, samples_a_message));
    BASALT_TRY(streams.back()->Open(address));
  }
  const auto start = Clock::now();
  std::atomic<uint64_t> sent = 0;
  std::atomic<size_t> running = streams.size();
  std::vector<std::thread> threads;
  for (const auto& stream : streams) {
    threads.emplace_back([&stream, &sent, &running] {
      stream->Run(sent);
      running.fetch_sub(1);
    });
  }
  std::thread progress([&] {
    while (running.load() != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
      std::fprintf(
          stderr, "\rsending: %3.0f %% ",
          100 * static_cast<double>(sent.load()) / static_cast<double>(file.header().samples));
    }
  });
  for (std::thread& thread : threads) thread.join();
  StreamReport report;
  report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  progress.join();
  for (const auto& stream : streams) stream->AddTo(report);
  return report;
}

}  // namespace basalt::bench
