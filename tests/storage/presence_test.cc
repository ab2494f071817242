// Selection::ReadPresence against the plain meaning of an instant selector.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <optional>
#include <vector>

#include "storage/reader.h"
#include "tests/support/memory_reader.h"

namespace basalt::storage {
namespace {

using testing::MemoryReader;

std::shared_ptr<const Selection> SelectAll(const MemoryReader& reader) {
  return reader.TakeSnapshot()
      .value()
      ->Select(kDefaultTenant, PartitionId{0}, {}, TimeRange{}, SIZE_MAX)
      .value();
}

std::vector<uint64_t> Presence(const Selection& selection, const EvaluationTimes& times,
                               int64_t lookback_ms) {
  // Filled with ones: what is not there must be cleared.
  std::vector<uint64_t> present(selection.size() * PresenceWords(times.count), ~uint64_t{0});
  EXPECT_TRUE(selection.ReadPresence(0, selection.size(), times, lookback_ms, present).ok());
  return present;
}

TEST(Presence, TheLookbackIsOpenOnTheLeftAndClosedOnTheRight) {
  MemoryReader reader;
  reader.Series({{"__name__", "up"}}).At(1000, 1);
  const auto all = SelectAll(reader);
  EXPECT_EQ(Presence(*all, {.first_ms = 999}, 100), std::vector<uint64_t>{0});
  EXPECT_EQ(Presence(*all, {.first_ms = 1000}, 100), std::vector<uint64_t>{1});
  EXPECT_EQ(Presence(*all, {.first_ms = 1099}, 100), std::vector<uint64_t>{1});
  EXPECT_EQ(Presence(*all, {.first_ms = 1100}, 100), std::vector<uint64_t>{0});
  // Steps at 900, 950, ..., 1150.
  EXPECT_EQ(Presence(*all, {.first_ms = 900, .step_ms = 50, .count = 6}, 100),
            std::vector<uint64_t>{0b001100});
}

TEST(Presence, AStaleMarkerHidesWhatCameBeforeIt) {
  MemoryReader reader;
  reader.Series({{"__name__", "up"}}).At(1000, 1).At(1010, MemoryReader::Stale()).At(1020, 1);
  NativeHistogram stale;
  stale.sum = MemoryReader::Stale();
  reader.Series({{"__name__", "h"}}).HistogramAt(1000, {}).HistogramAt(1010, stale);
  const auto all = SelectAll(reader);
  EXPECT_EQ(Presence(*all, {.first_ms = 1005, .step_ms = 10, .count = 3}, 1000),
            (std::vector<uint64_t>{0b101, 0b001}));
}

TEST(Presence, FarTimesDoNotOverflow) {
  MemoryReader reader;
  reader.Series({{"__name__", "up"}}).At(0, 1);
  const auto all = SelectAll(reader);
  EXPECT_EQ(Presence(*all, {.first_ms = INT64_MAX}, 1), std::vector<uint64_t>{0});
  EXPECT_EQ(Presence(*all, {.first_ms = INT64_MIN}, INT64_MAX), std::vector<uint64_t>{0});
  EXPECT_EQ(Presence(*all, {.first_ms = 5}, INT64_MAX), std::vector<uint64_t>{1});
}

RC_GTEST_PROP(Presence, IsWhatAskingEveryStepWouldSay, ()) {
  struct Sample {
    int64_t ms;
    bool stale;
  };
  MemoryReader reader;
  std::vector<std::vector<Sample>> model;
  const int series = *rc::gen::inRange(1, 4);
  for (int i = 0; i < series; ++i) {
    auto builder = reader.Series({{"__name__", "m"}, {"i", std::to_string(i)}});
    auto& samples = model.emplace_back();
    int64_t ms = 0;
    const int count = *rc::gen::inRange(0, 30);
    for (int n = 0; n < count; ++n) {
      ms += *rc::gen::inRange(1, 40);
      const bool stale = *rc::gen::inRange(0, 4) == 0;
      if (*rc::gen::inRange(0, 3) == 0) {
        NativeHistogram h;
        if (stale) h.sum = MemoryReader::Stale();
        builder.HistogramAt(ms, h);
      } else {
        builder.At(ms, stale ? MemoryReader::Stale() : 1.0);
      }
      samples.push_back({ms, stale});
    }
  }
  const EvaluationTimes times{.first_ms = *rc::gen::inRange<int64_t>(-50, 600),
                              .step_ms = *rc::gen::inRange<int64_t>(1, 30),
                              .count = *rc::gen::inRange<uint32_t>(1, 200)};
  const auto lookback = *rc::gen::inRange<int64_t>(1, 100);
  const auto all = SelectAll(reader);
  const auto present = Presence(*all, times, lookback);
  for (size_t i = 0; i < all->size(); ++i) {
    const auto& samples = model[std::stoul(std::string(all->label(i, "i")))];
    for (uint32_t s = 0; s < times.count; ++s) {
      const int64_t t = times.first_ms + times.step_ms * s;
      std::optional<Sample> newest;
      for (const Sample& sample : samples) {
        if (sample.ms <= t && sample.ms > t - lookback) newest = sample;
      }
      const uint64_t word = present[i * PresenceWords(times.count) + s / 64];
      RC_ASSERT((word >> (s % 64) & 1) == (newest.has_value() && !newest->stale ? 1U : 0U));
    }
  }
}

}  // namespace
}  // namespace basalt::storage
