#include "storage/head/sample_columns.h"

#include <algorithm>
#include <utility>

namespace basalt::storage {

void SampleColumns::Clear() {
  time_ms.clear();
  values.clear();
  start_ms.clear();
  histogram.clear();
  histograms.clear();
}

void SampleColumns::Add(int64_t time, double value, int64_t start) {
  if (start != kNoStartMs && start_ms.empty()) start_ms.resize(size(), kNoStartMs);
  if (start != kNoStartMs || !start_ms.empty()) start_ms.push_back(start);
  if (!histogram.empty()) histogram.push_back(kIsFloat);
  time_ms.push_back(time);
  values.push_back(value);
}

void SampleColumns::AddFloats(std::span<const int64_t> times, std::span<const double> floats,
                              int64_t start) {
  if (times.empty()) return;
  const size_t all = size() + times.size();
  if (start != kNoStartMs && start_ms.empty()) start_ms.resize(size(), kNoStartMs);
  if (start != kNoStartMs || !start_ms.empty()) start_ms.resize(all, start);
  if (!histogram.empty()) histogram.resize(all, kIsFloat);
  time_ms.insert(time_ms.end(), times.begin(), times.end());
  values.insert(values.end(), floats.begin(),
                floats.begin() + static_cast<ptrdiff_t>(times.size()));
}

void SampleColumns::AddHistogram(int64_t time, NativeHistogram value, int64_t start) {
  if (histogram.empty()) histogram.resize(size(), kIsFloat);
  const auto index = static_cast<int32_t>(histograms.size());
  histograms.push_back(std::move(value));
  Add(time, 0, start);
  // The very first sample finds `histogram` still empty in Add.
  histogram.resize(size(), kIsFloat);
  histogram.back() = index;
}

void SampleColumns::Take(SampleColumns& from, size_t i) {
  if (from.IsHistogram(i)) {
    AddHistogram(from.time_ms[i],
                 std::move(from.histograms[static_cast<size_t>(from.histogram[i])]),
                 from.StartAt(i));
  } else {
    Add(from.time_ms[i], from.values[i], from.StartAt(i));
  }
}

void SampleColumns::Truncate(size_t count) {
  if (count >= size()) return;
  time_ms.resize(count);
  values.resize(count);
  if (!start_ms.empty()) start_ms.resize(count);
  if (!histogram.empty()) histogram.resize(count);
}

void SampleColumns::Clip(TimeRange range) {
  const auto begin =
      std::lower_bound(time_ms.begin(), time_ms.end(), range.min_ms) - time_ms.begin();
  Truncate(static_cast<size_t>(std::upper_bound(time_ms.begin(), time_ms.end(), range.max_ms) -
                               time_ms.begin()));
  if (begin == 0) return;
  time_ms.erase(time_ms.begin(), time_ms.begin() + begin);
  values.erase(values.begin(), values.begin() + begin);
  if (!start_ms.empty()) start_ms.erase(start_ms.begin(), start_ms.begin() + begin);
  if (!histogram.empty()) histogram.erase(histogram.begin(), histogram.begin() + begin);
}

void SampleColumns::Erase(std::span<const TimeRange> masks) {
  if (masks.empty()) return;
  size_t kept = 0;
  for (size_t i = 0; i < size(); ++i) {
    const int64_t t = time_ms[i];
    if (std::any_of(masks.begin(), masks.end(),
                    [t](const TimeRange& m) { return m.min_ms <= t && t <= m.max_ms; })) {
      continue;
    }
    time_ms[kept] = t;
    values[kept] = values[i];
    if (!start_ms.empty()) start_ms[kept] = start_ms[i];
    if (!histogram.empty()) histogram[kept] = histogram[i];
    ++kept;
  }
  Truncate(kept);
}

namespace {

bool FollowEachOther(std::span<const SampleColumns> parts) {
  const SampleColumns* before = nullptr;
  for (const SampleColumns& part : parts) {
    if (part.empty()) continue;
    if (before != nullptr && part.time_ms.front() <= before->time_ms.back()) return false;
    before = &part;
  }
  return true;
}

struct Candidate {
  int64_t time_ms;
  uint32_t part;
  uint32_t index;
};

}  // namespace

void MergeByPrecedence(std::span<SampleColumns> parts, SampleColumns& out) {
  out.Clear();
  if (FollowEachOther(parts)) {
    for (SampleColumns& part : parts) {
      if (part.empty()) continue;
      if (out.empty()) {
        std::swap(out, part);
        continue;
      }
      if (part.histogram.empty() && out.histogram.empty() && part.start_ms.empty() &&
          out.start_ms.empty()) {
        out.time_ms.insert(out.time_ms.end(), part.time_ms.begin(), part.time_ms.end());
        out.values.insert(out.values.end(), part.values.begin(), part.values.end());
      } else {
        for (size_t i = 0; i < part.size(); ++i) out.Take(part, i);
      }
    }
    return;
  }
  std::vector<Candidate> all;
  for (uint32_t p = 0; p < parts.size(); ++p) {
    for (uint32_t i = 0; i < parts[p].size(); ++i) all.push_back({parts[p].time_ms[i], p, i});
  }
  std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.part < b.part;
  });
  for (size_t i = 0; i < all.size(); ++i) {
    if (i + 1 < all.size() && all[i + 1].time_ms == all[i].time_ms)
      continue;  // a later part has this time too
    out.Take(parts[all[i].part], all[i].index);
  }
}

}  // namespace basalt::storage
