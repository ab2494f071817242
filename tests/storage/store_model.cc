#include "tests/storage/store_model.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "storage/codec/histogram_column.h"

namespace basalt::storage {

std::ostream& operator<<(std::ostream& out, const ModelSample& sample) {
  if (!sample.histogram.empty()) {
    out << "histogram of " << sample.histogram.size() << " bytes, hash "
        << HashBytes64(sample.histogram);
  } else {
    out << std::bit_cast<double>(sample.bits) << " (" << std::hex << sample.bits << std::dec << ")";
  }
  if (sample.start_ms != kNoStartMs) out << " started " << sample.start_ms;
  return out;
}

std::string HistogramBytes(const NativeHistogram& histogram) {
  HistogramPoint point;
  point.histogram = histogram;
  std::string bytes;
  BASALT_CHECK(EncodeHistograms({&point, 1}, bytes).ok());
  return bytes;
}

NativeHistogram MakeHistogram(uint64_t seed) {
  NativeHistogram h;
  h.schema = 3;
  h.zero_threshold = 0.001;
  h.zero_count = seed % 5;
  h.positive_spans = {{.offset = static_cast<int32_t>(seed % 3), .length = 2},
                      {.offset = 1, .length = 1}};
  h.positive_deltas = {static_cast<int64_t>(seed % 7), 1, 2};
  const uint64_t first = seed % 7;
  h.count = h.zero_count + first + (first + 1) + (first + 3);
  h.sum = static_cast<double>(seed) / 3;
  return h;
}

void ApplyTo(ModelState& state, const ModelWrite& write) {
  ModelSample sample{
      .bits = std::bit_cast<uint64_t>(write.value), .histogram = {}, .start_ms = write.start_ms};
  if (write.is_histogram) {
    sample.bits = 0;
    sample.histogram = HistogramBytes(MakeHistogram(write.histogram_seed));
  }
  state[write.labels][write.time_ms] = sample;
}

void DeleteFrom(ModelState& state, const MatcherSet& matchers, TimeRange range) {
  for (auto& [labels, series] : state) {
    const bool all = std::all_of(matchers.begin(), matchers.end(), [&l = labels](const Matcher& m) {
      BASALT_CHECK(m.type == MatchType::kEqual || m.type == MatchType::kNotEqual);
      return (l.Get(m.name) == m.value) == (m.type == MatchType::kEqual);
    });
    if (!all) continue;
    std::erase_if(series, [range](const auto& s) {
      return range.min_ms <= s.first && s.first <= range.max_ms;
    });
  }
}

std::vector<IngestBatch> MakeBatches(Store& store, const std::vector<ModelWrite>& writes,
                                     WriterSequence writer) {
  BatchBuilder builder(store.resolver(), kDefaultTenant);
  for (const ModelWrite& write : writes) {
    std::string wire;
    AppendCanonical(write.labels, wire);
    const Hash128 fingerprint = HashBytes128(wire);
    if (!builder.SelectKnown(fingerprint)) {
      std::vector<LabelView> views;
      for (const Label& label : write.labels) views.push_back({label.name, label.value});
      builder.SelectLabels(fingerprint, views);
    }
    if (write.is_histogram) {
      builder.AddHistogram(write.time_ms, MakeHistogram(write.histogram_seed), write.start_ms);
    } else {
      builder.AddSample(write.time_ms, write.value, write.start_ms);
    }
  }
  return builder.Finish(writer);
}

Result<ModelState> ReadState(const Snapshot& snapshot, TimeRange range) {
  ModelState state;
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    BASALT_TRY_ASSIGN(
        const auto selection,
        snapshot.Select(kDefaultTenant, static_cast<PartitionId>(p), {}, range, SIZE_MAX));
    const auto cursor = selection->Read(0, selection->size(), {.range = range});
    SeriesColumns columns;
    while (true) {
      BASALT_TRY_ASSIGN(const bool more, cursor->Next(columns));
      if (!more) break;
      ModelSeries& series = state[selection->labels(columns.series)];
      if (!series.empty()) return Internal("a series was shown twice");
      if (columns.time_ms.size() != columns.values.size())
        return Internal("columns differ in length");
      for (size_t i = 0; i < columns.time_ms.size(); ++i) {
        if (i > 0 && columns.time_ms[i] <= columns.time_ms[i - 1])
          return Internal("times do not rise");
        if (columns.time_ms[i] < range.min_ms || columns.time_ms[i] > range.max_ms)
          return Internal("out of range");
        series[columns.time_ms[i]] = {
            .bits = std::bit_cast<uint64_t>(columns.values[i]),
            .histogram = {},
            .start_ms = columns.start_ms.empty() ? kNoStartMs : columns.start_ms[i]};
      }
      for (const HistogramPoint& point : columns.histograms) {
        if (!series
                 .emplace(point.time_ms, ModelSample{.bits = 0,
                                                     .histogram = HistogramBytes(point.histogram),
                                                     .start_ms = point.start_ms})
                 .second) {
          return Internal("a float and a histogram at one time");
        }
      }
    }
  }
  std::erase_if(state, [](const auto& s) { return s.second.empty(); });
  return state;
}

ModelState Clipped(const ModelState& state, TimeRange range) {
  ModelState out;
  for (const auto& [labels, series] : state) {
    for (const auto& [t, sample] : series) {
      if (range.min_ms <= t && t <= range.max_ms) out[labels][t] = sample;
    }
  }
  return out;
}

std::string Difference(const ModelState& expected, const ModelState& found) {
  std::ostringstream out;
  for (const auto& [labels, series] : expected) {
    const auto it = found.find(labels);
    for (const auto& [t, sample] : series) {
      if (it == found.end() || !it->second.contains(t)) {
        out << labels.ToString() << " lacks " << t << ": " << sample;
        return out.str();
      }
      if (it->second.at(t) != sample) {
        out << labels.ToString() << " at " << t << ": expected " << sample << ", found "
            << it->second.at(t);
        return out.str();
      }
    }
  }
  for (const auto& [labels, series] : found) {
    const auto it = expected.find(labels);
    for (const auto& [t, sample] : series) {
      if (it == expected.end() || !it->second.contains(t)) {
        out << labels.ToString() << " has " << t << ": " << sample
            << ", which was never written or is deleted";
        return out.str();
      }
    }
  }
  return "";
}

// ---- Workload ----

namespace {

constexpr int kTargets = 5;
constexpr int kSeries = 8;
constexpr uint64_t kStaleBits = 0x7ff0'0000'0000'0002;

Labels LabelsOf(int target, int series) {
  Labels labels{{"__name__", "metric_" + std::to_string(series / 3)},
                {"job", target == 0 ? "alone" : "node"},
                {"le", std::to_string(series % 3)}};
  // The last target has no instance, so each of its zones is a group of its own.
  if (target + 1 < kTargets) {
    labels.Set("instance", "host" + std::to_string(target));
  } else {
    labels.Set("zone", "z" + std::to_string(series));
  }
  return labels;
}

}  // namespace

double Workload::RandomValue(int series) {
  switch (series % 4) {
    case 0:
      return static_cast<double>(Random(3));
    case 1:
      return static_cast<double>(Random(1000)) / 10;
    case 2:
      return std::bit_cast<double>(random_());  // any bits
    default:
      return Random(2) == 0 ? -0.0 : std::bit_cast<double>(kStaleBits);
  }
}

ModelWrite Workload::NextOf(int target, int series, int64_t time_ms) {
  ModelWrite write{.labels = LabelsOf(target, series), .time_ms = time_ms};
  double& last = last_[{target, series}];
  if (Random(3) == 0) last = RandomValue(series);
  if (series % 4 == 0 && Random(2) == 0) last += static_cast<double>(Random(5));
  write.value = last;
  if (series == 5) {
    write.is_histogram = Random(10) != 0;
    write.histogram_seed = Random(20);
    if (write.is_histogram) write.value = 0;
  }
  if (series == 2 || series == 5)
    write.start_ms = time_ms - static_cast<int64_t>(Random(3)) * 60'000;
  if (write.start_ms <= 0) write.start_ms = kNoStartMs;
  return write;
}

std::vector<std::vector<ModelWrite>> Workload::NextRequests() {
  std::vector<std::vector<ModelWrite>> requests;
  switch (Random(10)) {
    case 0: {  // late samples, anywhere in the last three days
      auto& request = requests.emplace_back();
      for (uint64_t i = 0, n = 1 + Random(6); i < n; ++i) {
        const auto back =
            static_cast<int64_t>(Random(2) == 0 ? Random(120'000) : Random(3 * 86'400'000));
        request.push_back(NextOf(static_cast<int>(Random(kTargets)),
                                 static_cast<int>(Random(kSeries)),
                                 std::max<int64_t>(0, now_ms_ - back)));
      }
      break;
    }
    case 1:  // a retry
      if (!sent_.empty()) requests.push_back(sent_[Random(sent_.size())]);
      break;
    case 2: {  // other values for times that are taken
      if (sent_.empty()) break;
      auto request = sent_[Random(sent_.size())];
      for (ModelWrite& write : request) {
        if (!write.is_histogram) write.value = RandomValue(static_cast<int>(Random(4)));
      }
      requests.push_back(request);
      break;
    }
    case 3: {  // a backlog: one request with one series several times, in order or not
      auto& request = requests.emplace_back();
      const int target = static_cast<int>(Random(kTargets));
      const int series = static_cast<int>(Random(kSeries));
      for (uint64_t i = 0, n = 1 + Random(40); i < n; ++i) {
        request.push_back(
            NextOf(target, series,
                   now_ms_ + 1 + static_cast<int64_t>(Random(3) == 0 ? Random(60'000) : i)));
      }
      now_ms_ += 60'000;
      break;
    }
    default: {  // a scrape of some targets, in shards
      now_ms_ += 15'000 + static_cast<int64_t>(Random(7));
      if (Random(60) == 0) now_ms_ += 7 * 3'600'000;
      const size_t shards = 1 + Random(3);
      requests.resize(shards);
      for (int target = 0; target < kTargets; ++target) {
        if (Random(4) == 0) continue;
        const int64_t time = now_ms_ - static_cast<int64_t>(Random(2));
        for (int series = 0; series < kSeries; ++series) {
          if (Random(12) == 0) continue;
          requests[static_cast<size_t>(series) % shards].push_back(NextOf(target, series, time));
        }
      }
    }
  }
  for (const auto& request : requests) {
    if (sent_.size() < 8) {
      sent_.push_back(request);
    } else {
      sent_[Random(8)] = request;
    }
  }
  return requests;
}

MatcherSet Workload::RandomMatchers() {
  switch (Random(4)) {
    case 0:
      return {{MatchType::kEqual, "instance", "host" + std::to_string(Random(kTargets))}};
    case 1:
      return {{MatchType::kEqual, "__name__", "metric_" + std::to_string(Random(3))},
              {MatchType::kNotEqual, "job", "alone"}};
    case 2:
      return {{MatchType::kEqual, "le", std::to_string(Random(3))},
              {MatchType::kEqual, "job", "node"}};
    default:
      return {{MatchType::kEqual, "job", "nobody"}};
  }
}

TimeRange Workload::RandomRange() {
  if (Random(5) == 0) return {};
  const int64_t begin = now_ms_ - static_cast<int64_t>(Random(86'400'000));
  return {.min_ms = begin,
          .max_ms =
              begin + static_cast<int64_t>(Random(2) == 0 ? Random(600'000) : Random(86'400'000))};
}

std::vector<uint64_t> TestSeeds(size_t rounds) {
  const char* seed = std::getenv("BASALT_TEST_SEED");
  const char* count = std::getenv("BASALT_TEST_ROUNDS");
  if (count != nullptr) rounds = std::strtoull(count, nullptr, 10);
  const uint64_t first =
      seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device{}() % 1'000'000;
  std::vector<uint64_t> seeds;
  for (size_t i = 0; i < rounds; ++i) seeds.push_back(first + i);
  std::cout << "seeds " << first << ".." << first + rounds - 1
            << " (BASALT_TEST_SEED, BASALT_TEST_ROUNDS)" << std::endl;
  return seeds;
}

}  // namespace basalt::storage
