#include "bench/compare/fleet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace basalt::bench {
namespace {

constexpr int64_t kJitterMs = 5;
// From the first recorded row to the last, and back the same way.
constexpr uint64_t kLapRows = kRecordedRows - 1;
// Laps that a target may be ahead when it is first seen, so that counters of hosts differ.
constexpr uint64_t kOriginLaps = 64;
constexpr int kMaxDecimals = 9;
constexpr double kExact = 9007199254740992.0;  // 2^53

// SplitMix64's finish: a value for (seed, what), without a generator's state.
uint64_t Mix(uint64_t seed, uint64_t a, uint64_t b) {
  uint64_t z = seed * 0x9E3779B97F4A7C15u + a * 0xD1B54A32D192ED03u + b * 0x8CB92BA72F3D8DD7u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

bool EndsIn(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// VictoriaMetrics' own pages name no types, so names help.
bool MayCount(const RecordedSeries& s) {
  if (s.type == "counter" || s.type == "histogram") return true;
  const std::string_view name = s.labels.metric_name();
  return EndsIn(name, "_total") || EndsIn(name, "_count") || EndsIn(name, "_sum") ||
         EndsIn(name, "_bucket") || EndsIn(name, "_time_seconds");
}

// 10^d for the fewest decimals d that say every value exactly; 0 if there is none.
double DecimalScale(const std::vector<double>& values) {
  double scale = 1;
  for (int d = 0; d <= kMaxDecimals; ++d, scale *= 10) {
    const bool all = std::all_of(values.begin(), values.end(), [&](double v) {
      const double units = std::round(v * scale);
      return std::abs(units) < kExact && units / scale == v;
    });
    if (all) return scale;
  }
  return 0;
}

const char* PortOf(std::string_view job) {
  struct Port {
    std::string_view job;
    const char* port;
  };
  constexpr std::array kPorts = {Port{"node", ":9100"}, Port{"prometheus", ":9090"},
                                 Port{"alertmanager", ":9093"}, Port{"victoriametrics", ":8428"},
                                 Port{"vmagent", ":8429"}};
  for (const Port& p : kPorts)
    if (p.job == job) return p.port;
  return ":80";
}

std::string HostName(size_t host) {
  std::string digits = std::to_string(host);
  return "host-" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

}  // namespace

Fleet::Fleet(const Recording& recording, const FleetOptions& options)
    : recording_(recording), options_(options) {
  for (const RecordedSeries& s : recording.series) {
    Shape& shape = shapes_.emplace_back();
    shape.values = s.values;
    const auto present =
        std::find_if(s.values.begin(), s.values.end(), [](double v) { return !std::isnan(v); });
    double last = present == s.values.end() ? 0 : *present;
    for (size_t row = 0; row < kRecordedRows; ++row) {
      if (std::isnan(shape.values[row])) {
        if (shape.absent.empty()) shape.absent.resize(kRecordedRows, false);
        shape.absent[row] = true;
        shape.values[row] = last;
      }
      last = shape.values[row];
    }
    shape.counter = MayCount(s) && std::is_sorted(shape.values.begin(), shape.values.end());
    const double scale = DecimalScale(shape.values);
    shape.scale = scale == 0 ? 1 : scale;
    if (scale != 0)
      for (double& v : shape.values) v = std::round(v * scale);
  }
  for (uint32_t host = 0; recorded_of_.size() < options.series; ++host) {
    for (size_t first = 0;
         first < recording.series.size() && recorded_of_.size() < options.series;) {
      const std::string& job = recording.series[first].job;
      Target target;
      target.first_series = recorded_of_.size();
      target.first_recorded = first;
      for (; first < recording.series.size() && recording.series[first].job == job; ++first) {
        if (recorded_of_.size() == options.series) continue;
        recorded_of_.push_back(static_cast<uint32_t>(first));
        host_of_.push_back(host);
      }
      target.series = recorded_of_.size() - target.first_series;
      const uint64_t mixed = Mix(options.seed, targets_.size(), 0);
      target.origin_row = mixed % (kOriginLaps * kLapRows);
      target.offset_ms = static_cast<int64_t>(Mix(options.seed, targets_.size(), 1) %
                                              static_cast<uint64_t>(options.interval_ms));
      targets_.push_back(target);
    }
  }
  std::stable_sort(targets_.begin(), targets_.end(),
                   [](const Target& a, const Target& b) { return a.offset_ms < b.offset_ms; });
}

Labels Fleet::labels(size_t series) const {
  const RecordedSeries& recorded = recording_.series[recorded_of_[series]];
  Labels labels = recorded.labels;
  labels.Set("job", recorded.job);
  labels.Set("instance", HostName(host_of_[series]) + PortOf(recorded.job));
  return labels;
}

const std::string& Fleet::type(size_t series) const {
  return recording_.series[recorded_of_[series]].type;
}

int64_t Fleet::TimeMs(const Target& target, int64_t scrape) const {
  const auto jitter = static_cast<int64_t>(
      Mix(options_.seed, target.first_series, 2 + static_cast<uint64_t>(scrape)) % kJitterMs);
  return options_.start_ms + scrape * options_.interval_ms + target.offset_ms + jitter;
}

double Fleet::Value(const Target& target, size_t series, int64_t scrape) const {
  const Shape& shape = shapes_[target.first_recorded + (series - target.first_series)];
  // One recorded row is one second.
  const uint64_t walked =
      target.origin_row + static_cast<uint64_t>(scrape * options_.interval_ms / 1000);
  const uint64_t lap = walked / kLapRows;
  const size_t step = walked % kLapRows;
  const bool back = lap % 2 == 1;
  const size_t row = back ? kLapRows - step : step;
  if (!shape.absent.empty() && shape.absent[row]) return std::numeric_limits<double>::quiet_NaN();
  const std::vector<double>& v = shape.values;
  if (!shape.counter) return v[row] / shape.scale;
  const double grown = v.back() - v.front();
  const double now = back ? v.back() - v[row] : v[row] - v.front();
  return (v.front() + static_cast<double>(lap) * grown + now) / shape.scale;
}

}  // namespace basalt::bench
