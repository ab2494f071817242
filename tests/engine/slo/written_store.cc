#include "tests/engine/slo/written_store.h"

#include <future>
#include <protozero/pbf_writer.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/metrics.h"
#include "engine/ingest/write_service.h"
#include "storage/store.h"
#include "tests/engine/slo/small_store.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/temporary_directory.h"

namespace basalt::slo {
namespace {

constexpr const char* kWrite2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

// A WriteRequest of remote write 1.0 with one sample.
std::string Request(const Labels& labels, int64_t t_ms, double value) {
  std::string bytes;
  protozero::pbf_writer request(bytes);
  protozero::pbf_writer series(request, 1);
  for (const Label& label : labels) {
    protozero::pbf_writer pair(series, 1);
    pair.add_string(1, label.name);
    pair.add_string(2, label.value);
  }
  protozero::pbf_writer sample(series, 2);
  sample.add_double(1, value);
  sample.add_int64(2, t_ms);
  return bytes;
}

// The same in 2.0, which knows when a counter began.
std::string Request2(const Labels& labels, int64_t t_ms, double value, int64_t start_ms) {
  std::string bytes;
  protozero::pbf_writer request(bytes);
  request.add_string(4, "");
  std::vector<uint32_t> refs;
  for (const Label& label : labels) {
    for (const std::string& text : {label.name, label.value}) {
      refs.push_back(static_cast<uint32_t>(refs.size() + 1));
      request.add_string(4, text);
    }
  }
  protozero::pbf_writer series(request, 5);
  series.add_packed_uint32(1, refs.begin(), refs.end());
  protozero::pbf_writer sample(series, 2);
  sample.add_double(1, value);
  sample.add_int64(2, t_ms);
  sample.add_int64(3, start_ms);
  return bytes;
}

class WrittenStore final : public PlayedStore {
 public:
  WrittenStore(const FakeClock& clock, Disk disk, uint64_t seed)
      : clock_(clock), random_(seed), disk_(seed) {
    if (disk == Disk::kSimulated) {
      files_ = testing::MakeFaultyFiles(disk_);
      env_ = testing::MakeFaultyEnv(disk_);
      opened_ = disk_.MakeDirectory("/disk/data");
    }
    if (opened_.ok()) opened_ = Open();
  }
  ~WrittenStore() override { End(); }

  Status Write(const Labels& labels, int64_t t_ms, double value, int64_t start_ms) override {
    BASALT_TRY(opened_);
    const bool with_start = start_ms != storage::kNoStartMs;
    const std::string message =
        with_start ? Request2(labels, t_ms, value, start_ms) : Request(labels, t_ms, value);
    std::string body;
    BASALT_TRY(Compress(ContentCoding::kSnappy, message, body));
    std::promise<ingest::WriteAnswer> promise;
    service_->RemoteWrite(
        {.content_type = with_start ? kWrite2 : "", .content_encoding = "snappy", .body = body},
        [&](const ingest::WriteAnswer& answer) { promise.set_value(answer); });
    const ingest::WriteAnswer answer = promise.get_future().get();
    if (answer.status == 204) return OkStatus();
    return Internal("HTTP " + std::to_string(answer.status) + ": " + answer.message);
  }

  Status Delete(const Labels& labels, int64_t from_ms, int64_t to_ms) override {
    BASALT_TRY(opened_);
    storage::DeleteRequest request;
    request.range = {from_ms, to_ms};
    storage::MatcherSet all;
    for (const Label& label : labels) {
      all.push_back({storage::MatchType::kEqual, label.name, label.value});
    }
    request.any_of = {all};
    return store_->Delete(request).status();
  }

  Status Forget(const Labels& /*labels*/) override {
    BASALT_TRY(opened_);
    return store_->Settle();
  }

  Status Tick() override {
    BASALT_TRY(opened_);
    switch (random_() % 60) {
      case 0:
        return store_->Maintain();
      case 1:
        return store_->Settle();
      default:
        if (random_() % 4 == 0) store_->SealIfDue();
        return OkStatus();
    }
  }

  Status Restart() override {
    BASALT_TRY(opened_);
    const uint64_t way = files_ == nullptr ? 0 : random_() % 3;
    if (way == 0) {
      service_.reset();
      BASALT_TRY(store_->Close());
    } else {
      disk_.CutPower();  // what it does until it is gone changes nothing any more
    }
    End();
    if (way == 1) disk_.Restore(testing::Survival::kEverything);  // killed: the kernel lives on
    if (way == 2) disk_.Restore(testing::Survival::kAnything);
    return Open();
  }

  SampleStore& samples() override {
    BASALT_CHECK(samples_ != nullptr, opened_.ToString().c_str());
    return *samples_;
  }

 private:
  Status Open() {
    const bool simulated = files_ != nullptr;
    storage::StoreOptions options =
        SmallStore(simulated ? "/disk/data" : directory_.path("data"), clock_);
    options.sync = simulated ? storage::SyncMode::kAlways : storage::SyncMode::kInterval;
    options.seal_samples = 20;
    options.head_samples = 0;  // rows are full at once, so that seals are many
    options.seal_age = std::chrono::minutes(10);
    options.segment_bytes = 32u << 10;
    options.log_budget_bytes = 128u << 10;
    options.files = files_.get();
    options.env = env_.get();
    BASALT_TRY_ASSIGN(store_, storage::Store::Open(options));
    samples_ = std::make_unique<StoreSamples>(*store_);
    ingest::Limits limits;
    limits.max_ahead = std::chrono::hours(24 * 365 * 10);  // plays step the wall clock back
    service_ = std::make_unique<ingest::WriteService>(*store_, clock_, registry_, limits);
    return OkStatus();
  }
  void End() {
    service_.reset();
    samples_.reset();
    store_.reset();
  }

  const FakeClock& clock_;
  std::mt19937_64 random_;
  const TemporaryDirectory directory_;
  testing::SimulatedDisk disk_;
  std::unique_ptr<storage::Files> files_;
  std::unique_ptr<rocksdb::Env, testing::EnvDeleter> env_;
  metrics::Registry registry_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<StoreSamples> samples_;
  std::unique_ptr<ingest::WriteService> service_;
  Status opened_;
};

}  // namespace

std::unique_ptr<PlayedStore> OpenWrittenStore(const FakeClock& clock, Disk disk, uint64_t seed) {
  return std::make_unique<WrittenStore>(clock, disk, seed);
}

}  // namespace basalt::slo
