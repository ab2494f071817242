#include "bench/store/recording.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/base/hash.h"
#include "tests/support/recorded_metrics.h"

namespace basalt::bench {
namespace {

constexpr size_t kSeconds = testing::kRecordedScrapes;
constexpr size_t kSecondsApart = kScrapeIntervalMs / 1000;
constexpr int64_t kStartMs = 1'780'000'000'000;  // a midnight is hours away

uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t h = (a + 0x9E37'79B9'7F4A'7C15U) * 0xBF58'476D'1CE4'E5B9U ^ b;
  h = (h ^ h >> 31) * 0x94D0'49BB'1331'11EBU;
  return h ^ h >> 29;
}

// {"a":"b","c":"d"}; the recording escapes nothing that matters here.
std::vector<Label> ParseLabels(const std::string& json) {
  std::vector<Label> labels;
  std::string name;
  for (size_t at = 0; (at = json.find('"', at)) != std::string::npos;) {
    std::string text;
    for (++at; at < json.size() && json[at] != '"'; ++at) {
      if (json[at] == '\\') ++at;
      text += json[at];
    }
    ++at;
    if (name.empty()) {
      name = text;
    } else {
      labels.push_back({std::exchange(name, {}), text});
    }
  }
  return labels;
}

// As exporters write it: the shortest digits that mean the same. Fixed ones would make one series
// of all buckets below a microsecond.
std::string Shortest(double bound) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bound);
  return {digits.data(), end.ptr};
}

}  // namespace

Recording::Recording(size_t series_per_target, uint64_t seed)
    : series_per_target_(series_per_target), seed_(seed) {
  std::vector<testing::RecordedSeries> recorded = testing::LoadRecordedSeries();
  // As the exporters' pages show them: by exporter, then by family.
  std::stable_sort(recorded.begin(), recorded.end(),
                   [](const auto& a, const auto& b) { return a.job < b.job; });
  values_.reserve(recorded.size() * kSeconds);
  for (const testing::RecordedSeries& from : recorded) {
    Series& series = series_.emplace_back();
    series.labels = ParseLabels(from.labels);
    series.labels.push_back({"__name__", from.metric});
    series.labels.push_back({"exporter", from.job});
    series.labels.push_back({"job", "fleet"});
    if (from.metric.ends_with("_bucket")) {
      series.labels.push_back({"le", Shortest(from.le)});
    }
    double previous = -1;
    series.rises = from.type == "counter" || from.type == "histogram";
    series.integer = true;
    double first = std::nan("");
    for (const double value : from.values) {
      values_.push_back(value);
      if (std::isnan(value)) continue;
      if (std::isnan(first)) first = value;
      series.rises = series.rises && value >= previous;
      series.integer = series.integer && std::trunc(value) == value && std::fabs(value) < 1e15;
      previous = value;
    }
    series.rise = series.rises && !std::isnan(first) ? previous - first : 0;
  }
}

Labels Recording::LabelsOf(size_t target, size_t i) const {
  std::vector<Label> labels = series_[RecordedIndex(target, i)].labels;
  labels.push_back({"instance", "host-" + std::to_string(target) + ".example.net:9100"});
  return Labels(std::move(labels));
}

double Recording::Value(size_t target, size_t i, size_t scrape) const {
  const size_t at = RecordedIndex(target, i);
  const Series& series = series_[at];
  const size_t second = Mix(seed_, target) % kSeconds + scrape * kSecondsApart;
  double value = values_[at * kSeconds + second % kSeconds];
  if (series.rises) {
    value += static_cast<double>(second / kSeconds) * series.rise;
    if (series.integer && series.rise > 0)
      value += static_cast<double>(Mix(seed_ + at, target) >> 44);
  }
  return value;
}

int64_t Recording::TimeMs(size_t target, size_t scrape) const {
  const auto offset = static_cast<int64_t>(Mix(seed_ + 1, target) % kScrapeIntervalMs);
  const auto jitter = static_cast<int64_t>(Mix(seed_ + 2, target * 100'003 + scrape) % 5);
  return kStartMs + static_cast<int64_t>(scrape) * kScrapeIntervalMs + offset + jitter;
}

}  // namespace basalt::bench
