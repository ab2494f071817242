// A stand-in for ../shared/data. Shares are those of the recording: of 4,318 series 59 % never
// change, 33 % are counters that do, 8 % are gauges, a fifth of them with all their mantissa.
#include <array>
#include <cmath>
#include <random>

#include "bench/compare/recording.h"

namespace basalt::bench {
namespace {

struct Job {
  const char* name;
  size_t series;
};
constexpr std::array kJobs = {Job{"alertmanager", 468}, Job{"node", 606}, Job{"prometheus", 784},
                              Job{"victoriametrics", 1402}, Job{"vmagent", 1058}};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  Recording Make() {
    for (const Job& job : kJobs) {
      job_ = job.name;
      const size_t first = recording_.series.size();
      Named();
      if (job_ == "node") Node();
      if (job_ == "prometheus") Http();
      for (size_t i = 0; recording_.series.size() - first < job.series; ++i) Filler(i);
    }
    return std::move(recording_);
  }

 private:
  enum class Kind { kConstant, kCounter, kGauge, kNoise, kSeconds };

  void Add(Kind kind, const char* type, std::vector<Label> labels, double scale) {
    RecordedSeries s;
    s.job = job_;
    s.type = type;
    s.labels = Labels(std::move(labels));
    double v = std::floor(scale * 100 * Uniform());
    for (size_t row = 0; row < kRecordedRows; ++row) {
      switch (kind) {
        case Kind::kConstant:
          break;
        // Most counters stand still most of the time.
        case Kind::kCounter:
          v += Uniform() < 0.4 ? std::floor(scale * Uniform()) : 0;
          break;
        case Kind::kGauge:
          v = std::max(0.0, v + std::floor(scale * (Uniform() - 0.5)));
          break;
        case Kind::kNoise:
          v = scale * Uniform();
          break;
        case Kind::kSeconds:
          v = std::round((v + 0.01 * std::floor(100 * Uniform())) * 100) / 100;
      }
      s.values.push_back(v);
    }
    recording_.series.push_back(std::move(s));
  }

  void Named() {
    RecordedSeries up{job_, "gauge", Labels({{"__name__", "up"}}),
                      std::vector<double>(kRecordedRows, 1)};
    recording_.series.push_back(std::move(up));
    Add(Kind::kGauge, "gauge", {{"__name__", "go_goroutines"}}, 20);
    Add(Kind::kGauge, "gauge", {{"__name__", "process_resident_memory_bytes"}}, 1e7);
    Add(Kind::kSeconds, "counter", {{"__name__", "process_cpu_seconds_total"}}, 10);
  }

  void Node() {
    Add(Kind::kNoise, "gauge", {{"__name__", "node_load1"}}, 4);
    Add(Kind::kGauge, "gauge", {{"__name__", "node_memory_MemFree_bytes"}}, 1e7);
    RecordedSeries info{job_, "gauge",
                        Labels({{"__name__", "node_uname_info"}, {"nodename", "vm"}}),
                        std::vector<double>(kRecordedRows, 1)};
    recording_.series.push_back(std::move(info));
    for (const char* cpu : {"0", "1"}) {
      for (const char* mode :
           {"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"}) {
        Add(Kind::kSeconds, "counter",
            {{"__name__", "node_cpu_seconds_total"}, {"cpu", cpu}, {"mode", mode}}, 10);
      }
    }
  }

  void Http() {
    for (const char* handler : {"/api/v1/query", "/api/v1/query_range", "/api/v1/series",
                                "/api/v1/labels", "/api/v1/label/:name/values", "/metrics"}) {
      for (const char* code : {"200", "400"}) {
        Add(Kind::kCounter, "counter",
            {{"__name__", "prometheus_http_requests_total"}, {"code", code}, {"handler", handler}},
            code[0] == '2' ? 20 : 2);
      }
      Histogram("prometheus_http_request_duration_seconds", handler);
    }
  }

  void Histogram(const std::string& name, const char* handler) {
    const std::array les = {"0.1", "0.2", "0.4", "1", "3", "8", "20", "60", "120", "+Inf"};
    std::vector<double> below(kRecordedRows, 0);
    for (const char* le : les) {
      double v = 0;
      for (double& cell : below) {
        v += Uniform() < 0.3 ? 1 : 0;
        cell += v;  // buckets are cumulative
      }
      recording_.series.push_back(
          {job_, "histogram",
           Labels({{"__name__", name + "_bucket"}, {"handler", handler}, {"le", le}}), below});
    }
    recording_.series.push_back(
        {job_, "histogram", Labels({{"__name__", name + "_count"}, {"handler", handler}}), below});
    Add(Kind::kNoise, "histogram", {{"__name__", name + "_sum"}, {"handler", handler}}, 1);
    std::vector<double>& sum = recording_.series.back().values;
    for (size_t row = 1; row < kRecordedRows; ++row) sum[row] += sum[row - 1];
  }

  void Filler(size_t i) {
    const double share = Uniform();
    const Kind kind = share < 0.62   ? Kind::kConstant
                      : share < 0.92 ? Kind::kCounter
                      : share < 0.98 ? Kind::kGauge
                                     : Kind::kNoise;
    const bool counter = kind == Kind::kCounter || (kind == Kind::kConstant && i % 2 == 0);
    Add(kind, counter ? "counter" : "gauge",
        {{"__name__", job_ + "_family_" + std::to_string(i / 12) + (counter ? "_total" : "")},
         {"kind", std::to_string(i % 12)},
         {"path", "/some/path/of/its/own/" + std::to_string(i % 5)}},
        std::pow(10.0, 1 + std::floor(3 * Uniform())));
  }

  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  std::mt19937_64 random_;
  Recording recording_;
  std::string job_;
};

}  // namespace

Recording GenerateRecording(uint64_t seed) { return Generator(seed).Make(); }

}  // namespace basalt::bench
