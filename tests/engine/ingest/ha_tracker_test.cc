// Who of a pair leads, and what is stored of the other.
#include "engine/ingest/ha_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "engine/ingest/remote_write.h"
#include "engine/ingest/remote_write2.h"
#include "engine/ingest/series_labels.h"
#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using testing::ElementsAre;
using Verdict = HaTracker::Verdict;

constexpr int64_t kStartMs = 1'700'000'000'000;

class ManualClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(kStartMs + ms); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::milliseconds(ms);
  }
  int64_t ms = 0;
};

class Pairs : public testing::Test {
 protected:
  HaTracker Make(size_t max_held_bytes = 1000) {
    return HaTracker({.failover = std::chrono::seconds(30), .max_held_bytes = max_held_bytes},
                     clock, [this](TenantId, const std::string&) -> Result<std::string> {
                       ++searched;
                       if (!stored.ok()) return stored;
                       return stored_leader;
                     });
  }
  static HaSender From(const char* replica, const char* cluster = "eu") {
    return {.tenant = kDefaultTenant, .cluster = cluster, .replica = replica};
  }
  static std::vector<std::string> Bodies(const HaTracker::Decision& decision) {
    std::vector<std::string> bodies;
    for (const HeldRequest& held : decision.missed) bodies.push_back(held.body);
    return bodies;
  }

  ManualClock clock;
  Status stored;
  std::string stored_leader;
  int searched = 0;
};

TEST_F(Pairs, TheFirstLeadsAndTheOtherStandsByUntilTheLeaderIsSilent) {
  HaTracker pairs = Make();
  EXPECT_EQ(pairs.Decide(From("a")).verdict, Verdict::kElected);
  pairs.Stored(From("a"), kStartMs - 5);
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kStandsBy);
  pairs.Hold(From("b"), {.body = "b1"});
  clock.ms = 29'999;
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kStandsBy);
  pairs.Hold(From("b"), {.body = "b2"});
  EXPECT_EQ(pairs.Decide(From("a")).verdict, Verdict::kLeads);
  pairs.Stored(From("a"), kStartMs + 29'000);
  clock.ms += 29'999;
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kStandsBy) << "heard 29.999 s ago";
  pairs.Hold(From("b"), {.body = "b3"});
  clock.ms += 1;
  const HaTracker::Decision elected = pairs.Decide(From("b"));
  EXPECT_EQ(elected.verdict, Verdict::kElected);
  EXPECT_EQ(elected.after_ms, kStartMs + 29'000) << "the newest that the leader has brought";
  EXPECT_THAT(Bodies(elected), ElementsAre("b1", "b2", "b3"));
  // The old leader is back: it stands by, and nothing is told twice.
  const HaTracker::Decision back = pairs.Decide(From("a"));
  EXPECT_EQ(back.verdict, Verdict::kStandsBy);
  const HaTracker::Decision next = pairs.Decide(From("b"));
  EXPECT_EQ(next.verdict, Verdict::kLeads);
  EXPECT_EQ(next.after_ms, kStartMs + 29'000) << "what comes late is not doubled either";
  EXPECT_TRUE(next.missed.empty());
  EXPECT_EQ(searched, 1);
}

TEST_F(Pairs, ClustersAndTenantsAreApart) {
  HaTracker pairs = Make();
  EXPECT_EQ(pairs.Decide(From("a")).verdict, Verdict::kElected);
  EXPECT_EQ(pairs.Decide(From("b", "us")).verdict, Verdict::kElected);
  EXPECT_EQ(pairs.Decide({.tenant = TenantId{3}, .cluster = "eu", .replica = "b"}).verdict,
            Verdict::kElected);
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kStandsBy);
}

TEST_F(Pairs, AfterARestartTheStoredLeaderHasTimeToBeHeard) {
  stored_leader = "a";
  HaTracker pairs = Make();
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kStandsBy);
  EXPECT_EQ(pairs.Decide(From("a")).verdict, Verdict::kLeads);
  clock.ms += 30'000;
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kElected);
  EXPECT_EQ(pairs.Clusters()[0].leader, "b");
  EXPECT_EQ(pairs.Clusters()[0].elections, 1U);
}

TEST_F(Pairs, ElectionsThatCannotBeReadDoNotShutEverybodyOut) {
  stored = Unavailable("no store");
  HaTracker pairs = Make();
  EXPECT_EQ(pairs.Decide(From("b")).verdict, Verdict::kElected);
}

TEST_F(Pairs, ALeaderWhoseClockRanFarAheadDoesNotKeepItsSuccessorOut) {
  HaTracker pairs = Make();
  (void)pairs.Decide(From("a"));
  pairs.Stored(From("a"), kStartMs + 500'000);
  clock.ms += 30'000;
  EXPECT_EQ(pairs.Decide(From("b")).after_ms, kStartMs + 30'000);
}

TEST_F(Pairs, ALeaderWhoseClockRanALittleAheadIsNotCountedTwice) {
  HaTracker pairs = Make();
  (void)pairs.Decide(From("a"));
  pairs.Stored(From("a"), kStartMs + 200);  // heard at kStartMs
  clock.ms += 30'000;
  EXPECT_EQ(pairs.Decide(From("b")).after_ms, kStartMs + 200);
}

TEST_F(Pairs, WhatIsHeldIsBoundedByBytesAndAge) {
  HaTracker pairs = Make(/*max_held_bytes=*/10);
  (void)pairs.Decide(From("a"));
  for (const char* body : {"1234", "5678", "9abc"}) {
    (void)pairs.Decide(From("b"));
    pairs.Hold(From("b"), {.body = body});
  }
  EXPECT_EQ(pairs.Clusters()[0].held_bytes, 8U);
  clock.ms += 30'000;
  (void)pairs.Decide(From("a"));
  clock.ms += 29'000;
  pairs.Hold(From("b"), {.body = "d"});
  clock.ms += 2'000;
  pairs.Hold(From("c"), {.body = "e"});
  EXPECT_EQ(pairs.Clusters()[0].held_bytes, 2U) << "the first are older than twice the failover";
  clock.ms += 30'000;
  EXPECT_THAT(Bodies(pairs.Decide(From("b"))), ElementsAre("d")) << "not another replica's";
}

TEST(LeaveOutUpTo, TakesWhatIsNotNewer) {
  storage::IngestBatch batch;
  batch.series.resize(2);
  batch.sample_series = {0, 1, 0, 1};
  batch.sample_ms = {10, 11, 20, 21};
  batch.sample_value = {1, 2, 3, 4};
  batch.histograms.resize(2);
  batch.histograms[0].time_ms = 9;
  batch.histograms[1].time_ms = 12;
  std::vector<storage::IngestBatch> batches = {batch, batch};
  EXPECT_EQ(NewestOf(batches), 21);
  batches[1].sample_ms = {1, 2, 3, 4};
  batches[1].histograms.clear();
  EXPECT_EQ(LeaveOutUpTo(11, batches), 7U);
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_THAT(batches[0].sample_ms, ElementsAre(20, 21));
  EXPECT_THAT(batches[0].sample_value, ElementsAre(3, 4));
  EXPECT_THAT(batches[0].sample_series, ElementsAre(0U, 1U));
  EXPECT_EQ(batches[0].histograms.size(), 1U);
  EXPECT_EQ(NewestOf({}), INT64_MIN);
}

// ---- what the decoders have to do with it

std::string Request1(const char* replica) {
  std::string bytes;
  protozero::pbf_writer request(bytes);
  protozero::pbf_writer series(request, 1);
  for (const auto& [name, value] : {std::pair{"__name__", "up"}, std::pair{"__replica__", replica},
                                    std::pair{"cluster", "eu"}}) {
    protozero::pbf_writer label(series, 1);
    label.add_string(1, name);
    label.add_string(2, value);
  }
  protozero::pbf_writer sample(series, 2);
  sample.add_double(1, 1);
  sample.add_int64(2, kStartMs);
  return bytes;
}

std::string Request2(const char* replica) {
  std::string bytes;
  protozero::pbf_writer request(bytes);
  for (const char* symbol : {"", "__name__", "up", "__replica__", replica, "cluster", "eu"})
    request.add_string(4, symbol);
  protozero::pbf_writer series(request, 5);
  const std::vector<uint32_t> refs = {1, 2, 3, 4, 5, 6};
  series.add_packed_uint32(1, refs.begin(), refs.end());
  protozero::pbf_writer sample(series, 2);
  sample.add_double(1, 1);
  sample.add_int64(2, kStartMs);
  return bytes;
}

template <typename Decoder>
void TheReplicaIsToldAndNotStored(const std::string& of_a, const std::string& of_b) {
  DecoderWorld world;
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  Decoder decoder{Limits()};
  Report report;
  std::vector<LabelView> labels;
  for (const std::string& bytes : {of_a, of_b, of_a}) {
    ASSERT_TRUE(decoder.Decode(bytes, FromMs(kStartMs), builder, report).ok());
    EXPECT_EQ(report.Message(), "");
    ASSERT_TRUE(decoder.FirstLabels(labels));
    EXPECT_EQ(labels.size(), 3U);
    EXPECT_EQ(labels[1].name, "__replica__");
    EXPECT_EQ(world.Apply(builder.Finish()),
              (std::vector<SampleRow>{{"up{cluster=\"eu\"}", kStartMs, 1}}));
  }
  EXPECT_EQ(world.defined, 1) << "one series for both";
}

TEST(ReplicaLabel, IsToldAndNotStoredByRemoteWrite1) {
  TheReplicaIsToldAndNotStored<RemoteWriteDecoder>(Request1("a"), Request1("b"));
}
TEST(ReplicaLabel, IsToldAndNotStoredByRemoteWrite2) {
  TheReplicaIsToldAndNotStored<RemoteWrite2Decoder>(Request2("a"), Request2("b"));
}

TEST(ReplicaLabel, IsDroppedOnlyBesideACluster) {
  std::vector<LabelView> labels = {{"__name__", "up"}, {"__replica__", "a"}};
  DropReplica(HaLabels(), labels);
  EXPECT_EQ(labels.size(), 2U);
  labels.push_back({"cluster", "eu"});
  DropReplica({.cluster = "", .replica = "__replica__"}, labels);
  EXPECT_EQ(labels.size(), 3U) << "turned off";
  DropReplica(HaLabels(), labels);
  EXPECT_EQ(labels.size(), 2U);
}

}  // namespace
}  // namespace basalt::ingest
