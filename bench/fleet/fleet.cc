#include "bench/fleet/fleet.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>

namespace basalt::bench {
namespace {

constexpr size_t kRecordedScrapes = 900;  // one a second
constexpr size_t kRowsApart = 15;

std::string Unpacked(const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (packed.empty()) return {};
  const unsigned long long bytes = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (bytes == ZSTD_CONTENTSIZE_ERROR || bytes == ZSTD_CONTENTSIZE_UNKNOWN) return {};
  std::string out(bytes, '\0');
  if (ZSTD_isError(ZSTD_decompress(out.data(), bytes, packed.data(), packed.size())) != 0)
    return {};
  return out;
}

std::string_view NextField(std::string_view& in, char end) {
  const size_t at = std::min(in.find(end), in.size());
  const std::string_view field = in.substr(0, at);
  in.remove_prefix(std::min(at + 1, in.size()));
  return field;
}

// {"a":"b","c":"d"}: the recording escapes nothing but \" and \\.
std::string TakeJsonString(std::string_view& in) {
  std::string out;
  in.remove_prefix(in.find('"') + 1);
  while (!in.empty() && in[0] != '"') {
    if (in[0] == '\\') in.remove_prefix(1);
    out += in[0];
    in.remove_prefix(1);
  }
  in.remove_prefix(std::min<size_t>(1, in.size()));
  return out;
}
std::vector<Label> ParseJsonLabels(std::string_view in) {
  std::vector<Label> labels;
  while (in.find('"') != std::string_view::npos) {
    std::string name = TakeJsonString(in);
    labels.push_back({std::move(name), TakeJsonString(in)});
  }
  return labels;
}

// job, type, family, metric name, labels as JSON.
std::vector<Exporter> Recorded() {
  const std::string text = Unpacked("../shared/data/series.tsv.zst");
  std::map<std::string, Exporter, std::less<>> by_job;
  std::string_view rest = text;
  for (size_t row = 0; !rest.empty(); ++row) {
    std::string_view line = NextField(rest, '\n');
    const std::string_view job = NextField(line, '\t');
    NextField(line, '\t');
    NextField(line, '\t');
    const std::string_view name = NextField(line, '\t');
    std::vector<Label> labels = ParseJsonLabels(line);
    labels.push_back({std::string(kMetricName), std::string(name)});
    Exporter& exporter = by_job[std::string(job)];
    exporter.job = job;
    exporter.series.push_back(std::move(labels));
    exporter.rows.push_back(row);
  }
  std::vector<Exporter> out;
  for (auto& [job, exporter] : by_job) out.push_back(std::move(exporter));
  return out;
}

std::vector<Exporter> Generated() {
  std::vector<Exporter> out;
  size_t row = 0;
  for (const size_t series : {468, 606, 784, 1058, 1402}) {
    Exporter exporter;
    exporter.job = "job" + std::to_string(out.size());
    for (size_t i = 0; i < series; ++i) {
      // As recorded: families of up to a dozen series, 1.4 labels a series beside the target's.
      std::vector<Label> labels{
          {std::string(kMetricName), exporter.job + "_some_metric_" + std::to_string(i / 12)}};
      if (i % 3 != 0) labels.push_back({"kind", "kind-" + std::to_string(i % 12)});
      if (i % 3 == 1) labels.push_back({"le", std::to_string(i % 12)});
      if (i % 3 == 2) labels.push_back({"handler", "/api/v1/" + std::to_string(i % 4)});
      exporter.series.push_back(std::move(labels));
      exporter.rows.push_back(row++);
    }
    out.push_back(std::move(exporter));
  }
  return out;
}

const std::vector<Exporter>& Exporters() {
  static const std::vector<Exporter> exporters = [] {
    auto recorded = Recorded();
    return recorded.empty() ? Generated() : recorded;
  }();
  return exporters;
}

const std::string& RecordedValues() {
  static const std::string values = Unpacked("../shared/data/values.f64.zst");
  return values;
}

}  // namespace

const char* ExporterFleet::Source() {
  static const bool recorded = !Recorded().empty();
  return recorded ? "recorded" : "generated";
}

ExporterFleet::ExporterFleet(size_t series) {
  for (size_t t = 0; size_ < series; ++t) {
    const Exporter& exporter = Exporters()[t % Exporters().size()];
    Target target;
    target.exporter = &exporter;
    target.instance = "host-" + std::to_string(t) + ".dc" + std::to_string(t % 4) +
                      ".example.net:" + std::to_string(9100 + t % Exporters().size());
    target.cluster = "prod-" + std::to_string(t % 4);
    target.first = size_;
    target.count = std::min(exporter.series.size(), series - size_);
    size_ += target.count;
    targets_.push_back(std::move(target));
  }
}

Labels ExporterFleet::LabelsOf(const Target& target, size_t i) {
  std::vector<Label> labels = target.exporter->series[i];
  labels.push_back({"job", target.exporter->job});
  labels.push_back({"instance", target.instance});
  labels.push_back({"cluster", target.cluster});
  return Labels(std::move(labels));
}

double ValueOf(size_t row, size_t scrape) {
  const std::string& values = RecordedValues();
  const size_t at = row * kRecordedScrapes + scrape * kRowsApart % kRecordedScrapes;
  double value = 0;
  if ((at + 1) * sizeof(double) <= values.size()) {
    std::copy_n(values.data() + at * sizeof(double), sizeof(double),
                reinterpret_cast<char*>(&value));
    return value;
  }
  const auto step = static_cast<double>(scrape);
  if (row % 3 == 0) return static_cast<double>(row);
  if (row % 3 == 1) return static_cast<double>(row * 100) + step * static_cast<double>(row % 50);
  return std::round(1e3 * std::sin(static_cast<double>(row) + step)) / 1e3;
}

}  // namespace basalt::bench
