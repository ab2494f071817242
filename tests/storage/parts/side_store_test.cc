#include "storage/parts/side_store.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ExemplarTest : public PartsFixture {
 protected:
  static constexpr PartitionId kPartition{2};
  static constexpr SeriesOrdinal kSeries{7};

  void SetUp() override {
    Open();
    exemplars_ = std::make_unique<ExemplarStore>(*database_);
  }
  bool Add(int64_t time, double value, const std::string& labels = "l") {
    return exemplars_->Add(kPartition, kSeries, {time, value, labels}).value();
  }
  std::vector<int64_t> Times(TimeRange range = {}) {
    std::vector<StoredExemplar> found;
    EXPECT_TRUE(exemplars_->Read(kPartition, kSeries, range, found).ok());
    std::vector<int64_t> out;
    for (const StoredExemplar& e : found) out.push_back(e.time_ms);
    return out;
  }
  void Commit() {
    RunCommit commit;
    exemplars_->Save(commit.extra);
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
    exemplars_->Saved();
  }
  std::unique_ptr<ExemplarStore> exemplars_;
};

TEST_F(ExemplarTest, AreVisibleAtOnceAndInTimeOrder) {
  EXPECT_TRUE(Add(20, 1));
  EXPECT_TRUE(Add(10, 1));
  EXPECT_TRUE(Add(30, 1));
  EXPECT_THAT(Times(), ElementsAre(10, 20, 30));
  EXPECT_THAT(Times({20, 30}), ElementsAre(20, 30));
  EXPECT_THAT(Times({21, 29}), IsEmpty());
}

TEST_F(ExemplarTest, AnIdenticalOneIsTakenOnceBeforeAndAfterACommit) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(Add(10, nan));
  EXPECT_FALSE(Add(10, nan));
  Commit();
  EXPECT_FALSE(Add(10, nan));
  EXPECT_TRUE(Add(10, 2));
  EXPECT_TRUE(Add(10, nan, "other labels"));
  EXPECT_EQ(Times().size(), 3u);
}

TEST_F(ExemplarTest, SurviveAReopenAfterACommit) {
  EXPECT_TRUE(Add(10, 1));
  Commit();
  EXPECT_TRUE(Add(20, 1));
  Commit();
  exemplars_ = std::make_unique<ExemplarStore>(*database_);
  EXPECT_THAT(Times(), ElementsAre(10, 20));
}

TEST_F(ExemplarTest, AddedDuringACommitAreInTheNext) {
  EXPECT_TRUE(Add(10, 1));
  RunCommit commit;
  exemplars_->Save(commit.extra);
  EXPECT_TRUE(Add(20, 1));
  ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  exemplars_->Saved();
  EXPECT_THAT(Times(), ElementsAre(10, 20));
  Commit();
  exemplars_ = std::make_unique<ExemplarStore>(*database_);
  EXPECT_THAT(Times(), ElementsAre(10, 20));
}

TEST_F(ExemplarTest, OfAFullSeriesTheNewestStay) {
  const auto bound = static_cast<int64_t>(kMaxExemplarsPerSeries);
  for (int64_t t = 1; t <= bound; ++t) EXPECT_TRUE(Add(t * 10, 1));
  EXPECT_EQ(Times().size(), kMaxExemplarsPerSeries);
  EXPECT_FALSE(Add(5, 1));  // older than all
  EXPECT_TRUE(Add(15, 1));  // pushes out 10
  EXPECT_EQ(Times().size(), kMaxExemplarsPerSeries);
  EXPECT_EQ(Times().front(), 15);
  EXPECT_TRUE(Add(bound * 10 + 5, 1));
  EXPECT_EQ(Times().front(), 20);
  EXPECT_EQ(Times().back(), bound * 10 + 5);
  Commit();
  exemplars_ = std::make_unique<ExemplarStore>(*database_);
  EXPECT_EQ(Times().size(), kMaxExemplarsPerSeries);
}

class MetadataTest : public PartsFixture {
 protected:
  void SetUp() override {
    Open();
    metadata_ = MetadataStore::Open(*database_).value();
  }
  void Put(const std::string& metric, const std::string& help) {
    ASSERT_TRUE(metadata_->Put(kDefaultTenant, {metric, MetricType::kCounter, "s", help}).ok());
  }
  std::vector<std::string> Helps(std::string_view metric) {
    std::vector<std::string> out;
    for (const MetadataEntry& e : metadata_->Read(kDefaultTenant, metric)) {
      out.push_back(e.metric + ": " + e.help);
    }
    return out;
  }
  void Commit() {
    RunCommit commit;
    metadata_->Save(commit.extra);
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
    metadata_->Saved();
  }
  std::unique_ptr<MetadataStore> metadata_;
};

TEST_F(MetadataTest, KeepsDistinctDescriptionsLatestLast) {
  Put("b", "one");
  Put("a", "x");
  Put("b", "two");
  Put("b", "one");
  EXPECT_THAT(Helps("b"), ElementsAre("b: two", "b: one"));
  EXPECT_THAT(Helps(""), ElementsAre("a: x", "b: two", "b: one"));
  EXPECT_THAT(Helps("c"), IsEmpty());
  EXPECT_THAT(metadata_->Read(TenantId{1}, ""), IsEmpty());
}

TEST_F(MetadataTest, SurvivesAReopenAfterACommit) {
  Put("b", "one");
  Commit();
  Put("b", "two");
  RunCommit commit;
  metadata_->Save(commit.extra);
  Put("b", "three");  // during the commit
  ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  metadata_->Saved();
  Commit();
  metadata_ = MetadataStore::Open(*database_).value();
  EXPECT_THAT(Helps(""), ElementsAre("b: one", "b: two", "b: three"));
  EXPECT_EQ(metadata_->Read(kDefaultTenant, "b")[0].type, MetricType::kCounter);
  EXPECT_EQ(metadata_->Read(kDefaultTenant, "b")[0].unit, "s");
}

TEST_F(MetadataTest, OfTooManyDescriptionsTheLatestStay) {
  for (size_t i = 0; i <= kMaxMetadataPerMetric; ++i) Put("m", std::to_string(i));
  const auto helps = Helps("m");
  EXPECT_EQ(helps.size(), kMaxMetadataPerMetric);
  EXPECT_EQ(helps.front(), "m: 1");
}

TEST_F(MetadataTest, RefusesMetricsBeyondTheBoundNamingTheMetric) {
  for (size_t i = 0; i < kMaxMetadataMetricsPerTenant; ++i) Put(std::to_string(i), "");
  const Status status = metadata_->Put(kDefaultTenant, {"one_more", MetricType::kGauge, "", ""});
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("one_more"));
  Put("5", "an old one may still change");
}

}  // namespace
}  // namespace basalt::storage
