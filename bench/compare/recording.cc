#include "bench/compare/recording.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "engine/base/compress.h"

namespace basalt::bench {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;

Result<std::string> ReadZstd(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound(path + " is not there");
  const std::string packed((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
  std::string out;
  const Status status = Decompress(ContentCoding::kZstd, packed, kMaxFileBytes, out);
  if (!status.ok()) return DataLoss(path + ": " + std::string(status.message()));
  return out;
}

// {"name":"value", ...} with JSON's escapes of quotes and backslashes: all that the recording has.
std::optional<std::vector<Label>> ParseLabels(std::string_view json) {
  std::vector<Label> labels;
  std::vector<std::string> strings;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '"') continue;
    std::string& text = strings.emplace_back();
    for (++i; i < json.size() && json[i] != '"'; ++i) {
      if (json[i] == '\\' && ++i == json.size()) return std::nullopt;
      text += json[i];
    }
    if (i == json.size()) return std::nullopt;
  }
  if (strings.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < strings.size(); i += 2) labels.push_back({strings[i], strings[i + 1]});
  return labels;
}

}  // namespace

Result<Recording> LoadRecording(const std::string& directory) {
  BASALT_TRY_ASSIGN(const std::string table, ReadZstd(directory + "/series.tsv.zst"));
  BASALT_TRY_ASSIGN(const std::string matrix, ReadZstd(directory + "/values.f64.zst"));
  constexpr size_t kSeriesBytes = kRecordedRows * sizeof(double);
  Recording recording;
  recording.recorded = true;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = recording.series.size() * kSeriesBytes;
    std::istringstream fields(line);
    RecordedSeries s;
    std::string family;
    std::string metric;
    std::string json;
    for (std::string* field : {&s.job, &s.type, &family, &metric, &json})
      std::getline(fields, *field, '\t');
    auto labels = ParseLabels(json);
    if (!labels || metric.empty() || at + kSeriesBytes > matrix.size()) {
      return DataLoss(directory + "/series.tsv.zst: line " +
                      std::to_string(recording.series.size() + 1) +
                      ": labels do not parse, or values.f64.zst ends before it");
    }
    labels->push_back({std::string(kMetricName), metric});
    s.labels = Labels(std::move(*labels));
    s.values.resize(kRecordedRows);
    std::memcpy(s.values.data(), matrix.data() + at, kSeriesBytes);
    recording.series.push_back(std::move(s));
  }
  return recording;
}

}  // namespace basalt::bench
