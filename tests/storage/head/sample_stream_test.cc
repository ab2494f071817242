#include "storage/head/sample_stream.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include "tests/storage/head/any_value.h"

namespace basalt::storage {
namespace {

using basalt::testing::AnyValue;
using basalt::testing::Bits;

RC_GTEST_PROP(SampleStream, ReadsBackWhatWasWritten, ()) {
  std::vector<int64_t> times;
  for (int i = 0; i < 40; ++i) times.push_back(*rc::gen::inRange<int64_t>(0, 1'000'000));
  std::vector<StreamSample> samples;
  const int n = *rc::gen::inRange(0, 300);
  for (int i = 0; i < n; ++i) {
    StreamSample sample;
    // Mostly the next row, as in life.
    const uint32_t next =
        samples.empty() || samples.back().row == kNoRow ? 0 : samples.back().row + 1;
    sample.row = *rc::gen::weightedOneOf<uint32_t>({{6, rc::gen::just(next)},
                                                    {1, rc::gen::inRange<uint32_t>(0, 40)},
                                                    {1, rc::gen::just(kNoRow)}});
    if (sample.row != kNoRow && sample.row >= times.size()) sample.row = 0;
    sample.time_ms = sample.row == kNoRow ? *rc::gen::arbitrary<int64_t>() : times[sample.row];
    if (*rc::gen::inRange(0, 10) == 0) {
      sample.histogram = *rc::gen::inRange<uint32_t>(0, 1'000'000);
    } else {
      sample.value = *rc::gen::weightedOneOf<double>(
          {{3, rc::gen::just(samples.empty() ? 0.0 : samples.back().value)}, {2, AnyValue()}});
    }
    sample.start_ms = *rc::gen::weightedOneOf<int64_t>(
        {{5, rc::gen::just<int64_t>(samples.empty() ? 0 : samples.back().start_ms)},
         {1, rc::gen::arbitrary<int64_t>()}});
    samples.push_back(sample);
  }
  std::string bytes;
  StreamState state;
  uint8_t run = 0;  // at the end of bytes
  for (const StreamSample& sample : samples) {
    if (ExtendsRun(sample, state) && run < kLongestRun) {
      if (run > 0) bytes.pop_back();
      bytes += static_cast<char>(RunToken(++run));
      ++state.row;
      state.time_ms = sample.time_ms;
      continue;
    }
    run = 0;
    std::array<std::byte, kMaxTokenBytes> tokens;
    const size_t size = EncodeSample(sample, state, tokens);
    RC_ASSERT(size <= kMaxTokenBytes);
    bytes.append(reinterpret_cast<const char*>(tokens.data()), size);
  }
  StreamReader reader(bytes, times);
  for (const StreamSample& sample : samples) {
    const StreamSample found = reader.Next();
    RC_ASSERT(found.time_ms == sample.time_ms);
    RC_ASSERT(found.start_ms == sample.start_ms);
    RC_ASSERT(found.histogram == sample.histogram);
    RC_ASSERT(Bits(found.value) == Bits(sample.histogram == kNoHistogram ? sample.value : 0));
  }

  // Many at once, as many as fit, and one by one what is not usual: the same.
  StreamReader pieces(bytes, times);
  for (size_t i = 0; i < samples.size();) {
    std::array<double, 40> floats;
    const size_t room = std::min(samples.size() - i, *rc::gen::inRange<size_t>(0, floats.size()));
    const auto usual = pieces.NextFloats(std::span(floats).first(room));
    RC_ASSERT(usual.size() <= room);
    for (size_t k = 0; k < usual.size(); ++k, ++i) {
      RC_ASSERT(usual[k] == samples[i].time_ms);
      RC_ASSERT(pieces.start_ms() == samples[i].start_ms);
      RC_ASSERT(samples[i].histogram == kNoHistogram);
      RC_ASSERT(Bits(floats[k]) == Bits(samples[i].value));
    }
    if (room > 0 && usual.size() == room) continue;
    const StreamSample found = pieces.Next();
    RC_ASSERT(found.time_ms == samples[i].time_ms);
    RC_ASSERT(found.start_ms == samples[i].start_ms);
    RC_ASSERT(found.histogram == samples[i].histogram);
    if (found.histogram == kNoHistogram) RC_ASSERT(Bits(found.value) == Bits(samples[i].value));
    ++i;
  }
}

}  // namespace
}  // namespace basalt::storage
