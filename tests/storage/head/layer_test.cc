#include "storage/head/layer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "storage/head/sample_columns.h"

namespace basalt::storage {
namespace {

TEST(OpenLayer, ARunOf128EqualSamplesIsOneByteAndTakesNoBlock) {
  OpenLayer layer;
  layer.AddSeries();
  for (int i = 0; i < 128; ++i) layer.Append(0, {.time_ms = i, .value = 0});
  layer.Append(0, {.time_ms = 128, .value = 0});  // the run is full
  EXPECT_LE(layer.sample_bytes(), 2 * 129 * sizeof(int64_t)) << "more than the list of times";
  EXPECT_EQ(layer.Freeze(1)->bytes.size(), 2U);
  EXPECT_TRUE(layer.empty());
  EXPECT_EQ(layer.sample_bytes(), 0U);
  EXPECT_EQ(layer.newest_ms(0), 128);
}

// Eight bytes are in the slot itself, the ninth moves them out; reading sees no difference.
TEST(OpenLayer, AStreamMovesFromItsSlotToBlocksAndReadsTheSame) {
  OpenLayer layer;
  layer.AddSeries();
  std::vector<double> values;
  for (int i = 0; i < 60; ++i) {
    values.push_back(i % 5 == 4 ? values.back() : i * i);
    layer.Append(0, {.time_ms = i, .value = values.back()});
    SampleColumns found;
    layer.Read(0, UINT16_MAX, {}, found);
    ASSERT_EQ(found.values, values);
    SampleColumns half;
    layer.Read(0, static_cast<uint16_t>(i / 2), {}, half);
    ASSERT_EQ(half.size(), static_cast<size_t>(i) / 2);
  }
}

// Repeats, times of others, times of its own, starts and histograms, in any range.
RC_GTEST_PROP(Layers, AnyRangeOfAStreamIsWhatWasAppendedInIt, ()) {
  OpenLayer layer;
  layer.AddSeries();
  layer.AddSeries();
  SampleColumns all;
  const std::string histogram = EncodeHistogram(NativeHistogram{});
  int64_t now = 0;
  double value = 0;
  int64_t start_ms = kNoStartMs;
  const auto count = *rc::gen::inRange<size_t>(1, 400);
  const auto dice = *rc::gen::container<std::vector<uint8_t>>(count, rc::gen::arbitrary<uint8_t>());
  for (const uint8_t die : dice) {
    now += 1 + die % 3;
    if (die % 8 == 1) layer.Append(1, {.time_ms = now++, .value = 1});
    if (die % 16 == 2) value += 0.25;
    if (die % 64 == 3) start_ms = now - 5;
    if (die % 64 == 4) {
      layer.Append(0, {.time_ms = now, .start_ms = start_ms, .histogram = &histogram});
      all.AddHistogram(now, NativeHistogram{}, start_ms);
    } else {
      layer.Append(0, {.time_ms = now, .start_ms = start_ms, .value = value});
      all.Add(now, value, start_ms);
    }
  }
  const auto min_ms = *rc::gen::inRange<int64_t>(-2, now + 3);
  const TimeRange range{min_ms, *rc::gen::inRange<int64_t>(min_ms, now + 4)};
  SampleColumns expected = all;
  expected.Clip(range);
  SampleColumns open;
  layer.Read(0, UINT16_MAX, range, open);
  const auto frozen = layer.Freeze(1);
  RC_ASSERT(frozen->newest_ms == now);
  SampleColumns closed;
  frozen->Read(0, UINT16_MAX, range, closed);
  for (const SampleColumns* const read : {&open, &closed}) {
    RC_ASSERT(read->time_ms == expected.time_ms);
    RC_ASSERT(read->values == expected.values);
    for (size_t i = 0; i < read->size(); ++i) {
      RC_ASSERT(read->StartAt(i) == expected.StartAt(i));
      RC_ASSERT(read->IsHistogram(i) == expected.IsHistogram(i));
    }
  }
}

}  // namespace
}  // namespace basalt::storage
