#include "storage/index/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "storage/resolver.h"
#include "tests/storage/index/memory_source.h"

namespace basalt::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint16_t kDay = 20'000;
constexpr TimeRange kAllTime{0, INT64_MAX};
constexpr size_t kNoLimit = SIZE_MAX;

TimeRange DayRangeOf(uint16_t day) { return {day * kMsPerDay, (day + 1) * kMsPerDay - 1}; }

Result<SeriesOrdinal> TryInsert(PartitionIndex& index, const Labels& labels,
                                TenantId tenant = kDefaultTenant) {
  std::string canonical;
  AppendCanonical(labels, canonical);
  return index.Insert(tenant, MakeSeriesId(tenant, canonical), canonical);
}

SeriesOrdinal MustInsert(PartitionIndex& index, const Labels& labels, uint16_t day = kDay,
                         TenantId tenant = kDefaultTenant) {
  const SeriesOrdinal ordinal = TryInsert(index, labels, tenant).value();
  index.MarkActive(ordinal, day);
  return ordinal;
}

std::vector<std::string> Names(const PartitionIndex& index, const MatcherSet& matchers,
                               TimeRange range = kAllTime) {
  const auto set = index.Select(kDefaultTenant, matchers, range, kNoLimit).value();
  std::vector<std::string> out;
  for (size_t i = 0; i < set->size(); ++i) out.push_back(set->labels(i).ToString());
  return out;
}

TEST(PartitionIndex, GivesOrdinalsInTheOrderOfInserts) {
  PartitionIndex index{PartitionId{3}};
  EXPECT_EQ(MustInsert(index, {{"__name__", "up"}, {"job", "a"}}), SeriesOrdinal{0});
  EXPECT_EQ(MustInsert(index, {{"__name__", "up"}, {"job", "b"}}), SeriesOrdinal{1});
  EXPECT_EQ(MustInsert(index, {{"__name__", "up"}, {"job", "a"}}), SeriesOrdinal{0});
  EXPECT_EQ(index.Stats().series, 2u);
}

TEST(PartitionIndex, FindsAnInsertedSeriesByItsIdOnly) {
  PartitionIndex index{PartitionId{0}};
  const SeriesOrdinal ordinal = MustInsert(index, {{"__name__", "up"}});
  EXPECT_EQ(index.Find(index.id(ordinal)), ordinal);
  EXPECT_EQ(index.Find(SeriesId{{1, 2}}), kUnknownOrdinal);
}

TEST(PartitionIndex, RefusesTwoLabelSetsUnderOneId) {
  PartitionIndex index{PartitionId{0}};
  std::string a;
  std::string b;
  AppendCanonical(Labels{{"__name__", "a"}}, a);
  AppendCanonical(Labels{{"__name__", "b"}}, b);
  ASSERT_TRUE(index.Insert(kDefaultTenant, SeriesId{{7, 7}}, a).ok());
  EXPECT_EQ(index.Insert(kDefaultTenant, SeriesId{{7, 7}}, b).status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(index.Insert(TenantId{1}, SeriesId{{7, 7}}, a).status().code(),
            StatusCode::kAlreadyExists);
}

struct BadLabels {
  const char* name;
  std::vector<LabelView> labels;
  const char* message;
};
class RefusesLabels : public testing::TestWithParam<BadLabels> {};
TEST_P(RefusesLabels, NamingWhatIsWrong) {
  PartitionIndex index{PartitionId{0}};
  std::string canonical;
  AppendCanonical(GetParam().labels, canonical);
  const Status status = index.Insert(kDefaultTenant, SeriesId{{1, 1}}, canonical).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
  EXPECT_EQ(index.Stats().series, 0u);
}
INSTANTIATE_TEST_SUITE_P(Table, RefusesLabels,
                         testing::Values(BadLabels{"none", {}, "none"},
                                         BadLabels{
                                             "unsorted", {{"b", "1"}, {"a", "1"}}, "a after b"},
                                         BadLabels{"twice", {{"a", "1"}, {"a", "2"}}, "a after a"},
                                         BadLabels{"empty_value", {{"a", ""}}, "empty value of a"},
                                         BadLabels{"empty_name", {{"", "x"}}, "empty label name"}),
                         [](const auto& tested) { return tested.param.name; });

TEST(PartitionIndex, RefusesLabelBytesThatDoNotParse) {
  PartitionIndex index{PartitionId{0}};
  EXPECT_FALSE(index
                   .Insert(kDefaultTenant, SeriesId{{1, 1}},
                           "\x05"
                           "ab")
                   .ok());
}

TEST(PartitionIndex, OrdersByMetricThenGroupThenLabelsThenNumericLe) {
  PartitionIndex index{PartitionId{0}};
  const auto bucket = [](const char* instance, const char* path, const char* le) {
    return Labels{{"__name__", "http_bucket"},
                  {"job", "j"},
                  {"instance", instance},
                  {"path", path},
                  {"le", le}};
  };
  // First metric and first group seen come first, whatever their names.
  MustInsert(index, {{"__name__", "zz"}, {"job", "j"}, {"instance", "z"}});
  MustInsert(index, bucket("a", "/x", "+Inf"));
  MustInsert(index, bucket("a", "/x", "10"));
  MustInsert(index, bucket("a", "/x", "9"));
  MustInsert(index, bucket("a", "/x", "0.5"));
  MustInsert(index, bucket("a", "/x", "weird"));
  MustInsert(index, bucket("a", "/w", "5"));
  MustInsert(index, bucket("z", "/x", "5"));
  MustInsert(index, {{"__name__", "http_bucket"}, {"job", "j"}, {"instance", "a"}, {"path", "/x"}});
  MustInsert(index, {{"__name__", "aa"}, {"job", "j"}, {"instance", "a"}});

  const auto set = index.Select(kDefaultTenant, {}, kAllTime, kNoLimit).value();
  std::vector<std::string> got;
  for (size_t i = 0; i < set->size(); ++i) {
    got.push_back(std::string(set->label(i, "__name__")) + " " +
                  std::string(set->label(i, "instance")) + " " +
                  std::string(set->label(i, "path")) + " " + std::string(set->label(i, "le")));
  }
  EXPECT_THAT(got,
              ElementsAre("zz z  ", "http_bucket z /x 5", "http_bucket a /w 5", "http_bucket a /x ",
                          "http_bucket a /x 0.5", "http_bucket a /x 9", "http_bucket a /x 10",
                          "http_bucket a /x +Inf", "http_bucket a /x weird", "aa a  "));
}

TEST(PartitionIndex, PutsSeriesWithoutANameUnderAMetricNumberThatIsNotZero) {
  PartitionIndex index{PartitionId{0}};
  const SeriesOrdinal ordinal = MustInsert(index, {{"job", "a"}});
  EXPECT_EQ(index.place(ordinal).metric, MetricId{1});
  EXPECT_EQ(index.labels(ordinal), (Labels{{"job", "a"}}));
  EXPECT_THAT(Names(index, {{MatchType::kEqual, "__name__", ""}}), ElementsAre("{job=\"a\"}"));
}

TEST(PartitionIndex, KeepsTenantsApart) {
  PartitionIndex index{PartitionId{0}};
  const Labels labels{{"__name__", "up"}, {"job", "a"}};
  const SeriesOrdinal a = MustInsert(index, labels, kDay, TenantId{1});
  const SeriesOrdinal b = MustInsert(index, labels, kDay, TenantId{2});
  EXPECT_NE(a, b);
  const auto set = index.Select(TenantId{2}, {}, kAllTime, kNoLimit).value();
  ASSERT_EQ(set->size(), 1u);
  EXPECT_EQ(set->ordinal(0), b);
  EXPECT_EQ(index.Select(TenantId{3}, {}, kAllTime, kNoLimit).value()->size(), 0u);
  std::vector<std::string_view> names;
  ASSERT_TRUE(index.LabelNames(TenantId{3}, {}, kAllTime, 0, names).ok());
  EXPECT_THAT(names, IsEmpty());
}

TEST(PartitionIndex, SelectsByDaysOfActivity) {
  PartitionIndex index{PartitionId{0}};
  MustInsert(index, {{"__name__", "a"}}, kDay);
  MustInsert(index, {{"__name__", "b"}}, kDay + 1);
  ASSERT_TRUE(TryInsert(index, {{"__name__", "never_active"}}).ok());
  EXPECT_THAT(Names(index, {}, DayRangeOf(kDay)), ElementsAre("a"));
  EXPECT_THAT(Names(index, {}, {DayRangeOf(kDay).max_ms, DayRangeOf(kDay).max_ms + 1}),
              ElementsAre("a", "b"));
  EXPECT_THAT(Names(index, {}, DayRangeOf(kDay + 2)), IsEmpty());
  EXPECT_THAT(Names(index, {}, {5, 4}), IsEmpty());
  EXPECT_EQ(index.ActiveCount(DayRangeOf(kDay)), 1u);
  EXPECT_EQ(index.ActiveCount(kAllTime), 2u);
}

TEST(PartitionIndex, TellsWhichSeriesOfADayAreNew) {
  PartitionIndex index{PartitionId{0}};
  const SeriesOrdinal a = MustInsert(index, {{"__name__", "a"}}, kDay);
  MustInsert(index, {{"__name__", "b"}}, kDay);
  index.MarkActive(a, kDay + 2);
  MustInsert(index, {{"__name__", "c"}}, kDay + 2);
  const auto days = index.SeriesByDay(10);
  ASSERT_EQ(days.size(), 2U);
  EXPECT_EQ(days[0].day, kDay + 2);
  EXPECT_EQ(days[0].active, 2U);
  EXPECT_EQ(days[0].created, 1U);
  EXPECT_EQ(days[1].day, kDay);
  EXPECT_EQ(days[1].created, 2U);
  ASSERT_EQ(index.SeriesByDay(1).size(), 1U);
  EXPECT_EQ(index.SeriesByDay(1)[0].created, 1U);
}

TEST(PartitionIndex, ForgetsDroppedDaysAndLearnsThemAgain) {
  PartitionIndex index{PartitionId{0}};
  const SeriesOrdinal a = MustInsert(index, {{"__name__", "a"}}, kDay);
  index.DropDaysBefore(kDay);
  EXPECT_EQ(index.ActiveCount(kAllTime), 1u);
  index.DropDaysBefore(kDay + 1);
  EXPECT_EQ(index.ActiveCount(kAllTime), 0u);
  index.MarkActive(a, kDay);
  EXPECT_EQ(index.ActiveCount(kAllTime), 1u);
}

TEST(PartitionIndex, RefusesASelectionBeyondTheLimitAndTakesOneAtIt) {
  PartitionIndex index{PartitionId{0}};
  for (const char* job : {"a", "b", "c"}) MustInsert(index, {{"__name__", "up"}, {"job", job}});
  EXPECT_TRUE(index.Select(kDefaultTenant, {}, kAllTime, 3).ok());
  const Status status = index.Select(kDefaultTenant, {}, kAllTime, 2).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("3 series"));
}

TEST(PartitionIndex, ListsNamesAndValuesOfMatchingActiveSeries) {
  PartitionIndex index{PartitionId{0}};
  MustInsert(index, {{"__name__", "up"}, {"job", "a"}, {"zone", "1"}});
  MustInsert(index, {{"__name__", "up"}, {"job", "b"}});
  MustInsert(index, {{"__name__", "down"}, {"job", "c"}, {"old", "x"}}, kDay - 1);
  const TimeRange today = DayRangeOf(kDay);
  std::vector<std::string_view> out;
  ASSERT_TRUE(index.LabelNames(kDefaultTenant, {}, today, 0, out).ok());
  EXPECT_THAT(out, UnorderedElementsAre("__name__", "job", "zone"));
  out.clear();
  ASSERT_TRUE(index.LabelValues(kDefaultTenant, "job", {}, today, 0, out).ok());
  EXPECT_THAT(out, UnorderedElementsAre("a", "b"));
  out.clear();
  ASSERT_TRUE(
      index
          .LabelValues(kDefaultTenant, "job",
                       {{{MatchType::kEqual, "zone", "1"}}, {{MatchType::kEqual, "old", "x"}}},
                       kAllTime, 0, out)
          .ok());
  EXPECT_THAT(out, UnorderedElementsAre("a", "c"));
  out.clear();
  ASSERT_TRUE(index.LabelValues(kDefaultTenant, "nosuch", {}, today, 0, out).ok());
  EXPECT_THAT(out, IsEmpty());
}

TEST(PartitionIndex, ListsTheSmallestValuesAndOneMoreThanTheLimit) {
  PartitionIndex index{PartitionId{0}};
  for (const char* job : {"d", "b", "e", "a", "c"})
    MustInsert(index, {{"__name__", "up"}, {"job", job}});
  std::vector<std::string_view> out;
  ASSERT_TRUE(index.LabelValues(kDefaultTenant, "job", {}, kAllTime, 2, out).ok());
  EXPECT_THAT(out, UnorderedElementsAre("a", "b", "c"));
  out.clear();
  ASSERT_TRUE(index.LabelValues(kDefaultTenant, "job", {}, kAllTime, 5, out).ok());
  EXPECT_EQ(out.size(), 5u);
}

TEST(PartitionIndex, SplitsAGroupBeyondItsBoundAndKeepsItsLabels) {
  PartitionIndex index{PartitionId{0}};
  for (uint32_t i = 0; i <= kMaxSeriesPerGroup; ++i) {
    MustInsert(index,
               {{"__name__", "m"}, {"job", "j"}, {"instance", "i"}, {"n", std::to_string(i)}});
  }
  EXPECT_EQ(index.Stats().groups, 2u);
  EXPECT_EQ(index.place(SeriesOrdinal{kMaxSeriesPerGroup - 1}).group, GroupId{0});
  EXPECT_EQ(index.place(SeriesOrdinal{kMaxSeriesPerGroup}).group, GroupId{1});
  EXPECT_EQ(index.labels(SeriesOrdinal{kMaxSeriesPerGroup}).Get("instance"), "i");

  // After a reload, too, the next one of the key joins the newest group.
  MemorySource disk;
  const IndexFlush flush = index.PrepareFlush();
  disk.Apply(flush);
  PartitionIndex loaded{PartitionId{0}};
  ASSERT_TRUE(loaded.Load(disk, flush.counts).ok());
  const SeriesOrdinal next =
      MustInsert(loaded, {{"__name__", "m"}, {"job", "j"}, {"instance", "i"}, {"n", "next"}});
  EXPECT_EQ(loaded.place(next).group, GroupId{1});
}

TEST(PartitionIndex, FlushesOnlyWhatIsNewInWholeBlocks) {
  PartitionIndex index{PartitionId{5}};
  MemorySource disk;
  for (int i = 0; i < 3000; ++i) {
    MustInsert(index, {{"__name__", "m"}, {"n", std::to_string(i)}});
  }
  const IndexFlush first = index.PrepareFlush();
  disk.Apply(first);
  index.FlushCommitted(first);
  const IndexFlush nothing = index.PrepareFlush();
  EXPECT_THAT(nothing.writes, IsEmpty());
  EXPECT_EQ(nothing.counts, first.counts);
  MustInsert(index, {{"__name__", "m"}, {"n", "one more"}});
  const IndexFlush second = index.PrepareFlush();
  // The last block of strings, pairs, groups and series, and the day.
  EXPECT_EQ(second.writes.size(), 5u);
}

TEST(PartitionIndex, LoadIgnoresWhatLiesBeyondTheCommittedCounts) {
  PartitionIndex index{PartitionId{0}};
  MemorySource disk;
  MustInsert(index, {{"__name__", "a"}});
  const IndexFlush committed = index.PrepareFlush();
  disk.Apply(committed);
  MustInsert(index, {{"__name__", "b"}});
  disk.Apply(index.PrepareFlush());  // written, but the crash came before its commit
  PartitionIndex loaded{PartitionId{0}};
  ASSERT_TRUE(loaded.Load(disk, committed.counts).ok());
  EXPECT_THAT(Names(loaded, {}), ElementsAre("a"));
  EXPECT_EQ(loaded.ActiveCount(kAllTime), 1u);
  // Replay brings it again, with the same ordinal.
  EXPECT_EQ(MustInsert(loaded, {{"__name__", "b"}}), SeriesOrdinal{1});
}

TEST(PartitionIndex, ADroppedDayDoesNotComeBackFromDisk) {
  PartitionIndex index{PartitionId{0}};
  MemorySource disk;
  MustInsert(index, {{"__name__", "a"}}, kDay);
  MustInsert(index, {{"__name__", "b"}}, kDay + 1);
  IndexFlush flush = index.PrepareFlush();
  disk.Apply(flush);
  index.FlushCommitted(flush);
  index.DropDaysBefore(kDay + 1);
  flush = index.PrepareFlush();
  disk.Apply(flush);
  index.FlushCommitted(flush);
  EXPECT_THAT(index.PrepareFlush().writes, IsEmpty());
  PartitionIndex loaded{PartitionId{0}};
  ASSERT_TRUE(loaded.Load(disk, flush.counts).ok());
  EXPECT_THAT(Names(loaded, {}), ElementsAre("b"));
}

TEST(PartitionIndex, DamageOnDiskIsNamedNotSwallowed) {
  PartitionIndex index{PartitionId{0}};
  for (int i = 0; i < 2000; ++i) MustInsert(index, {{"__name__", "m"}, {"n", std::to_string(i)}});
  const IndexFlush flush = index.PrepareFlush();
  MemorySource whole;
  whole.Apply(flush);
  for (const auto& [key, value] : whole.keys) {
    for (const bool remove : {true, false}) {
      if (remove && key.first == IndexFamily::kActivity) continue;  // a day less is not damage
      MemorySource damaged = whole;
      if (remove) {
        damaged.keys.erase(key);
      } else {
        damaged.keys[key].resize(value.size() / 2);
      }
      PartitionIndex loaded{PartitionId{0}};
      const Status status = loaded.Load(damaged, flush.counts);
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
      EXPECT_THAT(std::string(status.message()), HasSubstr("partition 0"));
    }
  }
}

TEST(PartitionIndex, ASelectionOutlivesTheIndex) {
  auto index = std::make_unique<PartitionIndex>(PartitionId{0});
  MustInsert(*index, {{"__name__", "up"}, {"job", "a"}});
  const auto set = index->Select(kDefaultTenant, {}, kAllTime, kNoLimit).value();
  const std::string_view job = set->label(0, "job");
  index.reset();
  EXPECT_EQ(job, "a");
  EXPECT_EQ(set->labels(0).ToString(), "up{job=\"a\"}");
}

TEST(PartitionIndex, AsksAnExpressionOnceAboutEachValue) {
  PartitionIndex index{PartitionId{0}};
  const auto insert = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      MustInsert(
          index,
          {{"__name__", "m"}, {"job", "j"}, {"instance", "i"}, {"n", "v-" + std::to_string(i)}});
    }
  };
  const auto count = [&](MatchType type, const char* pattern) {
    return index.Select(kDefaultTenant, {{type, "n", pattern}}, kAllTime, kNoLimit).value()->size();
  };
  insert(0, 1000);
  EXPECT_EQ(count(MatchType::kRegex, "v-.*[05]"), 200U);
  EXPECT_EQ(index.Stats().regex_values_asked, 1000U);
  // The same again, and its negation, which shares what was found.
  EXPECT_EQ(count(MatchType::kRegex, "v-.*[05]"), 200U);
  EXPECT_EQ(count(MatchType::kNotRegex, "v-.*[05]"), 800U);
  EXPECT_EQ(index.Stats().regex_values_asked, 1000U);
  // Only what is new.
  insert(1000, 1100);
  EXPECT_EQ(count(MatchType::kRegex, "v-.*[05]"), 220U);
  EXPECT_EQ(index.Stats().regex_values_asked, 1100U);
  // More expressions than are kept: the oldest is asked again, and right.
  for (int i = 0; i < 64; ++i) count(MatchType::kRegex, ("v-.*" + std::to_string(i)).c_str());
  const uint64_t before = index.Stats().regex_values_asked;
  EXPECT_EQ(count(MatchType::kRegex, "v-.*[05]"), 220U);
  EXPECT_EQ(index.Stats().regex_values_asked, before + 1100);
  EXPECT_LT(index.Stats().bytes, 1U << 20);
}

TEST(PartitionIndex, SelectsBesideInserts) {
  PartitionIndex index{PartitionId{0}};
  constexpr int kSeries = 20'000;
  MustInsert(index, {{"__name__", "m"}, {"n", "0"}});
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      size_t last = 0;
      while (!done) {
        const auto all =
            index.Select(kDefaultTenant, {{MatchType::kEqual, "__name__", "m"}}, kAllTime, kNoLimit)
                .value();
        ASSERT_GE(all->size(), last);
        last = all->size();
        // A value that the expression has not been asked about must not slip through.
        const auto none =
            index
                .Select(kDefaultTenant, {{MatchType::kNotRegex, "n", "[0-9]+"}}, kAllTime, kNoLimit)
                .value();
        ASSERT_EQ(none->size(), 0u);
        for (size_t i = 1; i < all->size(); i += 97) {
          ASSERT_TRUE(index.Before(all->ordinal(i - 1), all->ordinal(i)));
          ASSERT_FALSE(all->label(i, "n").empty());
        }
      }
    });
  }
  for (int i = 1; i < kSeries; ++i)
    MustInsert(index, {{"__name__", "m"}, {"n", std::to_string(i)}});
  done = true;
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(index.ActiveCount(kAllTime), kSeries);
}

}  // namespace
}  // namespace basalt::storage
