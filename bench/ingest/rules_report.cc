// bench/ingest: rules_report [ROUNDS] -- what the cardinality firewall and the conversion of deltas
// cost a sample, on a real store.
//
// CPU time of the thread that a request comes in on, in ns a sample, requests of 2,000: decoding,
// folding and handing over; applying is others'. Deltas: the conversion alone.
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp is POSIX, not C++

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "bench/ingest/steps.h"
#include "engine/base/varint.h"
#include "engine/ingest/otlp/delta_totals.h"
#include "engine/ingest/write_service.h"
#include "storage/store.h"

namespace basalt::bench {
namespace {

constexpr size_t kSeries = 2000;
const int64_t kStartMs = ToMs(SystemClock().Now()) - 1'800'000;
constexpr int64_t kStepMs = 1000;

struct World {
  explicit World(const ingest::Limits& limits) {
    std::string pattern = (std::filesystem::temp_directory_path() / "basalt-rules-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory = pattern;
    storage::StoreOptions options;
    options.directory = directory + "/data";
    options.apply = &apply;
    store = storage::Store::Open(options).value();
    service = std::make_unique<ingest::WriteService>(*store, SystemClock(), registry, limits);
    if (!service->firewall().Open(directory + "/folds.journal").ok()) std::abort();
  }
  ~World() {
    service.reset();
    store.reset();
    std::filesystem::remove_all(directory);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string directory;
  metrics::Registry registry;
  ThreadPool apply{"apply", 1, 10'000};
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<ingest::WriteService> service;
};

std::string Field(char tag, std::string_view bytes) {
  std::string out(1, tag);
  AppendVarint(bytes.size(), out);
  return out.append(bytes);
}

std::string Label(std::string_view name, std::string_view value) {
  return Field('\x0A', Field('\x0A', name) + Field('\x12', value));
}

// Remote write 1.0: a counter of `kSeries` requests, each with an id of its own.
std::string Request(const std::string& metric, size_t scrape) {
  std::string out;
  for (size_t i = 0; i < kSeries; ++i) {
    const auto value = static_cast<double>(scrape * (i + 1));
    std::string sample(9, '\x09');
    std::memcpy(sample.data() + 1, &value, sizeof value);
    sample += '\x10';
    AppendVarint(static_cast<uint64_t>(kStartMs) + scrape * kStepMs, sample);
    out += Field('\x0A', Label("__name__", metric) + Label("code", "200") +
                             Label("id", std::to_string(i)) + Label("instance", "host:9100") +
                             Label("job", "api") + Field('\x12', sample));
  }
  return out;
}

double Send(World& world, const std::string& body) {
  std::promise<int> answered;
  const double before = CpuNs();
  world.service->RemoteWrite(
      {.content_type = {}, .content_encoding = "identity", .body = body},
      [&answered](const ingest::WriteAnswer& answer) { answered.set_value(answer.status); });
  const double ns = CpuNs() - before;
  if (answered.get_future().get() != 204) std::abort();
  return ns / kSeries;
}

std::vector<double> SendRounds(World& world, const std::string& metric, size_t rounds) {
  std::vector<double> ns;
  for (size_t scrape = 0; scrape < rounds + 3; ++scrape) {
    const double one = Send(world, Request(metric, scrape));
    if (scrape >= 3) ns.push_back(one);  // known by then
  }
  return ns;
}

void Firewall(size_t rounds) {
  World free({});
  PrintStep("stored", SendRounds(free, "requests_total", rounds));
  ingest::Limits limits;
  limits.max_active_series = kSeries;
  World full(limits);
  Send(full, Request("first", 0));
  PrintStep("folded", SendRounds(full, "requests_total", rounds));
  if (full.service->firewall().Uses().empty()) std::abort();
}

// The deltas of one interval, of series that are known.
std::vector<storage::IngestBatch> Interval(storage::BatchBuilder& builder, size_t interval) {
  for (size_t i = 0; i < kSeries; ++i) {
    const std::string id = std::to_string(i);
    const std::vector<LabelView> labels = {
        {"__name__", "requests_total"}, {"id", id}, {"job", "api"}};
    const Hash128 fingerprint = HashBytes128(id);
    if (!builder.SelectKnown(fingerprint)) builder.SelectLabels(fingerprint, labels);
    const int64_t start_ms = kStartMs + static_cast<int64_t>(interval) * kStepMs;
    builder.AddSample(start_ms + kStepMs, 1, start_ms);
  }
  return builder.Finish();
}

void Deltas(size_t rounds) {
  World world({});
  storage::BatchBuilder builder(world.store->resolver(), kDefaultTenant);
  ingest::Report report;
  const auto append = [&world](std::vector<storage::IngestBatch> totals,
                               const std::function<void(bool)>& stored) {
    stored(world.store->Append(std::move(totals)).ok());
    return true;
  };
  const auto discard = [](const std::vector<storage::IngestBatch>&,
                          const std::function<void(bool)>& stored) {
    stored(true);
    return true;
  };
  const auto pass = [&](ingest::otlp::DeltaTotals& totals, size_t interval, const auto& to) {
    std::vector<storage::IngestBatch> deltas = Interval(builder, interval);
    const double before = CpuNs();
    if (!totals.Pass(kDefaultTenant, std::move(deltas), report, to).ok()) std::abort();
    return (CpuNs() - before) / kSeries;
  };
  {
    ingest::otlp::DeltaTotals totals(*world.store, SystemClock());
    pass(totals, 0, append);
    pass(totals, 1, append);
    std::vector<double> ns;
    for (size_t i = 0; i < rounds; ++i) ns.push_back(pass(totals, 2 + i, discard));
    PrintStep("delta to total", ns);
  }
  std::vector<double> ns;
  for (size_t i = 0; i < rounds; ++i) {
    ingest::otlp::DeltaTotals totals(*world.store, SystemClock());  // remembers nothing
    ns.push_back(pass(totals, 2, discard));
  }
  PrintStep("the first after a restart", ns);
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  const size_t rounds = argc > 1 ? static_cast<size_t>(std::stoul(argv[1])) : 20;
  std::printf("requests of %zu counters\n", basalt::bench::kSeries);
  basalt::bench::Firewall(rounds);
  basalt::bench::Deltas(rounds);
}
