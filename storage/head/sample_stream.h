// storage/head/sample_stream.h -- one series' open samples as tokens of a byte and more.
//
// Memory only: never on disk, so free to change. Most samples equal the one before and come at the
// group's next time (design/storage.md: 70-87 %), so a token can stand for up to 128 of those; the
// one at a stream's end is kept as a count beside it until it ends (layer.h).
//
//   00..7f              (b + 1) samples at the next times of the group, values as before
//   80..bf  x...        next time; value = before XOR x; bits 3-5: zero bytes above x, bits 0-2:
//   bytes of x - 1 c0..dd              next time; both values are integers, difference UnZigZag(b -
//   c0) de  varint          the same, any difference e0  varint          the following sample is
//   not at the next time but UnZigZag() further (or back) e1  varint          the following sample
//   has a time of its own: UnZigZag() after the one before it e2  varint          start timestamp
//   from the following sample on: UnZigZag() after the one before it e3  varint          next time;
//   not a float but histogram number n of the layer
//
// "Next time" is the row after that of the series' last sample that was in a row; before the first
// one, row 0.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace basalt::storage {

inline constexpr uint32_t kNoRow = 0xFFFF'FFFF;  // before the first row; also "a time of its own"
inline constexpr uint32_t kNoHistogram = 0xFFFF'FFFF;  // a float
// One sample's tokens: a time (11), a start (11), a value (9).
inline constexpr size_t kMaxTokenBytes = 32;

// A value's token; one that is as long as this is no TokenWord.
inline constexpr size_t kMaxValueBytes = 9;

// What the next token is relative to.
struct StreamState {
  double value = 0;
  int64_t time_ms = 0;
  int64_t start_ms = 0;  // kNoStartMs
  uint32_t row = kNoRow;
};

struct StreamSample {
  uint32_t row = kNoRow;  // index of its time in the layer, or kNoRow: `time_ms` counts
  int64_t time_ms = 0;
  int64_t start_ms = 0;
  double value = 0;
  uint32_t histogram = kNoHistogram;
};

// Writes the tokens of `sample`, returns how many bytes, and moves `state` on.
size_t EncodeSample(const StreamSample& sample, StreamState& state,
                    std::span<std::byte, kMaxTokenBytes> out);

// The tokens of the usual sample that does not repeat, which is at the next row, with the start of
// the one before, and another value than `before`: lowest byte first. It stays in registers, since
// bytes that are stored one by one and loaded again as a word stall the processor (it was 40 % of
// an append). Zero bytes: they do not fit.
struct TokenWord {
  uint64_t word = 0;
  uint32_t bytes = 0;
};
TokenWord EncodeNextValue(double value, double before);

// True if the sample is one of a run: the same value and start, at the next row.
inline bool ExtendsRun(const StreamSample& sample, const StreamState& state) {
  return sample.row == state.row + 1 && sample.row != kNoRow && sample.histogram == kNoHistogram &&
         sample.start_ms == state.start_ms &&
         std::bit_cast<uint64_t>(sample.value) == std::bit_cast<uint64_t>(state.value);
}
inline constexpr uint8_t kLongestRun = 128;
// The token of a run of 1..kLongestRun samples.
constexpr std::byte RunToken(uint8_t samples) { return static_cast<std::byte>(samples - 1); }

// Reads tokens back. The bytes are our own, so a misfit is our own mistake (BASALT_CHECK). One
// thread; borrows both.
class StreamReader {
 public:
  StreamReader(std::string_view bytes, std::span<const int64_t> row_times)
      : p_(bytes.data()), end_(p_ + bytes.size()), row_times_(row_times) {}

  // The next sample, its time looked up. The caller knows how many there are.
  StreamSample Next();
  // The samples that follow as long as they are what most are: floats at the next times of the
  // group, with the start of the one before. Puts their values into `out`, as many as fit, and
  // returns their times. None: the next sample is Next()'s. Costs a fifth of it a sample, and
  // repeated values next to nothing.
  std::span<const int64_t> NextFloats(std::span<double> out);
  // Of the last sample read; kNoStartMs before the first.
  [[nodiscard]] int64_t start_ms() const { return state_.start_ms; }

 private:
  uint64_t ReadVarint();
  // The value that the XOR token just read makes of the one before.
  double ReadXor(uint8_t token, double before);

  const char* p_;
  const char* end_;
  std::span<const int64_t> row_times_;
  StreamState state_;
  uint32_t run_left_ = 0;
};

}  // namespace basalt::storage
