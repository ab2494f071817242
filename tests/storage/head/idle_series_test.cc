#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "storage/head/partition_head.h"
#include "tests/storage/head/head_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::HeadTestBatch;
using basalt::testing::Listener;

// The rule is one of records alone: when things are sealed and forgotten makes no difference.
RC_GTEST_PROP(IdleSeries, AreGivenUpAndComeBackByWhatTheRecordsSayAlone, ()) {
  PartitionIndex index_a(PartitionId{0});
  PartitionIndex index_b(PartitionId{0});
  PartitionHead a(PartitionId{0}, index_a, 5);
  PartitionHead b(PartitionId{0}, index_b, 5);
  Listener heard_by_a;
  Listener heard_by_b;
  constexpr int kSeries = 6;
  const uint64_t observed_at = *rc::gen::inRange<uint64_t>(0, 20);
  int64_t now = 0;
  for (uint64_t seq = 1; seq < 60; ++seq) {
    if (seq == observed_at + 1) {
      a.Observe(&heard_by_a);
      b.Observe(&heard_by_b);
    }
    now += *rc::gen::weightedOneOf<int64_t>(
        {{4, rc::gen::inRange<int64_t>(0, 60'000)},
         {1, rc::gen::inRange<int64_t>(0, 2 * kIdleAfter.count())}});
    std::vector<std::pair<int, int64_t>> samples;
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
      const int64_t late = *rc::gen::weightedElement<int64_t>({{5, 0}, {1, 3'600'000}});
      samples.emplace_back(*rc::gen::inRange(0, kSeries), now - late);
    }
    const IngestBatch batch = HeadTestBatch(samples);
    ApplyCounts counts;
    a.Apply(batch, {.lane = 0, .seq = seq}, counts);
    b.Apply(batch, {.lane = 0, .seq = seq}, counts);
    for (PartitionHead* head : {&a, &b}) {
      if (*rc::gen::inRange(0, head == &a ? 3 : 10) != 0) continue;
      (void)head->Freeze({.everything = true});
      head->Drop();
      head->ForgetIdle();
    }
  }
  // Samples apart: that one is there already is seen only while it is in memory.
  const auto comings_and_goings = [](const Listener& listener) {
    std::vector<std::string> lines;
    for (const std::string& line : listener.said) {
      if (!line.starts_with("sample")) lines.push_back(line);
    }
    return lines;
  };
  RC_ASSERT(comings_and_goings(heard_by_a) == comings_and_goings(heard_by_b));
  // Nobody is heard of between being given up and coming back, nor given up twice.
  std::set<std::string> here;
  for (const std::string& line : heard_by_a.said) {
    std::istringstream words(line);
    std::string what;
    std::string series;
    words >> what >> series;
    const bool was_here = here.contains(series);
    RC_ASSERT(was_here == (what != "series"));
    if (what == "series") here.insert(series);
    if (what == "gone") here.erase(series);
  }
}

}  // namespace
}  // namespace basalt::storage
