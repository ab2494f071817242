#include "storage/resolver.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/labels.h"

namespace basalt::storage {
namespace {

std::vector<LabelView> Views(const Labels& labels) {
  std::vector<LabelView> views;
  for (const Label& label : labels) views.push_back({label.name, label.value});
  return views;
}

std::string Canonical(const Labels& labels) {
  std::string bytes;
  AppendCanonical(labels, bytes);
  return bytes;
}

// Stands for the wire bytes of a label set.
Hash128 Fingerprint(const Labels& labels) { return HashBytes128(labels.ToString()); }

// The indexes of all partitions, as apply would keep them.
class FakeIndex : public SeriesFinder {
 public:
  SeriesOrdinal FindSeries(PartitionId partition, const SeriesId& id) const override {
    const auto it = ordinals_.find({partition, id});
    return it == ordinals_.end() ? kUnknownOrdinal : it->second;
  }
  void FillIds(PartitionId partition, std::span<BatchSeries> series) const override {
    for (BatchSeries& one : series) {
      if (one.ordinal != kUnknownOrdinal) one.id = ids_.at({partition, one.ordinal});
    }
  }
  SeriesOrdinal Insert(PartitionId partition, const SeriesId& id) {
    const auto next = SeriesOrdinal{next_[partition]};
    const auto [it, fresh] = ordinals_.try_emplace({partition, id}, next);
    if (fresh) ++next_[partition];
    ids_[{partition, it->second}] = id;
    return it->second;
  }

 private:
  std::map<std::pair<PartitionId, SeriesId>, SeriesOrdinal> ordinals_;
  std::map<std::pair<PartitionId, SeriesOrdinal>, SeriesId> ids_;
  std::map<PartitionId, uint32_t> next_;
};

// Finish leaves the ids of known series to the index: here they are asked for.
std::vector<IngestBatch> FinishWithIds(BatchBuilder& builder, const FakeIndex& index) {
  std::vector<IngestBatch> batches = builder.Finish();
  for (IngestBatch& batch : batches) {
    EXPECT_TRUE(batch.ids_from_index);
    for (const BatchSeries& series : batch.series)
      EXPECT_EQ(series.id == SeriesId{}, series.ordinal != kUnknownOrdinal);
    index.FillIds(batch.partition, batch.series);
  }
  return batches;
}

// What apply does for the resolver.
void Apply(const std::vector<IngestBatch>& batches, FakeIndex& index, Resolver& resolver) {
  for (const IngestBatch& batch : batches) {
    for (const BatchSeries& series : batch.series) {
      if (series.ordinal != kUnknownOrdinal) continue;
      resolver.Learn(batch.partition, series.id, index.Insert(batch.partition, series.id));
    }
  }
}

// As a decoder uses it. True if the labels had to be decoded.
bool Select(BatchBuilder& builder, const Labels& labels) {
  if (builder.SelectKnown(Fingerprint(labels))) return false;
  builder.SelectLabels(Fingerprint(labels), Views(labels));
  return true;
}

Labels TargetSeries(int target, int series) {
  return Labels{{"__name__", "m" + std::to_string(series)},
                {"instance", "host" + std::to_string(target)},
                {"job", "node"}};
}

TEST(Placement, FollowsTheTargetAndNotTheSeries) {
  const auto key = [](const Labels& labels) {
    std::string out;
    AppendPlacementKey(Views(labels), out);
    return out;
  };
  const Labels target{{"job", "a"}, {"instance", "i"}};
  EXPECT_EQ(key({{"__name__", "x"}, {"job", "a"}, {"instance", "i"}, {"pod", "p"}, {"le", "1"}}),
            key(target));
  // Without an instance, the first of the list that is there.
  EXPECT_EQ(key({{"__name__", "x"}, {"job", "a"}, {"pod", "p"}, {"host", "h"}}),
            key({{"job", "a"}, {"pod", "p"}}));
  EXPECT_EQ(key({{"job", "a"}, {"service_instance_id", "s"}, {"exported_instance", "e"}}),
            key({{"job", "a"}, {"exported_instance", "e"}}));
  // Neither: all labels but those that tell the series of a target apart.
  EXPECT_EQ(key({{"__name__", "x"}, {"job", "a"}, {"le", "1"}, {"zone", "z"}, {"quantile", "0.5"}}),
            key({{"job", "a"}, {"zone", "z"}}));
  EXPECT_NE(key({{"job", "a"}, {"zone", "y"}}), key({{"job", "a"}, {"zone", "z"}}));
  // Instance without job is no target.
  EXPECT_NE(key({{"instance", "i"}, {"x", "1"}}), key({{"instance", "i"}, {"x", "2"}}));
  EXPECT_NE(key({{"a", "bc"}}), key({{"ab", "c"}}));
}

TEST(Placement, DoublingThePartitionsSplitsEachInTwo) {
  for (int i = 0; i < 1000; ++i) {
    const Labels labels = TargetSeries(i, 0);
    const auto views = Views(labels);
    EXPECT_EQ(PlacementPartition(kDefaultTenant, views, 1), PartitionId{0});
    uint32_t before = 0;
    for (uint32_t count = 2; count <= 65536; count *= 2) {
      const auto now = static_cast<uint32_t>(PlacementPartition(kDefaultTenant, views, count));
      EXPECT_LT(now, count);
      EXPECT_EQ(now / 2, before);
      before = now;
    }
  }
}

TEST(Placement, IsFrozen) {
  // These bits are on disks: a change here orphans data.
  const Labels labels = TargetSeries(1, 2);
  EXPECT_EQ(MakeSeriesId(kDefaultTenant, Canonical(labels)).hash, HashBytes128(Canonical(labels)));
  EXPECT_NE(MakeSeriesId(TenantId{1}, Canonical(labels)),
            MakeSeriesId(TenantId{2}, Canonical(labels)));
  EXPECT_EQ(static_cast<int>(PlacementPartition(kDefaultTenant, Views(labels), 65536)), 36669);
}

TEST(Resolver, ASeriesIsKnownByItsFingerprintOnceApplied) {
  FakeIndex index;
  Resolver resolver({.partitions = 4}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  const Labels labels = TargetSeries(1, 1);
  EXPECT_TRUE(Select(builder, labels));
  EXPECT_EQ(builder.selected().ordinal, kUnknownOrdinal);
  builder.AddSample(1, 1.0);
  const auto first = builder.Finish();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].labels, Canonical(labels));
  // Not applied yet: labels again.
  EXPECT_TRUE(Select(builder, labels));
  builder.Reset(kDefaultTenant);

  Apply(first, index, resolver);
  EXPECT_FALSE(Select(builder, labels));
  builder.AddSample(2, 2.0);
  const SeriesHandle handle = builder.selected();
  EXPECT_NE(handle.ordinal, kUnknownOrdinal);
  const auto second = FinishWithIds(builder, index);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].series[0].ordinal, handle.ordinal);
  EXPECT_EQ(second[0].series[0].id, first[0].series[0].id);
  EXPECT_TRUE(second[0].labels.empty());

  builder.SelectHandle(handle);
  builder.AddSample(3, 3.0);
  EXPECT_EQ(builder.Finish()[0].series[0].ordinal, handle.ordinal);
}

TEST(Resolver, TheSameBytesAreAnotherSeriesForAnotherTenant) {
  FakeIndex index;
  Resolver resolver({.partitions = 1}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  const Labels labels = TargetSeries(1, 1);
  Select(builder, labels);
  builder.AddSample(1, 1.0);
  Apply(builder.Finish(), index, resolver);
  builder.Reset(TenantId{7});
  EXPECT_TRUE(Select(builder, labels));
  builder.AddSample(1, 1.0);
  const auto batches = FinishWithIds(builder, index);
  EXPECT_EQ(batches[0].tenant, TenantId{7});
  EXPECT_EQ(batches[0].series[0].id, MakeSeriesId(TenantId{7}, Canonical(labels)));
}

TEST(Resolver, ForgetsAndLearnsAgainPastItsBound) {
  FakeIndex index;
  Resolver resolver({.partitions = 2, .max_fingerprints = 100}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 150; ++i) {
      const Labels labels = TargetSeries(i, 0);
      Select(builder, labels);
      EXPECT_EQ(builder.selected().id, MakeSeriesId(kDefaultTenant, Canonical(labels)));
      builder.AddSample(i, i);
    }
    Apply(builder.Finish(), index, resolver);
    EXPECT_LE(resolver.fingerprints(), 100U);
  }
  // At the bound nothing is forgotten.
  FakeIndex small_index;
  Resolver exact({.partitions = 2, .max_fingerprints = 100}, small_index);
  BatchBuilder all(exact, kDefaultTenant);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) EXPECT_EQ(Select(all, TargetSeries(i, 0)), round == 0);
    for (int i = 0; i < 100; ++i) {
      Select(all, TargetSeries(i, 0));
      all.AddSample(i, i);
    }
    Apply(all.Finish(), small_index, exact);
  }
}

TEST(Resolver, TheTableGrowsAndFindsEverything) {
  FakeIndex index;
  constexpr int kSeries = 20'000;
  for (int i = 0; i < kSeries; ++i) {
    const Labels labels = TargetSeries(i, 0);
    index.Insert(PlacementPartition(kDefaultTenant, Views(labels), 2),
                 MakeSeriesId(kDefaultTenant, Canonical(labels)));
  }
  Resolver resolver({.partitions = 2, .max_fingerprints = kSeries}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  for (int i = 0; i < kSeries; ++i) EXPECT_TRUE(Select(builder, TargetSeries(i, 0)));
  EXPECT_EQ(resolver.fingerprints(), size_t{kSeries});
  // Backwards, so that no prediction helps.
  for (int i = kSeries; i-- > 0;) {
    const Labels labels = TargetSeries(i, 0);
    ASSERT_FALSE(Select(builder, labels));
    ASSERT_EQ(builder.selected().id, MakeSeriesId(kDefaultTenant, Canonical(labels)));
  }
  EXPECT_LT(resolver.memory_bytes(), size_t{kSeries} * 40);
}

TEST(BatchBuilder, ASeriesStandsOnceForNeighbouringSamplesHoweverItIsSelected) {
  FakeIndex index;
  Resolver resolver({.partitions = 1}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  const Labels labels = TargetSeries(1, 1);
  Select(builder, labels);
  builder.AddSample(1, 1.0);
  Apply(builder.Finish(), index, resolver);
  // Known by its fingerprint, by another protocol's, and by its handle.
  EXPECT_FALSE(Select(builder, labels));
  builder.AddSample(2, 1.0);
  builder.SelectLabels({77, 77}, Views(labels));
  builder.AddSample(3, 1.0);
  builder.SelectHandle(builder.selected());
  builder.AddSample(4, 1.0);
  const auto batches = builder.Finish();
  EXPECT_EQ(batches[0].series.size(), 1U);
  EXPECT_EQ(batches[0].sample_series, (std::vector<uint32_t>{0, 0, 0}));
}

TEST(BatchBuilder, AScrapeIsTheSameAsItsSamplesOneByOne) {
  FakeIndex index;
  Resolver resolver({.partitions = 1}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  std::vector<SeriesOrdinal> ordinals;
  for (int i = 0; i < 5; ++i) {
    Select(builder, TargetSeries(1, i));
    builder.AddSample(1, 1.0);
  }
  Apply(builder.Finish(), index, resolver);
  for (int i = 0; i < 5; ++i) {
    builder.SelectLabels({5, static_cast<uint64_t>(i)}, Views(TargetSeries(1, i)));
    ordinals.push_back(builder.selected().ordinal);
  }
  builder.Reset(kDefaultTenant);
  const std::vector<double> values = {1, 2, 3, 4, 5};
  for (int i = 0; i < 5; ++i) {
    builder.SelectLabels({5, static_cast<uint64_t>(i)}, Views(TargetSeries(1, i)));
    builder.AddSample(7, values[static_cast<size_t>(i)]);
  }
  builder.AddSample(8, 6.0, 3);
  builder.AddScrape(PartitionId{0}, ordinals, 9, values);
  const auto batches = FinishWithIds(builder, index);
  ASSERT_EQ(batches.size(), 1U);
  const IngestBatch& batch = batches[0];
  EXPECT_TRUE(batch.ids_from_index);
  for (size_t i = 0; i < 5; ++i) {
    const BatchSeries& one = batch.series[batch.sample_series[i]];
    const BatchSeries& scraped = batch.series[batch.sample_series[6 + i]];
    EXPECT_EQ(one.ordinal, scraped.ordinal);
    EXPECT_EQ(one.id, scraped.id);
    EXPECT_EQ(batch.sample_value[6 + i], values[i]);
    EXPECT_EQ(batch.sample_ms[6 + i], 9);
    EXPECT_EQ(batch.sample_start_ms[6 + i], kNoStartMs);
  }
}

TEST(BatchBuilder, StartTimesAppearOnceOneIsGiven) {
  FakeIndex index;
  Resolver resolver({.partitions = 1}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  Select(builder, TargetSeries(1, 1));
  builder.AddSample(1, 1.0);
  builder.AddSample(2, 1.0, 77);
  builder.AddSample(3, 1.0);
  const auto batches = builder.Finish();
  EXPECT_EQ(batches[0].sample_start_ms, (std::vector<int64_t>{kNoStartMs, 77, kNoStartMs}));
}

TEST(BatchBuilder, MetadataNeedsNoSeries) {
  FakeIndex index;
  Resolver resolver({.partitions = 8}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  builder.AddMetadata({.metric = "up", .type = MetricType::kGauge, .unit = "", .help = "h"});
  const auto batches = builder.Finish();
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_TRUE(batches[0].series.empty());
  EXPECT_TRUE(builder.Finish().empty());
}

// The naive way: a map by labels, nothing remembered between requests.
struct NaiveSample {
  std::string labels;
  int64_t time_ms;
  uint64_t bits;
  friend bool operator==(const NaiveSample&, const NaiveSample&) = default;
};

RC_GTEST_PROP(BatchBuilder, SplitsAsTheNaiveWayDoes, ()) {
  const uint32_t partitions = 1U << *rc::gen::inRange(0, 5);
  FakeIndex index;
  Resolver resolver(
      {.partitions = partitions, .max_fingerprints = *rc::gen::element<size_t>(5, 1000)}, index);
  BatchBuilder builder(resolver, kDefaultTenant);
  std::map<SeriesId, std::string> names;
  const int requests = *rc::gen::inRange(1, 6);
  for (int request = 0; request < requests; ++request) {
    std::map<uint32_t, std::vector<NaiveSample>> expected;
    const auto picks =
        *rc::gen::container<std::vector<std::tuple<int, int, double>>>(rc::gen::tuple(
            rc::gen::inRange(0, 8), rc::gen::inRange(0, 8), rc::gen::arbitrary<double>()));
    int64_t time = 0;
    for (const auto& [target, series, value] : picks) {
      const Labels labels = TargetSeries(target, series);
      Select(builder, labels);
      builder.AddSample(++time, value);
      names[MakeSeriesId(kDefaultTenant, Canonical(labels))] = Canonical(labels);
      expected[static_cast<uint32_t>(PlacementPartition(kDefaultTenant, Views(labels), partitions))]
          .push_back({Canonical(labels), time, std::bit_cast<uint64_t>(value)});
    }
    const auto batches = FinishWithIds(builder, index);
    std::map<uint32_t, std::vector<NaiveSample>> found;
    for (const IngestBatch& batch : batches) {
      std::set<SeriesId> unique;
      for (const BatchSeries& series : batch.series) {
        if (series.ordinal == kUnknownOrdinal) {
          RC_ASSERT(unique.insert(series.id).second);
          RC_ASSERT(batch.labels.substr(series.labels_offset, series.labels_bytes) ==
                    names.at(series.id));
        } else {
          RC_ASSERT(series.ordinal == index.FindSeries(batch.partition, series.id));
          RC_ASSERT(series.labels_bytes == 0U);
        }
      }
      auto& samples = found[static_cast<uint32_t>(batch.partition)];
      for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
        samples.push_back({names.at(batch.series[batch.sample_series[i]].id), batch.sample_ms[i],
                           std::bit_cast<uint64_t>(batch.sample_value[i])});
      }
    }
    RC_ASSERT(found == expected);
    // Some requests fail and are never applied.
    if (*rc::gen::inRange(0, 4) != 0) Apply(batches, index, resolver);
  }
}

TEST(Resolver, ServesManyThreadsAtOnce) {
  FakeIndex index;
  for (int target = 0; target < 50; ++target) {
    for (int series = 0; series < 20; ++series) {
      const Labels labels = TargetSeries(target, series);
      index.Insert(PlacementPartition(kDefaultTenant, Views(labels), 4),
                   MakeSeriesId(kDefaultTenant, Canonical(labels)));
    }
  }
  Resolver resolver({.partitions = 4, .max_fingerprints = 900}, index);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      BatchBuilder builder(resolver, kDefaultTenant);
      for (int round = 0; round < 30; ++round) {
        for (int i = 0; i < 50; ++i) {
          const int target = (i * (t + 1) + round) % 50;
          for (int series = 0; series < 20; ++series) {
            const Labels labels = TargetSeries(target, series);
            Select(builder, labels);
            const SeriesHandle handle = builder.selected();
            if (handle.id != MakeSeriesId(kDefaultTenant, Canonical(labels)) ||
                handle.ordinal != index.FindSeries(handle.partition, handle.id)) {
              ADD_FAILURE() << "wrong series for " << labels.ToString();
            }
            builder.AddSample(round, series);
          }
        }
        builder.Finish();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace basalt::storage
