// Counters that are folded: sums, which labels go, and what is kept over a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "engine/ingest/fold_cache.h"
#include "engine/ingest/fold_rules.h"
#include "engine/ingest/fold_table.h"
#include "tests/engine/ingest/counter_increase.h"

namespace basalt::ingest {
namespace {

using basalt::testing::CounterIncrease;
using storage::MetricType;
using ::testing::HasSubstr;

constexpr int64_t kT = 1'700'000'000'000;
constexpr FoldMember kA{11};
constexpr FoldMember kB{12};

std::string Canonical(const Labels& labels) {
  std::string out;
  AppendCanonical(labels, out);
  return out;
}

class Folding : public ::testing::Test {
 protected:
  void SetUp() override {
    group = table.GroupOf(Canonical({{"__name__", "x_total"}, {"id", "__other__"}}));
    table.AddMember(kA, group);
    table.AddMember(kB, group);
  }
  FoldOutcome Add(FoldMember member, int64_t ms, double value, int64_t start_ms = 0) {
    return table.Add(
        {.member = member, .group = group, .time_ms = ms, .value = value, .start_ms = start_ms});
  }
  double sum() { return table.ValueOf(group); }

  FoldTable table;
  FoldGroup group{0};
};

TEST_F(Folding, AMembersFirstSampleAddsNothingAndItsIncreasesDo) {
  EXPECT_EQ(Add(kA, kT, 1000), FoldOutcome::kCounted);
  EXPECT_EQ(sum(), 0);
  EXPECT_EQ(Add(kA, kT + 1, 1007), FoldOutcome::kCounted);
  EXPECT_EQ(Add(kB, kT + 1, 50), FoldOutcome::kCounted);
  EXPECT_EQ(sum(), 7);
  EXPECT_EQ(Add(kB, kT + 2, 53), FoldOutcome::kCounted);
  EXPECT_EQ(sum(), 10);
  EXPECT_EQ(table.group(group).newest_ms, kT + 2);
}

TEST_F(Folding, AResetOfOneMemberCountsFromZeroAndOtherMembersGoOn) {
  Add(kA, kT, 100);
  Add(kB, kT, 100);
  Add(kA, kT + 1, 4);
  Add(kB, kT + 1, 101);
  EXPECT_EQ(sum(), 5);
  // Above its last value, but begun since: all of it is new.
  Add(kA, kT + 100, 6, kT + 50);
  EXPECT_EQ(sum(), 11);
  Add(kA, kT + 200, 9, kT + 50);
  EXPECT_EQ(sum(), 14);
}

TEST_F(Folding, WhatIsSentAgainOrComesLateChangesNothing) {
  Add(kA, kT, 1);
  Add(kA, kT + 1000, 5);
  EXPECT_EQ(Add(kA, kT + 1000, 5), FoldOutcome::kLate);
  EXPECT_EQ(Add(kA, kT, 1), FoldOutcome::kLate) << "no reset";
  Add(kA, kT + 2000, 6);
  EXPECT_EQ(sum(), 5);
}

TEST_F(Folding, StaleMarkersAndInfinitiesAddNothing) {
  Add(kA, kT, 1);
  EXPECT_EQ(Add(kA, kT + 1, NAN), FoldOutcome::kNotFinite);
  EXPECT_EQ(Add(kA, kT + 2, INFINITY), FoldOutcome::kNotFinite);
  Add(kA, kT + 3, 3);
  EXPECT_EQ(sum(), 2);
}

TEST_F(Folding, TheSumNeverFallsBelowWhatIsStored) {
  Add(kA, kT, 1);
  Add(kA, kT + 1, 11);
  table.RaiseTo(group, 25, kT + 5000);
  EXPECT_EQ(sum(), 25);
  EXPECT_EQ(table.group(group).newest_ms, kT + 5000);
  Add(kA, kT + 5001, 31);
  EXPECT_EQ(sum(), 30) << "and goes on from its own once that is more";
  // A group that nothing is known of goes on where the store ends.
  const FoldGroup other = table.GroupOf("other");
  table.RaiseTo(other, 100, kT);
  EXPECT_EQ(table.ValueOf(other), 100);
}

TEST_F(Folding, IdleMembersAreForgottenAndLiveOnesAreNot) {
  Add(kA, kT, 1);
  Add(kB, kT + FoldTable::kIdleMember.count() + 1, 1);
  EXPECT_EQ(table.ForgetIdle(), 1U);
  EXPECT_FALSE(table.Find(kA).has_value());
  EXPECT_TRUE(table.Find(kB).has_value());
}

TEST_F(Folding, AMemberThatWasForgottenMeanwhileBeginsAnew) {
  Add(kA, kT, 100);
  Add(kB, kT + FoldTable::kIdleMember.count() + 1, 1);
  ASSERT_EQ(table.ForgetIdle(), 1U);
  const int64_t later = kT + FoldTable::kIdleMember.count() + 2;
  // Past Add, which makes members here.
  EXPECT_EQ(table.Add({.member = kA, .group = group, .time_ms = later, .value = 500}),
            FoldOutcome::kCounted);
  EXPECT_EQ(sum(), 0) << "its first sample";
  EXPECT_EQ(table.Find(kA), group);
}

TEST(FoldCache, FindsWhatWasAddedAndNothingElse) {
  FoldCache cache;
  SeriesId id;
  EXPECT_FALSE(cache.in_use());
  EXPECT_FALSE(cache.Find({}, id));
  EXPECT_EQ(cache.memory_bytes(), 0U);
  cache.Add({1, 2}, FoldMember{7});
  EXPECT_TRUE(cache.in_use());
  ASSERT_TRUE(cache.Find({1, 2}, id));
  EXPECT_EQ(id, (SeriesId{{0, 7}}));
  EXPECT_FALSE(cache.Find({1, 3}, id));
  EXPECT_FALSE(cache.Find({2, 2}, id));
  EXPECT_FALSE(cache.Find({}, id)) << "a free entry is nobody's";
  cache.Clear();
  EXPECT_FALSE(cache.Find({1, 2}, id));
}

TEST(FoldCache, GrowsWithItsMembersUpToItsBoundAndKeepsNearlyAll) {
  FoldCache cache;
  const auto fingerprint = [](uint64_t i) { return HashBytes128(std::to_string(i)); };
  constexpr uint64_t kMembers = 20'000;
  // Told again when not found, as series are that come with each scrape.
  SeriesId id;
  size_t found = 0;
  for (int scrape = 0; scrape < 3; ++scrape) {
    found = 0;
    for (uint64_t i = 0; i < kMembers; ++i) {
      if (cache.Find(fingerprint(i), id)) {
        EXPECT_EQ(id.hash.low, i);
        ++found;
      } else {
        cache.Add(fingerprint(i), FoldMember{i});
      }
    }
  }
  EXPECT_GE(found, kMembers * 95 / 100);
  EXPECT_LE(cache.memory_bytes(), kMembers * 16 * 2 * 4);
  for (uint64_t i = 0; i < 2 * FoldCache::kMaxEntries; ++i)
    cache.Add(fingerprint(i), FoldMember{i + 1});
  EXPECT_EQ(cache.memory_bytes(), FoldCache::kMaxEntries * 16);
}

TEST_F(Folding, AMemberCosts24BytesAndItsShareOfEmptyPlaces) {
  for (uint64_t i = 0; i < 100'000; ++i)
    table.AddMember(FoldMember{i * 0x9E37'79B9'7F4A'7C15U}, group);
  EXPECT_LE(table.memory_bytes(), 100'002 * 25 * 8 / 7 * 2);
}

TEST_F(Folding, BytesOfItsStateMakeItAgain) {
  Add(kA, kT, 1);
  Add(kA, kT + 1, 8);
  std::string bytes;
  table.WriteAll(bytes);
  Add(kB, kT + 2, 5);
  Add(kA, kT + 2, 9);
  table.WriteGroup(group, bytes);
  table.WriteMember(kA, bytes);
  table.WriteMember(kB, bytes);
  FoldTable again;
  ASSERT_TRUE(again.Apply(bytes).ok());
  EXPECT_EQ(again.members(), 2U);
  EXPECT_EQ(again.ValueOf(group), 8);
  again.Add({.member = kB, .group = group, .time_ms = kT + 3, .value = 7});
  again.Add({.member = kA, .group = group, .time_ms = kT + 3, .value = 10});
  EXPECT_EQ(again.ValueOf(group), 11);
  for (size_t n = 0; n < bytes.size(); ++n) {
    FoldTable torn;
    (void)torn.Apply(std::string_view(bytes).substr(0, n));  // an error or a part, never a crash
  }
  EXPECT_EQ(FoldTable().Apply("Mabcdefgh01234567\x05\x01").code(), StatusCode::kDataLoss);
  EXPECT_EQ(FoldTable().Apply("X").code(), StatusCode::kDataLoss);
}

RC_GTEST_PROP(FoldTable, TheSumRisesByTheSumOfTheIncreasesOfItsMembers, ()) {
  FoldTable table;
  const FoldGroup group = table.GroupOf("g");
  const auto members = *rc::gen::inRange(1, 8);
  std::vector<std::map<int64_t, double>> sent(static_cast<size_t>(members));
  for (int m = 0; m < members; ++m) table.AddMember(FoldMember{static_cast<uint64_t>(m)}, group);
  double before = 0;
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(rc::gen::tuple(
      rc::gen::inRange(0, members), rc::gen::inRange(0, 1000), rc::gen::inRange(0, 4)));
  int64_t ms = kT;
  for (const auto& [m, value, what] : steps) {
    auto& series = sent[static_cast<size_t>(m)];
    int64_t at = ++ms;
    double v = value;
    if (what == 0 && !series.empty()) {  // sent again
      at = series.rbegin()->first;
      v = series.rbegin()->second;
    }
    table.Add({.member = FoldMember{static_cast<uint64_t>(m)},
               .group = group,
               .time_ms = at,
               .value = v});
    series[at] = v;
    RC_ASSERT(table.ValueOf(group) >= before || table.ValueOf(group) == 0);
    before = table.ValueOf(group);
    if (what == 1) {  // a restart
      std::string bytes;
      table.WriteAll(bytes);
      table = FoldTable();
      RC_ASSERT(table.Apply(bytes).ok());
    }
  }
  double expected = 0;
  for (const auto& series : sent) expected += CounterIncrease(series);
  RC_ASSERT(table.group(group).sum == expected);  // whole numbers: exact
}

// ---- which, and into what

class Known final : public FoldKnowledge {
 public:
  [[nodiscard]] std::optional<MetricType> TypeOf(std::string_view metric) const override {
    const auto found = types.find(metric);
    return found == types.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] std::vector<std::pair<std::string, uint64_t>> DistinctValues(
      std::string_view) const override {
    return distinct;
  }
  [[nodiscard]] std::vector<std::string> Values(std::string_view, std::string_view label,
                                                size_t limit) const override {
    const auto found = values.find(label);
    if (found == values.end()) return {};
    std::vector<std::string> out = found->second;
    if (out.size() > limit) out.resize(limit);
    return out;
  }
  std::map<std::string, std::vector<std::string>, std::less<>> values;
  std::map<std::string, MetricType, std::less<>> types;
  std::vector<std::pair<std::string, uint64_t>> distinct;
};

TEST(FoldRules, CountersAreToldByMetadataAndElseBySuffix) {
  Known known;
  known.types = {{"odd", MetricType::kCounter},        {"queue_count", MetricType::kGauge},
                 {"lat", MetricType::kHistogram},      {"rpc", MetricType::kSummary},
                 {"room_total", MetricType::kUnknown}, {"temp", MetricType::kGauge}};
  for (const auto& [metric, is_counter] : std::map<std::string, bool>{{"x_total", true},
                                                                      {"x_count", true},
                                                                      {"x_sum", true},
                                                                      {"x_bucket", true},
                                                                      {"x", false},
                                                                      {"x_info", false},
                                                                      {"odd", true},
                                                                      {"queue_count", false},
                                                                      {"lat_bucket", true},
                                                                      {"lat_total", false},
                                                                      {"rpc_sum", true},
                                                                      {"rpc_bucket", false},
                                                                      {"room_total", true},
                                                                      {"temp_sum", false}}) {
    EXPECT_EQ(FoldRules().IsCounter(metric, {}, known), is_counter) << metric;
  }
  // Metadata that comes later is heeded.
  FoldRules rules;
  EXPECT_FALSE(rules.IsCounter("late", {}, known));
  known.types["late"] = MetricType::kCounter;
  EXPECT_FALSE(rules.IsCounter("late", std::chrono::seconds(59), known));
  EXPECT_TRUE(rules.IsCounter("late", std::chrono::seconds(60), known));
}

class FoldInto : public ::testing::Test {
 protected:
  std::string Fold(const Labels& labels) {
    std::vector<LabelView> views;
    for (const Label& label : labels) views.push_back({label.name, label.value});
    rules.Learn(views, known);
    const auto folded = rules.Fold(views, [this](std::string_view canonical) {
      return groups.contains(std::string(canonical));
    });
    if (!folded.has_value()) return "refused";
    groups.insert(*folded);
    return LabelsFromCanonical(*folded)->ToString();
  }
  Known known;
  FoldRules rules;
  std::set<std::string> groups;
};

TEST_F(FoldInto, TheLabelWithTheMostValuesGoesAndJobLeAndNameStay) {
  known.distinct = {{"__name__", 1}, {"code", 4},   {"instance", 3}, {"job", 500},
                    {"le", 40},      {"path", 900}, {"user", 11}};
  EXPECT_EQ(Fold({{"__name__", "h_bucket"},
                  {"code", "200"},
                  {"instance", "a"},
                  {"job", "api"},
                  {"le", "0.5"},
                  {"path", "/x"},
                  {"user", "u"}}),
            "h_bucket{code=\"200\", instance=\"a\", job=\"api\", le=\"0.5\", path=\"__other__\", "
            "user=\"__other__\"}");
}

TEST_F(FoldInto, ALabelGoesOnceItHasMoreThanTenValues) {
  known.distinct = {{"id", 100}};
  std::set<std::string> into;
  for (int i = 0; i < 30; ++i) {
    into.insert(Fold(
        {{"__name__", "x_total"}, {"id", std::to_string(i)}, {"pod", "p" + std::to_string(i)}}));
  }
  EXPECT_EQ(into.size(), FoldRules::kKeptValues + 1) << "ten pods, and __other__";
}

TEST_F(FoldInto, WhereNothingIsKnownTheLabelsThatOverflowTell) {
  // As Firewall does: all of a request are learnt first.
  const Labels a{{"__name__", "x_total"}, {"job", "j"}, {"region", "eu"}, {"request", "1"}};
  const Labels b{{"__name__", "x_total"}, {"job", "j"}, {"region", "eu"}, {"request", "2"}};
  for (const Labels* labels : {&a, &b}) {
    std::vector<LabelView> views;
    for (const Label& label : *labels) views.push_back({label.name, label.value});
    rules.Learn(views, known);
  }
  EXPECT_EQ(Fold(a), "x_total{job=\"j\", region=\"eu\", request=\"__other__\"}");
}

TEST_F(FoldInto, AStoredValueAndANewOneAreTwo) {
  // One series is stored, one overflows: by counts of either side all labels have one value.
  known.distinct = {{"code", 1}, {"request", 1}};
  known.values = {{"code", {"200"}}, {"request", {"1"}}};
  EXPECT_EQ(Fold({{"__name__", "x_total"}, {"code", "200"}, {"job", "j"}, {"request", "2"}}),
            "x_total{code=\"200\", job=\"j\", request=\"__other__\"}");
}

TEST_F(FoldInto, AMetricWithTooManyFoldedSeriesLosesAllLabelsThatMayGo) {
  known.distinct = {{"id", 10'000}};
  for (int i = 0; i < 1000; ++i) {
    // Three labels of ten values each: no single one explodes.
    Fold({{"__name__", "x_total"},
          {"a", std::to_string(i % 10)},
          {"b", std::to_string(i / 10 % 10)},
          {"c", std::to_string(i / 100)},
          {"id", std::to_string(i)}});
  }
  EXPECT_EQ(groups.size(), FoldRules::kMaxGroups + 1);
  EXPECT_TRUE(groups.contains(Canonical({{"__name__", "x_total"},
                                         {"a", "__other__"},
                                         {"b", "__other__"},
                                         {"c", "__other__"},
                                         {"id", "__other__"}})));
}

TEST_F(FoldInto, WithoutALabelThatMayGoItIsRefused) {
  EXPECT_EQ(Fold({{"__name__", "x_total"}, {"job", "api"}}), "refused");
}

}  // namespace
}  // namespace basalt::ingest
