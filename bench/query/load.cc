// query_load: writes the fleet to a server by remote write, in time order, as fast as it takes it.
//
//   query_load --url http://127.0.0.1:7480 --end 1767225600
//
// Three days of SLO counters, and the services' metrics in the last two hours, 15 s apart.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

#include "bench/query/fleet.h"
#include "engine/base/compress.h"
#include "engine/http/client.h"

namespace basalt::bench {
namespace {

constexpr int64_t kIntervalMs = 15'000;
// Samples of a series in one request: 5 minutes, which every peer takes as in order.
constexpr size_t kSamplesPerSeries = 20;
constexpr size_t kSeriesPerRequest = 500;

// Collects the steps of a fleet and sends them a few series at a time.
class Sender {
 public:
  Sender(http::Client& client, Fleet& fleet) : client_(client), fleet_(fleet) {
    for (const Labels& labels : fleet.series()) {
      std::string& bytes = labels_.emplace_back();
      protozero::pbf_writer writer(bytes);
      for (const Label& label : labels) {
        protozero::pbf_writer pair(writer, 1);
        pair.add_string(1, label.name);
        pair.add_string(2, label.value);
      }
    }
    columns_.resize(labels_.size());
  }

  Status Step(int64_t time_ms, bool restart) {
    fleet_.Step(restart);
    times_.push_back(time_ms);
    for (size_t i = 0; i < columns_.size(); ++i) columns_[i].push_back(fleet_.values()[i]);
    return times_.size() == kSamplesPerSeries ? Flush() : OkStatus();
  }

  Status Flush() {
    for (size_t begin = 0; begin < columns_.size() && !times_.empty(); begin += kSeriesPerRequest) {
      BASALT_TRY(Post(begin, std::min(begin + kSeriesPerRequest, columns_.size())));
    }
    sent_ += times_.size() * columns_.size();
    times_.clear();
    for (auto& column : columns_) column.clear();
    return OkStatus();
  }
  [[nodiscard]] size_t sent() const { return sent_; }

 private:
  Status Post(size_t begin, size_t end) {
    std::string request;
    protozero::pbf_writer writer(request);
    for (size_t i = begin; i < end; ++i) {
      std::string series = labels_[i];
      protozero::pbf_writer one(series);
      for (size_t s = 0; s < times_.size(); ++s) {
        protozero::pbf_writer sample(one, 2);
        sample.add_double(1, columns_[i][s]);
        sample.add_int64(2, times_[s]);
      }
      writer.add_message(1, series);
    }
    std::string body;
    BASALT_TRY(Compress(ContentCoding::kSnappy, request, body));
    BASALT_TRY_ASSIGN(const http::ClientResponse response,
                      client_.Send("POST", "/api/v1/write",
                                   {{"Content-Type", "application/x-protobuf"},
                                    {"Content-Encoding", "snappy"},
                                    {"X-Prometheus-Remote-Write-Version", "0.1.0"}},
                                   body));
    if (response.status / 100 == 2) return OkStatus();
    return Unavailable("HTTP " + std::to_string(response.status) + ": " + response.body);
  }

  http::Client& client_;
  Fleet& fleet_;
  std::vector<std::string> labels_;
  std::vector<int64_t> times_;
  std::vector<std::vector<double>> columns_;
  size_t sent_ = 0;
};

struct LoadOptions {
  std::string url;
  int64_t end_s = 0;
  int64_t hours = 2;
  int64_t slo_hours = 72;
  FleetOptions fleet;
};

Status Load(const LoadOptions& options) {
  BASALT_TRY_ASSIGN(http::Url url, http::ParseUrl(options.url));
  http::Client client(std::move(url), {.timeout = std::chrono::minutes(2)});
  Fleet services = Fleet::Services(options.fleet);
  Fleet slo = Fleet::SloCounters(options.fleet);
  Sender services_sender(client, services);
  Sender slo_sender(client, slo);
  const int64_t end_ms = options.end_s * 1000;
  const int64_t services_ms = end_ms - options.hours * 3'600'000;
  const int64_t slo_ms = end_ms - options.slo_hours * 3'600'000;
  for (int64_t t = std::min(services_ms, slo_ms) + kIntervalMs; t <= end_ms; t += kIntervalMs) {
    if (t > slo_ms) BASALT_TRY(slo_sender.Step(t, t == (slo_ms + end_ms) / 2));
    if (t > services_ms) BASALT_TRY(services_sender.Step(t, t == (services_ms + end_ms) / 2));
  }
  BASALT_TRY(slo_sender.Flush());
  BASALT_TRY(services_sender.Flush());
  std::printf("%zu series for %lld h, %zu for %lld h: %zu samples\n", services.series().size(),
              static_cast<long long>(options.hours), slo.series().size(),
              static_cast<long long>(options.slo_hours),
              services_sender.sent() + slo_sender.sent());
  return OkStatus();
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  basalt::bench::LoadOptions options;
  CLI::App app("Writes the fleet of the query benchmark to a server");
  app.add_option("--url", options.url, "base URL of the server")->required();
  app.add_option("--end", options.end_s, "time of the last samples, unix seconds, a multiple of 15")
      ->required();
  app.add_option("--hours", options.hours, "of the services' metrics");
  app.add_option("--slo-hours", options.slo_hours, "of the SLO counters");
  app.add_option("--jobs", options.fleet.jobs, "services, of 10 instances with 290 series each");
  app.add_option("--slo-jobs", options.fleet.slo_jobs, "services with SLOs, of 20 series each");
  CLI11_PARSE(app, argc, argv);
  const basalt::Status status = basalt::bench::Load(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "query_load: %s\n", std::string(status.message()).c_str());
  return 1;
}
