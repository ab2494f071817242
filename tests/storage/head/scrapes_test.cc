#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/time.h"
#include "storage/head/partition_head.h"
#include "tests/storage/head/any_value.h"
#include "tests/storage/head/head_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::AnyValue;
using basalt::testing::Bits;
using basalt::testing::Listener;

// What a head says of itself from outside: what it counted, who it told what, what views see.
struct Told {
  ApplyCounts counts;
  Listener listener;
  std::vector<std::vector<std::tuple<int64_t, uint64_t, int64_t>>> seen;  // by reading
};

void ReadAll(const PartitionHead& head, uint64_t view, uint32_t series, Told& told) {
  std::vector<SeriesOrdinal> ordinals;
  for (uint32_t i = 0; i < series; ++i) ordinals.push_back(SeriesOrdinal{i});
  std::vector<SampleColumns> out;
  head.Read(view, ordinals, {}, DeleteSnapshot({}), out);
  for (const SampleColumns& columns : out) {
    auto& samples = told.seen.emplace_back();
    for (size_t i = 0; i < columns.time_ms.size(); ++i) {
      samples.emplace_back(columns.time_ms[i], Bits(columns.values[i]),
                           columns.start_ms.empty() ? kNoStartMs : columns.start_ms[i]);
    }
  }
}

// Scrapes of known series take a way of their own; a column of starts that says "none" sends the
// same samples by the general one.
RC_GTEST_PROP(Scrapes, AreAppliedAsTheirSamplesOneByOne, ()) {
  constexpr uint32_t kSeriesOfTarget = 90;  // more than are taken together
  constexpr uint32_t kTargets = 3;
  constexpr uint32_t kSeries = kTargets * kSeriesOfTarget;
  const uint32_t seal_samples = *rc::gen::inRange<uint32_t>(1, 6);
  PartitionIndex index_a(PartitionId{0});
  PartitionIndex index_b(PartitionId{0});
  for (uint32_t i = 0; i < kSeries; ++i) {
    Labels labels{{"__name__", "m" + std::to_string(i % kSeriesOfTarget)},
                  {"instance", std::to_string(i / kSeriesOfTarget)},
                  {"job", "j"}};
    std::string canonical;
    AppendCanonical(labels, canonical);
    const SeriesId id = MakeSeriesId(kDefaultTenant, canonical);
    RC_ASSERT(index_a.Insert(kDefaultTenant, id, canonical).ok());
    RC_ASSERT(index_b.Insert(kDefaultTenant, id, canonical).ok());
  }
  PartitionHead a(PartitionId{0}, index_a, seal_samples);
  PartitionHead b(PartitionId{0}, index_b, seal_samples);
  Told told_by_a;
  Told told_by_b;
  a.Observe(&told_by_a.listener);
  b.Observe(&told_by_b.listener);

  std::vector<double> values(kSeries, 1);
  int64_t now = *rc::gen::inRange<int64_t>(0, 2) * kMsPerDay - 30'000 + kMsPerDay;  // or midnight
  std::optional<std::pair<uint64_t, uint64_t>> views;
  const int records = *rc::gen::inRange(1, 25);
  for (int record = 1; record <= records; ++record) {
    now += *rc::gen::element<int64_t>(0, 1, 15'000, 15'000);
    const uint32_t target = *rc::gen::inRange<uint32_t>(0, kTargets);
    const uint32_t step = *rc::gen::element<uint32_t>(1, 1, 1, 8);  // a shard has every n-th
    const uint32_t odd_one = *rc::gen::inRange<uint32_t>(0, 3 * kSeriesOfTarget);
    const uint32_t moving = *rc::gen::inRange<uint32_t>(1, 20);
    const double by = *AnyValue();
    IngestBatch batch;
    batch.ids_from_index = true;
    for (uint32_t i = 0; i < kSeriesOfTarget; i += step) {
      const uint32_t ordinal = target * kSeriesOfTarget + i;
      if (i % moving == 0) values[ordinal] = i % (2 * moving) == 0 ? by : values[ordinal] + by;
      const auto add = [&](uint32_t o, int64_t t, double v) {
        batch.series.push_back({.ordinal = SeriesOrdinal{o}, .id = {}});
        batch.sample_series.push_back(static_cast<uint32_t>(batch.series.size() - 1));
        batch.sample_ms.push_back(t);
        batch.sample_value.push_back(v);
      };
      if (i == odd_one) add((ordinal + kSeriesOfTarget) % kSeries, now, by);  // another target's
      if (i + 10 == odd_one) add(ordinal, now - 20'000, by);                  // late
      add(ordinal, now, values[ordinal]);
      if (i + 20 == odd_one) add(ordinal, now, values[ordinal]);      // twice
      if (i + 30 == odd_one) add(ordinal, now, values[ordinal] + 1);  // and not the same
    }
    const LogPosition at{.lane = 0, .seq = static_cast<uint64_t>(record)};
    a.Apply(batch, at, told_by_a.counts);
    batch.sample_start_ms.assign(batch.sample_ms.size(), kNoStartMs);
    b.Apply(batch, at, told_by_b.counts);
    if (views.has_value() && *rc::gen::inRange(0, 3) == 0) {
      ReadAll(a, views->first, kSeries, told_by_a);
      ReadAll(b, views->second, kSeries, told_by_b);
      a.CloseView(views->first);
      b.CloseView(views->second);
      views.reset();
    } else if (!views.has_value() && *rc::gen::inRange(0, 3) == 0) {
      views = {a.OpenView(), b.OpenView()};
    } else if (*rc::gen::inRange(0, 8) == 0) {
      const FrozenPartition of_a = a.Freeze({.everything = true});
      const FrozenPartition of_b = b.Freeze({.everything = true});
      RC_ASSERT(of_a.samples == of_b.samples);
      RC_ASSERT(of_a.groups.size() == of_b.groups.size());
      a.Drop();
      b.Drop();
    }
    RC_ASSERT(a.OldestSeq() == b.OldestSeq());
  }
  if (!views.has_value()) views = {a.OpenView(), b.OpenView()};
  ReadAll(a, views->first, kSeries, told_by_a);
  ReadAll(b, views->second, kSeries, told_by_b);
  const std::pair now_of = {a.OpenView(), b.OpenView()};
  ReadAll(a, now_of.first, kSeries, told_by_a);
  ReadAll(b, now_of.second, kSeries, told_by_b);
  RC_ASSERT(told_by_a.seen == told_by_b.seen);
  RC_ASSERT(told_by_a.listener.said == told_by_b.listener.said);
  RC_ASSERT(told_by_a.counts.accepted == told_by_b.counts.accepted);
  RC_ASSERT(told_by_a.counts.identical == told_by_b.counts.identical);
  RC_ASSERT(told_by_a.counts.overwritten == told_by_b.counts.overwritten);
  RC_ASSERT(told_by_a.counts.late == told_by_b.counts.late);
  RC_ASSERT(a.Stats().samples == b.Stats().samples);
  RC_ASSERT(a.Stats().groups_full == b.Stats().groups_full);
}

}  // namespace
}  // namespace basalt::storage
