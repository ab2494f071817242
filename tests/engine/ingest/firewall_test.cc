// The cardinality firewall before a real store: sums of rates before and after folding, restarts,
// kills, limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <random>

#include "engine/ingest/write_service.h"
#include "storage/store.h"
#include "tests/engine/ingest/counter_increase.h"
#include "tests/support/temporary_directory.h"

namespace basalt::ingest {
namespace {

namespace fs = std::filesystem;
using basalt::testing::CounterIncrease;
using ::testing::HasSubstr;

// Series are active for what is stored of the last hour.
const int64_t kT = ToMs(SystemClock().Now()) - 1'200'000;

using Samples = std::map<int64_t, double>;
using Stored = std::map<std::string, Samples>;  // by series in PromQL's notation

// A server's write path on a directory.
class World {
 public:
  World(std::string directory, const std::string& limits) : directory_(std::move(directory)) {
    storage::StoreOptions options;
    options.directory = directory_;
    options.partitions = 4;
    auto opened = storage::Store::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    store = *std::move(opened);
    LimitTable table;
    table.tenants.insert(ParseTenantLimits(limits, Limits()).value());
    service = std::make_unique<WriteService>(*store, SystemClock(), registry, table);
    EXPECT_TRUE(service->firewall().Open(directory_ + "/folds.journal").ok());
  }

  std::future<WriteAnswer> Send(const std::string& page) {
    auto promise = std::make_shared<std::promise<WriteAnswer>>();
    service->Import(Protocol::kExposition, 1,
                    {.content_type = {}, .content_encoding = {}, .body = page},
                    [promise](const WriteAnswer& answer) { promise->set_value(answer); });
    return promise->get_future();
  }

  Stored Read() const {
    Stored found;
    const auto snapshot = store->reader().TakeSnapshot().value();
    for (uint16_t p = 0; p < snapshot->partition_count(); ++p) {
      const auto selection =
          snapshot
              ->Select(kDefaultTenant, PartitionId{p},
                       {{storage::MatchType::kNotEqual, "__name__", ""}}, {}, SIZE_MAX)
              .value();
      const auto cursor = selection->Read(0, selection->size(), {});
      storage::SeriesColumns columns;
      while (cursor->Next(columns).value()) {
        Samples& series = found[selection->labels(columns.series).ToString()];
        for (size_t i = 0; i < columns.time_ms.size(); ++i)
          series[columns.time_ms[i]] = columns.values[i];
      }
    }
    return found;
  }

  Firewall::Use use() const { return service->firewall().Uses().at(0); }

  metrics::Registry registry;
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<WriteService> service;

 private:
  const std::string directory_;
};

class FirewallTest : public ::testing::Test {
 protected:
  World Open(const std::string& limits, const std::string& name = "data") {
    return {directory + "/" + name, limits};
  }
  const TemporaryDirectory temporary;
  const std::string directory = temporary.path();
};

std::string Line(int id, double value, int64_t ms, const char* metric = "req_total") {
  return std::string(metric) + "{job=\"api\",code=\"200\",id=\"" + std::to_string(id) + "\"} " +
         std::to_string(value) + " " + std::to_string(ms) + "\n";
}
const std::string kOther = "req_total{code=\"200\", id=\"__other__\", job=\"api\"}";

TEST_F(FirewallTest, CountersBeyondTheLimitGoIntoOneSeriesAndGaugesAreRefusedByReason) {
  World world = Open("0 max_active_series=4 max_folded_series=100");
  std::string page;
  for (int id = 0; id < 20; ++id) page += Line(id, 10 * id, kT);
  WriteAnswer answer = world.Send(page).get();
  EXPECT_EQ(answer.status, 204) << answer.message;
  EXPECT_EQ(answer.samples_written, 20U) << "folding is no refusal";
  page = "temperature{id=\"1\"} 5 " + std::to_string(kT) + "\n";
  for (int id = 0; id < 20; ++id) page += Line(id, 10 * id + 3, kT + 1000);
  answer = world.Send(page).get();
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.message, HasSubstr("1 rejected"));
  EXPECT_THAT(answer.message, HasSubstr("temperature{id=\"1\"}"));
  const Stored stored = world.Read();
  EXPECT_EQ(stored.size(), 5U) << "four that there was room for, and __other__";
  ASSERT_TRUE(stored.contains(kOther));
  EXPECT_EQ(stored.at(kOther), (Samples{{kT, 0}, {kT + 1000, 16 * 3}}));
  const Firewall::Use use = world.use();
  EXPECT_EQ(use.folded_series, 16U);
  EXPECT_EQ(use.into_series, 1U);
  EXPECT_EQ(use.samples, 32U);
  EXPECT_EQ(use.example_into, kOther);
  EXPECT_THAT(use.example, HasSubstr("req_total{code=\"200\", id=\""));
}

// The labels' bytes as a protocol would have them.
Hash128 Raw(int id) { return HashBytes128("raw " + std::to_string(id)); }

// A request of one sample, by labels where its builder knows it by nothing else. True: it did.
bool Build(int id, double value, int64_t ms, storage::BatchBuilder& builder) {
  const std::string text = std::to_string(id);
  const std::vector<LabelView> labels = {
      {"__name__", "req_total"}, {"code", "200"}, {"id", text}, {"job", "api"}};
  const bool known = builder.SelectKnown(Raw(id));
  if (!known) builder.SelectLabels(Raw(id), labels);
  builder.AddSample(ms, value);
  return known;
}

void Store(World& world, storage::BatchBuilder& builder) {
  Report report;
  auto batches = builder.Finish();
  auto admission = world.service->Admit(kDefaultTenant, Protocol::kRemoteWrite1, batches, report);
  ASSERT_TRUE(admission.status.ok());
  for (const auto& batch : batches) {
    for (const auto& series : batch.series)
      EXPECT_TRUE(series.ordinal != kUnknownOrdinal || series.labels_bytes > 0);
  }
  std::promise<bool> stored;
  world.service->Append(kDefaultTenant, std::move(admission), std::move(batches),
                        [&stored](const auto& result) { stored.set_value(result.ok()); });
  EXPECT_TRUE(stored.get_future().get());
}

TEST_F(FirewallTest, AFoldedSeriesSeenAgainIsFoundByItsBytesAndItsLabelsAreNotAskedFor) {
  World world = Open("0 max_active_series=1 max_folded_series=100");
  storage::BatchBuilder builder(world.store->resolver(), kDefaultTenant);
  builder.SetAside(&world.service->firewall().cache());
  for (int id = 0; id < 3; ++id) EXPECT_FALSE(Build(id, 10 * id, kT, builder));
  Store(world, builder);
  for (int id = 0; id < 3; ++id) EXPECT_TRUE(Build(id, 10 * id + 5, kT + 1000, builder));
  Store(world, builder);
  EXPECT_EQ(world.Read().at(kOther), (Samples{{kT, 0}, {kT + 1000, 10}}));
  // Another tenant's bytes are another series'.
  storage::BatchBuilder others(world.store->resolver(), TenantId{9});
  others.SetAside(&world.service->firewall().cache());
  EXPECT_FALSE(Build(1, 0, kT, others));
}

TEST_F(FirewallTest, WhatWasFoundByItsBytesIsFoldedAlthoughTheLimitIsGoneMeanwhile) {
  World world = Open("0 max_active_series=1 max_folded_series=100");
  storage::BatchBuilder builder(world.store->resolver(), kDefaultTenant);
  builder.SetAside(&world.service->firewall().cache());
  for (int id = 0; id < 3; ++id) Build(id, 0, kT, builder);
  Store(world, builder);
  for (int id = 1; id < 3; ++id) EXPECT_TRUE(Build(id, 7, kT + 1000, builder));
  EXPECT_FALSE(Build(3, 7, kT + 1000, builder));
  world.service->tenants().SetLimits({});
  Store(world, builder);
  const Stored stored = world.Read();
  EXPECT_EQ(stored.at(kOther), (Samples{{kT, 0}, {kT + 1000, 14}}));
  EXPECT_EQ(stored.size(), 3U) << "the first, the third, and __other__";
}

TEST_F(FirewallTest, BeyondTheSecondLimitCountersAreRefusedByAReasonOfTheirOwn) {
  World world = Open("0 max_active_series=1 max_folded_series=2");
  std::string page;
  for (int id = 0; id < 5; ++id) page += Line(id, 1, kT);
  const WriteAnswer answer = world.Send(page).get();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.samples_written, 3U);
  EXPECT_THAT(answer.message, HasSubstr("2 new counters, the first req_total"));
  EXPECT_THAT(answer.message, HasSubstr("(max_folded_series)"));
  const auto rejected = world.service->rejections().Summarize().items;
  EXPECT_EQ(rejected[static_cast<size_t>(Reason::kFoldLimit)].count, 2U);
}

TEST_F(FirewallTest, WithoutASecondLimitNothingIsFolded) {
  World world = Open("0 max_active_series=1 max_folded_series=0");
  const WriteAnswer answer = world.Send(Line(1, 1, kT) + Line(2, 1, kT)).get();
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.message, HasSubstr("(max_active_series)"));
  EXPECT_EQ(world.Read().size(), 1U);
}

// Counters that rise, reset and pause; several requests a scrape, as shards send them, some of them
// sent twice; the server is stopped, or killed, in between.
void CompareRates(const std::string& directory, uint64_t seed, bool kill) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto upto = [&random](int n) {
    return static_cast<int>(random() % static_cast<uint64_t>(n));
  };
  constexpr int kSeries = 60;
  constexpr int kScrapes = 40;
  const std::string limits = "0 max_active_series=15 max_folded_series=1000";
  std::vector<Samples> sent(kSeries);
  std::string at = directory + "/" + std::to_string(seed);
  auto world = std::make_unique<World>(at, limits);
  for (int scrape = 0; scrape < kScrapes; ++scrape) {
    const int64_t ms = kT + scrape * int64_t{15'000};
    std::vector<std::string> pages(3);
    for (int id = 0; id < kSeries; ++id) {
      Samples& series = sent[static_cast<size_t>(id)];
      if (upto(10) == 0) continue;
      const double last = series.empty() ? upto(1000) : series.rbegin()->second;
      const double value = upto(12) == 0 ? upto(5) : last + upto(50);
      series[ms] = value;
      pages[static_cast<size_t>(upto(3))] += Line(id, value, ms);
    }
    std::vector<std::future<WriteAnswer>> answers;
    for (const std::string& page : pages) {
      answers.push_back(world->Send(page));
      if (upto(4) == 0) answers.push_back(world->Send(page));
    }
    for (auto& answer : answers) EXPECT_EQ(answer.get().status, 204);
    if (upto(8) != 0) continue;
    if (kill) {
      // What the disk holds now is what a killed process leaves.
      const std::string copy = at + "k";
      fs::copy(at, copy, fs::copy_options::recursive);
      world.reset();
      at = copy;
    } else {
      ASSERT_TRUE(world->store->Close().ok());
      world.reset();
    }
    world = std::make_unique<World>(at, limits);
  }
  double expected = 0;
  for (const Samples& series : sent) expected += CounterIncrease(series);
  double found = 0;
  const Stored stored = world->Read();
  EXPECT_LE(stored.size(), 20U);
  for (const auto& [labels, samples] : stored) {
    found += CounterIncrease(samples);
    if (labels != kOther) continue;
    EXPECT_EQ(samples.rbegin()->second - samples.begin()->second, CounterIncrease(samples))
        << "a folded counter never falls";
  }
  EXPECT_EQ(found, expected);
}

uint64_t Rounds() {
  const char* const rounds = std::getenv("BASALT_TEST_ROUNDS");
  return rounds == nullptr ? 2 : std::strtoull(rounds, nullptr, 10);
}

TEST_F(FirewallTest, TheSumOfRatesIsTheSameBeforeAndAfterFolding) {
  for (uint64_t seed = 1; seed <= Rounds(); ++seed) CompareRates(directory, seed, /*kill=*/false);
}

TEST_F(FirewallTest, AKillLosesNothingOfIt) {
  for (uint64_t seed = 1; seed <= Rounds(); ++seed) CompareRates(directory, seed, /*kill=*/true);
}

TEST_F(FirewallTest, ABacklogKeepsTheTimesOfItsIncreases) {
  World world = Open("0 max_active_series=1 max_folded_series=10");
  EXPECT_EQ(world.Send(Line(0, 1, kT)).get().status, 204);
  std::string page;
  for (int i = 0; i < 4; ++i) {
    page += Line(1, 5 * i, kT + i * 1000);
    page += Line(2, 7 * i, kT + i * 1000);
  }
  EXPECT_EQ(world.Send(page).get().status, 204);
  EXPECT_EQ(world.Read().at(kOther),
            (Samples{{kT, 0}, {kT + 1000, 12}, {kT + 2000, 24}, {kT + 3000, 36}}));
}

TEST_F(FirewallTest, WithoutItsJournalAFoldedCounterGoesOnWhereTheStoreEnds) {
  {
    World world = Open("0 max_active_series=2 max_folded_series=10");
    EXPECT_EQ(world.Send(Line(0, 1, kT) + Line(9, 1, kT)).get().status, 204);
    EXPECT_EQ(world.Send(Line(1, 1, kT) + Line(1, 101, kT + 1000)).get().status, 204);
  }
  fs::remove(directory + "/data/folds.journal");
  World world = Open("0 max_active_series=2 max_folded_series=10");
  EXPECT_EQ(world.Send(Line(1, 150, kT + 2000) + Line(1, 153, kT + 3000)).get().status, 204);
  EXPECT_EQ(world.Read().at(kOther),
            (Samples{{kT, 0}, {kT + 1000, 100}, {kT + 2000, 100}, {kT + 3000, 103}}));
}

TEST_F(FirewallTest, AnOlderJournalDoesNotMakeAFoldedCounterFall) {
  const std::string limits = "0 max_active_series=2 max_folded_series=10";
  std::string journal = directory + "/data/folds.journal";
  {
    World world = Open(limits);
    EXPECT_EQ(world.Send(Line(0, 1, kT) + Line(9, 1, kT)).get().status, 204);
    EXPECT_EQ(world.Send(Line(1, 1, kT)).get().status, 204);
    fs::copy(journal, directory + "/old");
    EXPECT_EQ(world.Send(Line(1, 101, kT + 1000)).get().status, 204);
  }
  // A power cut may take its last seconds; the log's it cannot.
  fs::rename(directory + "/old", journal);
  World world = Open(limits);
  EXPECT_EQ(world.Send(Line(1, 111, kT + 2000)).get().status, 204);
  EXPECT_EQ(world.Read().at(kOther), (Samples{{kT, 0}, {kT + 1000, 100}, {kT + 2000, 110}}));
}

TEST_F(FirewallTest, ATornJournalIsReadUpToTheTear) {
  const std::string limits = "0 max_active_series=2 max_folded_series=10";
  const std::string journal = directory + "/data/folds.journal";
  {
    World world = Open(limits);
    EXPECT_EQ(world.Send(Line(0, 1, kT) + Line(9, 1, kT)).get().status, 204);
    EXPECT_EQ(world.Send(Line(1, 1, kT) + Line(1, 4, kT + 1)).get().status, 204);
    EXPECT_EQ(world.Send(Line(1, 9, kT + 2)).get().status, 204);
  }
  fs::resize_file(journal, fs::file_size(journal) - 3);
  World world = Open(limits);
  EXPECT_EQ(world.Send(Line(1, 10, kT + 3)).get().status, 204);
  EXPECT_EQ(world.Read().at(kOther), (Samples{{kT, 0}, {kT + 1, 3}, {kT + 2, 8}, {kT + 3, 9}}));
}

}  // namespace
}  // namespace basalt::ingest
