// storage/head/layer.h -- the open rows of a group and what they become.
//
// A group's samples in memory are *layers*. Samples newer than all before them of their series go
// to the one open layer: a list of times that the group's series share, and a stream of tokens a
// series (sample_stream.h). A late cell of an open time is simply the next token of its own series.
// When a series is full, or the group is sealed or touched by a delete, the layer is frozen:
// immutable, compact, shared with readers.
//
// What is not newer (late, out of order, a second value for a time) goes to the group's open late
// list, in arrival order. All late lists take precedence over all layers: a layer only ever takes
// samples newer than everything of their series, so nothing in it can be later than a list's sample
// of the same time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/head/block_arena.h"
#include "storage/head/sample_columns.h"
#include "storage/head/sample_stream.h"
#include "storage/reader.h"

namespace basalt::storage {

// Times that one open layer shares. Twice a row's samples, so a group with two clocks still shares;
// beyond it samples carry times of their own (3 bytes each), so that a thousand targets behind one
// exporter cannot grow the list.
inline constexpr size_t kMaxSharedTimes = 256;

// A sample as apply sees it. `histogram`: its encoded bytes; null for a float.
struct NewSample {
  int64_t time_ms = 0;
  int64_t start_ms = kNoStartMs;
  double value = 0;
  const std::string* histogram = nullptr;
};

// A finished stream inside FrozenLayer::bytes.
struct FrozenStream {
  uint32_t offset = 0;
  uint16_t bytes = 0;
  uint16_t count = 0;
};

// Immutable. Thread-safe.
struct FrozenLayer {
  uint64_t frozen_seq = 0;  // deletes after this log position mask it
  uint64_t samples = 0;
  int64_t newest_ms = INT64_MAX;  // of all samples
  std::vector<int64_t> times;
  std::vector<FrozenStream> streams;  // by slot; slots past the end have nothing
  std::string bytes;
  std::vector<std::string> histograms;  // encoded

  [[nodiscard]] size_t memory_bytes() const;
  // Replaces `out` by the first `limit` samples of a slot that lie in the range.
  void Read(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const;
  // The same, behind what is there already.
  void Append(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const;
};

// The open streams of a group, and the time of the newest sample of each series, which outlives
// them. Thread-compatible.
class OpenLayer {
 public:
  // A slot for one more series, whose newest sample elsewhere is of `newest_ms`.
  void AddSeries(int64_t newest_ms = INT64_MIN) { streams_.emplace_back().newest_ms = newest_ms; }

  [[nodiscard]] bool empty() const { return samples_ == 0; }
  [[nodiscard]] uint64_t samples() const { return samples_; }
  [[nodiscard]] uint16_t count(uint32_t slot) const { return streams_[slot].count; }
  // Of the series' newest sample, frozen or not; INT64_MIN before the first.
  [[nodiscard]] int64_t newest_ms(uint32_t slot) const { return streams_[slot].newest_ms; }
  // Its value, if that sample is in this layer and a float.
  [[nodiscard]] std::optional<double> newest_value(uint32_t slot) const {
    const Stream& stream = streams_[slot];
    if (stream.count == 0 || stream.ends_in_histogram) return std::nullopt;
    return stream.value;
  }
  // Of the samples: what freezing gives back.
  [[nodiscard]] size_t sample_bytes() const;
  // Of the slots: what stays.
  [[nodiscard]] size_t slot_bytes() const {
    return streams_.capacity() * sizeof(Stream) + starts_.capacity() * sizeof(int64_t);
  }

  // Appends a sample that is newer than all of its series. Amortized allocation-free.
  void Append(uint32_t slot, const NewSample& sample);
  // Which samples AppendScrape takes.
  struct Usual {
    int64_t newest_from_ms = INT64_MIN;  // of series whose newest one is not older than this,
    uint32_t max_samples = 0;            // and which have fewer in this layer
  };
  // Appends floats without a start, all of one time, as Append of each in turn does; values[i] is
  // of slots[i]. Stops before the first that is not usual, which includes what is not newer than
  // its series or not at its next time; returns how many it took. Meant for a target's scrape: what
  // repeats costs a look at its stream, and the blocks of what does not are fetched together.
  size_t AppendScrape(std::span<const uint16_t> slots, int64_t time_ms,
                      std::span<const double> values, const Usual& usual);
  // What Append will touch comes into the cache.
  void Prefetch(uint32_t slot) const {
    const Stream& stream = streams_[slot];
    if (stream.used > kInlineBytes) arena_.Prefetch(stream.chain);
  }

  // The sample of the slot at `time_ms`; false if there is none. Decodes the stream: for late
  // samples only, except that the newest one is at hand.
  bool Find(uint32_t slot, int64_t time_ms, StreamSample& found) const;
  [[nodiscard]] const std::string& histogram(uint32_t index) const { return histograms_[index]; }

  // Replaces `out` by the first `limit` samples of a slot that lie in the range.
  void Read(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const;

  // Sample counts by slot.
  [[nodiscard]] std::vector<uint16_t> Counts() const;

  // Moves all samples out; the layer is then empty and holds memory for its slots only.
  std::shared_ptr<const FrozenLayer> Freeze(uint64_t frozen_seq);

 private:
  // Most series of most groups repeat themselves, and then fit here.
  static constexpr size_t kInlineBytes = 8;
  static constexpr uint16_t kNoShortRow = 0xFFFF;
  static_assert(kMaxSharedTimes < kNoShortRow);
  struct Stream {
    double value = 0;  // of the last float
    int64_t newest_ms = INT64_MIN;
    union {
      std::array<std::byte, kInlineBytes> bytes;
      BlockArena::Chain chain;  // once there are more
    };
    uint16_t row = kNoShortRow;  // of the last sample that was in one
    uint16_t used = 0;           // bytes
    uint16_t count = 0;
    uint8_t run = 0;  // samples that repeat, at the end, and are not in the bytes yet
    bool ends_in_histogram = false;

    Stream() : bytes{} {}
  };
  static_assert(sizeof(Stream) == 32, "two to a cache line, and the budget a series");

  // The index of `time_ms` in times_, added if there is room; kNoRow otherwise.
  uint32_t RowOf(int64_t time_ms, uint32_t expected);
  void AppendBytes(Stream& stream, std::span<const std::byte> bytes);
  // Ends the run of a stream and appends a value that does not extend it, at the next row.
  void AppendChange(Stream& stream, double value);
  // The same for one whose tokens do not fit a word.
  void AppendLongChange(Stream& stream, double value);
  void EndRun(Stream& stream);
  // All bytes of a stream, the run at its end included, appended to `out`.
  void CopyTo(const Stream& stream, std::string& out) const;
  // The same, valid until the next call on this thread.
  [[nodiscard]] std::string_view Gather(const Stream& stream) const;

  std::vector<int64_t> times_;  // in order of first appearance
  int64_t newest_time_ = INT64_MIN;
  std::vector<Stream> streams_;  // by slot
  std::vector<int64_t> starts_;  // by slot, of the last sample; empty while nobody sends any
  std::vector<std::string> histograms_;
  uint64_t samples_ = 0;
  BlockArena arena_;
};

// Late samples in arrival order.
struct LateSample {
  int64_t time_ms = 0;
  int64_t start_ms = kNoStartMs;
  double value = 0;
  uint32_t slot = 0;
  uint32_t histogram = kNoHistogram;  // index into LateList::histograms
};

// Late samples that one open list takes; then it is frozen and the next one begins. Bounds what
// finding a duplicate in it costs (about a microsecond).
inline constexpr size_t kMaxOpenLateSamples = 1024;

// Immutable once frozen, and then thread-safe.
struct LateList {
  uint64_t frozen_seq = 0;
  std::vector<LateSample> samples;
  std::vector<std::string> histograms;  // encoded
  std::vector<uint32_t> by_slot;        // indexes of samples by (slot, arrival); see Index()
  // While open: a bit for each (slot, time), which others share. Dropped when it is frozen.
  std::vector<uint64_t> seen;

  [[nodiscard]] bool empty() const { return samples.empty(); }
  [[nodiscard]] size_t memory_bytes() const;
  void Add(const LateSample& sample);
  // The latest of the slot at a time, or null.
  [[nodiscard]] const LateSample* Find(uint32_t slot, int64_t time_ms) const;
  // Brings by_slot up to date; to be called before Read if samples were added.
  void Index();
  // Replaces `out` by those of a slot among the first `limit` that lie in the range, the later one
  // at equal time.
  void Read(uint32_t slot, size_t limit, TimeRange range, SampleColumns& out) const;
};

// Histograms in the head are bytes of storage/codec/histogram_column.h, one at a time.
std::string EncodeHistogram(const NativeHistogram& histogram);
NativeHistogram DecodeHistogram(const std::string& bytes);

}  // namespace basalt::storage
