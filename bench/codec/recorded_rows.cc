#include "bench/codec/recorded_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <tuple>

#include "engine/base/hash.h"
#include "tests/support/recorded_metrics.h"

namespace basalt::bench {
namespace {

using testing::kRecordedScrapes;
using testing::RecordedSeries;

constexpr size_t kHostShift = 89;  // prime, so that hosts fall on other phases
constexpr int64_t kFirstMs = 1'800'000'000'000;

// A series as host `host` would have it.
std::vector<double> OnHost(const RecordedSeries& s, uint32_t host) {
  const size_t shift = host * kHostShift % kRecordedScrapes;
  std::vector<double> values(kRecordedScrapes);
  const auto& v = s.values;
  const bool counts = (s.type == "counter" || s.type == "histogram") &&
                      std::all_of(v.begin(), v.end(), [](double x) { return x == std::floor(x); });
  const double whole = counts ? v.back() - v.front() : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t at = i + shift;
    values[i] = at < v.size() ? v[at] : v[at - v.size()] + (whole > 0 ? whole : 0);
  }
  return values;
}

}  // namespace

Half HalfOf(const std::string& family) {
  return (HashBytes64(family) & 1) == 0 ? Half::kTrained : Half::kHeldOut;
}

RecordedRows CutRecorded(const RowCut& cut, Half half, uint32_t hosts, RowOrder order) {
  RecordedRows out;
  auto all = testing::LoadRecordedSeries();
  std::erase_if(
      all, [&](const RecordedSeries& s) { return half != Half::kAll && HalfOf(s.family) != half; });
  std::map<std::string, uint32_t> jobs;
  for (const RecordedSeries& s : all) jobs.try_emplace(s.job, static_cast<uint32_t>(jobs.size()));
  out.targets = static_cast<uint32_t>(jobs.size()) * hosts;

  struct Placed {
    const RecordedSeries* series;
    uint32_t target;
    std::vector<double> values;
  };
  std::vector<Placed> placed;
  for (const RecordedSeries& s : all) {
    for (uint32_t host = 0; host < hosts; ++host)
      placed.push_back({&s, jobs[s.job] * hosts + host, OnHost(s, host)});
  }
  std::stable_sort(placed.begin(), placed.end(), [&](const Placed& a, const Placed& b) {
    const auto& [x, y] = std::tie(*a.series, *b.series);
    if (order == RowOrder::kByTarget)
      return std::tie(x.metric, a.target, x.labels, x.le) <
             std::tie(y.metric, b.target, y.labels, y.le);
    return std::tie(x.metric, x.labels, x.le, a.target) <
           std::tie(y.metric, y.labels, y.le, b.target);
  });

  std::mt19937_64 random(1);
  const size_t span = cut.samples * cut.stride;
  for (size_t begin = 0; begin + span <= kRecordedScrapes; begin += span) {
    const auto window = static_cast<uint32_t>(begin / span);
    for (uint32_t target = 0; target < out.targets; ++target) {
      std::vector<int64_t> times(cut.samples);
      for (size_t i = 0; i < cut.samples; ++i) {
        const auto tick = static_cast<int64_t>((begin + i * cut.stride) * 1000);
        times[i] = kFirstMs + tick + target * 37 % 1000 + static_cast<int64_t>(random() % 3);
      }
      out.columns.push_back(std::move(times));
    }
    for (uint32_t s = 0; s < placed.size(); ++s) {
      RecordedRow row{s, placed[s].target, window, {}, {}};
      const auto& times = out.columns[window * out.targets + row.target];
      for (size_t i = 0; i < cut.samples; ++i) {
        const double v = placed[s].values[begin + i * cut.stride];
        if (v != v) continue;  // absent from that scrape
        row.values.push_back(v);
        row.time_ms.push_back(times[i]);
      }
      if (row.values.empty()) continue;
      out.samples += row.values.size();
      out.rows.push_back(std::move(row));
    }
  }
  return out;
}

}  // namespace basalt::bench
