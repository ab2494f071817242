#include "storage/head/layer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/base/status.h"
#include "storage/codec/histogram_column.h"

namespace basalt::storage {
namespace {

bool Contains(TimeRange range, int64_t t) { return range.min_ms <= t && t <= range.max_ms; }

void AddTo(SampleColumns& out, const StreamSample& sample,
           const std::vector<std::string>& histograms) {
  if (sample.histogram == kNoHistogram) {
    out.Add(sample.time_ms, sample.value, sample.start_ms);
  } else {
    out.AddHistogram(sample.time_ms, DecodeHistogram(histograms[sample.histogram]),
                     sample.start_ms);
  }
}

// Appends the first `count` samples as far as they lie in the range.
void ReadStream(std::string_view bytes, uint16_t count, std::span<const int64_t> times,
                const std::vector<std::string>& histograms, TimeRange range, SampleColumns& out) {
  StreamReader reader(bytes, times);
  std::array<double, kMaxSharedTimes> floats;
  for (size_t i = 0; i < count;) {
    const std::span<double> room = std::span(floats).first(std::min(floats.size(), count - i));
    if (const std::span<const int64_t> usual = reader.NextFloats(room); !usual.empty()) {
      i += usual.size();
      const auto begin = std::lower_bound(usual.begin(), usual.end(), range.min_ms);
      const auto end = std::upper_bound(begin, usual.end(), range.max_ms);
      out.AddFloats({begin, end}, room.subspan(static_cast<size_t>(begin - usual.begin())),
                    reader.start_ms());
      if (end != usual.end()) break;  // a stream rises in time
      continue;
    }
    const StreamSample sample = reader.Next();
    ++i;
    if (sample.time_ms > range.max_ms) break;
    if (sample.time_ms >= range.min_ms) AddTo(out, sample, histograms);
  }
}

size_t StringBytes(const std::vector<std::string>& strings) {
  size_t bytes = strings.capacity() * sizeof(std::string);
  for (const std::string& s : strings) bytes += s.capacity();
  return bytes;
}

}  // namespace

std::string EncodeHistogram(const NativeHistogram& histogram) {
  HistogramPoint point;
  point.histogram = histogram;
  std::string bytes;
  const Status status = EncodeHistograms({&point, 1}, bytes);
  BASALT_CHECK(status.ok(), "a histogram that was checked at the door does not encode");
  return bytes;
}

NativeHistogram DecodeHistogram(const std::string& bytes) {
  HistogramPoint point;
  const Status status = DecodeHistograms(bytes, {&point, 1});
  BASALT_CHECK(status.ok(), "a histogram of the head does not decode");
  return std::move(point.histogram);
}

// ---- FrozenLayer ----

size_t FrozenLayer::memory_bytes() const {
  return sizeof(*this) + times.capacity() * sizeof(int64_t) +
         streams.capacity() * sizeof(FrozenStream) + bytes.capacity() + StringBytes(histograms);
}

void FrozenLayer::Read(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const {
  out.Clear();
  Append(slot, limit, range, out);
}

void FrozenLayer::Append(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const {
  if (slot >= streams.size() || newest_ms < range.min_ms) return;
  const FrozenStream& stream = streams[slot];
  ReadStream(std::string_view(bytes).substr(stream.offset, stream.bytes),
             std::min(limit, stream.count), times, histograms, range, out);
}

// ---- OpenLayer ----

size_t OpenLayer::sample_bytes() const {
  return times_.capacity() * sizeof(int64_t) + arena_.held_bytes() + StringBytes(histograms_);
}

uint32_t OpenLayer::RowOf(int64_t time_ms, uint32_t expected) {
  if (expected < times_.size() && times_[expected] == time_ms) return expected;
  if (time_ms <= newest_time_) {
    for (size_t i = times_.size(); i-- > 0;) {
      if (times_[i] == time_ms) return static_cast<uint32_t>(i);
    }
  }
  if (times_.size() >= kMaxSharedTimes) return kNoRow;
  times_.push_back(time_ms);
  newest_time_ = std::max(newest_time_, time_ms);
  return static_cast<uint32_t>(times_.size() - 1);
}

void OpenLayer::AppendBytes(Stream& stream, std::span<const std::byte> bytes) {
  const size_t used = stream.used;
  stream.used = static_cast<uint16_t>(used + bytes.size());
  if (stream.used <= kInlineBytes) {
    std::copy(bytes.begin(), bytes.end(), stream.bytes.begin() + static_cast<ptrdiff_t>(used));
    return;
  }
  if (used <= kInlineBytes) {  // moves out
    const std::array<std::byte, kInlineBytes> kept = stream.bytes;
    std::construct_at(&stream.chain);
    arena_.Append(stream.chain, 0, std::span(kept).first(used));
  }
  arena_.Append(stream.chain, used, bytes);
}

void OpenLayer::EndRun(Stream& stream) {
  if (stream.run == 0) return;
  const std::byte token = RunToken(stream.run);
  stream.run = 0;
  AppendBytes(stream, {&token, 1});
}

void OpenLayer::Append(uint32_t slot, const NewSample& sample) {
  Stream& stream = streams_[slot];
  if (sample.start_ms != kNoStartMs && starts_.size() <= slot)
    starts_.resize(streams_.size(), kNoStartMs);

  StreamState state{.value = stream.value,
                    .time_ms = stream.count == 0 ? 0 : stream.newest_ms,
                    .start_ms = slot < starts_.size() ? starts_[slot] : kNoStartMs,
                    .row = stream.row == kNoShortRow ? kNoRow : stream.row};
  StreamSample next{.row = RowOf(sample.time_ms, state.row + 1),
                    .time_ms = sample.time_ms,
                    .start_ms = sample.start_ms,
                    .value = sample.value,
                    .histogram = kNoHistogram};
  ++samples_;
  ++stream.count;
  stream.newest_ms = sample.time_ms;
  // The usual sample ends here and touches nothing but its stream.
  if (sample.histogram == nullptr && ExtendsRun(next, state)) {
    if (stream.run == kLongestRun) EndRun(stream);
    ++stream.run;
    stream.row = static_cast<uint16_t>(next.row);
    stream.ends_in_histogram = false;
    return;
  }
  EndRun(stream);
  if (sample.histogram != nullptr) {
    next.histogram = static_cast<uint32_t>(histograms_.size());
    histograms_.push_back(*sample.histogram);
  }
  std::array<std::byte, kMaxTokenBytes> tokens;
  const size_t n = EncodeSample(next, state, tokens);
  AppendBytes(stream, std::span(tokens).first(n));
  stream.value = state.value;
  stream.row = static_cast<uint16_t>(state.row);  // kNoRow becomes kNoShortRow
  stream.ends_in_histogram = sample.histogram != nullptr;
  if (slot < starts_.size()) starts_[slot] = state.start_ms;
}

void OpenLayer::AppendChange(Stream& stream, double value) {
  // The run's token in front of the value's, so that both go in one piece.
  TokenWord tokens;
  const uint8_t run = stream.run;
  if (std::bit_cast<uint64_t>(value) == std::bit_cast<uint64_t>(stream.value)) {
    stream.run = 1;  // the one before was as long as runs get
  } else {
    tokens = EncodeNextValue(value, stream.value);
    if (tokens.bytes == 0 || tokens.bytes + (run > 0 ? 1 : 0) > sizeof tokens.word)
      return AppendLongChange(stream, value);
    stream.run = 0;
    stream.value = value;
  }
  if (run > 0) {
    tokens.word = tokens.word << 8 | static_cast<uint64_t>(RunToken(run));
    ++tokens.bytes;
  }
  const size_t used = stream.used;
  if (used <= kInlineBytes && used + tokens.bytes > kInlineBytes)
    return AppendBytes(stream, std::as_bytes(std::span(&tokens.word, 1)).first(tokens.bytes));
  stream.used = static_cast<uint16_t>(used + tokens.bytes);
  if (used > kInlineBytes) return arena_.Append(stream.chain, used, tokens.word, tokens.bytes);
  uint64_t kept = 0;  // beyond `used` it may hold anything; there is room for a byte at least
  std::memcpy(&kept, stream.bytes.data(), sizeof kept);
  kept &= (uint64_t{1} << 8 * used) - 1;
  kept |= tokens.word << 8 * used;
  std::memcpy(stream.bytes.data(), &kept, sizeof kept);
}

void OpenLayer::AppendLongChange(Stream& stream, double value) {
  EndRun(stream);
  StreamState state{.value = stream.value};
  std::array<std::byte, kMaxTokenBytes> tokens;
  const size_t n = EncodeSample({.row = 0, .value = value}, state, tokens);
  AppendBytes(stream, std::span(tokens).first(n));
  stream.value = value;
}

size_t OpenLayer::AppendScrape(std::span<const uint16_t> slots, int64_t time_ms,
                               std::span<const double> values, const Usual& usual) {
  if (slots.empty() || !starts_.empty()) return 0;
  const auto is_usual = [&](const Stream& stream) {
    return stream.newest_ms >= usual.newest_from_ms && stream.newest_ms < time_ms &&
           stream.count < usual.max_samples;
  };
  if (!is_usual(streams_[slots[0]])) return 0;
  const auto next_row = [](const Stream& stream) { return static_cast<uint16_t>(stream.row + 1); };
  const uint32_t row = RowOf(time_ms, next_row(streams_[slots[0]]));
  size_t taken = 0;
  while (taken < slots.size()) {
    // What repeats is done at once. The blocks of the others are asked for, and written to when
    // they have had the time to come.
    constexpr size_t kTogether = 64;
    std::array<uint32_t, kTogether> changed;
    size_t changes = 0;
    const size_t begin = taken;
    const size_t end = std::min(slots.size(), begin + kTogether);
    for (; taken < end; ++taken) {
      Stream& stream = streams_[slots[taken]];
      if (!is_usual(stream) || next_row(stream) != row) break;  // kNoRow is nobody's next
      stream.newest_ms = time_ms;  // a second sample of the series is not usual
      stream.row = static_cast<uint16_t>(row);
      ++stream.count;
      stream.ends_in_histogram = false;
      if (std::bit_cast<uint64_t>(stream.value) == std::bit_cast<uint64_t>(values[taken]) &&
          stream.run < kLongestRun) {
        ++stream.run;
      } else {
        if (stream.used > kInlineBytes) arena_.Prefetch(stream.chain);
        changed[changes++] = static_cast<uint32_t>(taken);
      }
    }
    for (size_t i = 0; i < changes; ++i)
      AppendChange(streams_[slots[changed[i]]], values[changed[i]]);
    samples_ += taken - begin;
    if (taken < end) break;
  }
  return taken;
}

void OpenLayer::CopyTo(const Stream& stream, std::string& out) const {
  if (stream.used <= kInlineBytes) {
    out.append(reinterpret_cast<const char*>(stream.bytes.data()), stream.used);
  } else {
    arena_.CopyTo(stream.chain, stream.used, out);
  }
  if (stream.run > 0) out += static_cast<char>(RunToken(stream.run));
}

std::string_view OpenLayer::Gather(const Stream& stream) const {
  thread_local std::string bytes;
  bytes.clear();
  CopyTo(stream, bytes);
  return bytes;
}

bool OpenLayer::Find(uint32_t slot, int64_t time_ms, StreamSample& found) const {
  const Stream& stream = streams_[slot];
  if (stream.count == 0) return false;
  if (time_ms == stream.newest_ms && !stream.ends_in_histogram) {
    found = {.row = stream.row,
             .time_ms = time_ms,
             .start_ms = slot < starts_.size() ? starts_[slot] : kNoStartMs,
             .value = stream.value,
             .histogram = kNoHistogram};
    return true;
  }
  StreamReader reader(Gather(stream), times_);
  for (uint16_t i = 0; i < stream.count; ++i) {
    found = reader.Next();
    if (found.time_ms >= time_ms) return found.time_ms == time_ms;
  }
  return false;
}

void OpenLayer::Read(uint32_t slot, uint16_t limit, TimeRange range, SampleColumns& out) const {
  if (slot >= streams_.size() || streams_[slot].count == 0) return out.Clear();
  const Stream& stream = streams_[slot];
  out.Clear();
  ReadStream(Gather(stream), std::min(limit, stream.count), times_, histograms_, range, out);
}

std::vector<uint16_t> OpenLayer::Counts() const {
  std::vector<uint16_t> counts(streams_.size());
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = streams_[i].count;
  return counts;
}

std::shared_ptr<const FrozenLayer> OpenLayer::Freeze(uint64_t frozen_seq) {
  auto frozen = std::make_shared<FrozenLayer>();
  frozen->frozen_seq = frozen_seq;
  frozen->samples = samples_;
  frozen->times = std::move(times_);
  frozen->times.shrink_to_fit();
  frozen->histograms = std::move(histograms_);
  size_t bytes = 0;
  for (const Stream& stream : streams_) bytes += stream.used + (stream.run > 0 ? 1 : 0);
  frozen->bytes.reserve(bytes);
  frozen->streams.reserve(streams_.size());
  frozen->newest_ms = INT64_MIN;
  for (Stream& stream : streams_) {
    const size_t offset = frozen->bytes.size();
    CopyTo(stream, frozen->bytes);
    frozen->streams.push_back({.offset = static_cast<uint32_t>(offset),
                               .bytes = static_cast<uint16_t>(frozen->bytes.size() - offset),
                               .count = stream.count});
    const int64_t newest_ms = stream.newest_ms;
    if (stream.count > 0) frozen->newest_ms = std::max(frozen->newest_ms, newest_ms);
    stream = Stream();
    stream.newest_ms = newest_ms;
  }
  arena_.Clear();
  times_ = {};
  newest_time_ = INT64_MIN;
  std::fill(starts_.begin(), starts_.end(), kNoStartMs);
  histograms_ = {};
  samples_ = 0;
  return frozen;
}

// ---- LateList ----

size_t LateList::memory_bytes() const {
  return sizeof(*this) + samples.capacity() * sizeof(LateSample) +
         by_slot.capacity() * sizeof(uint32_t) + seen.capacity() * sizeof(uint64_t) +
         StringBytes(histograms);
}

namespace {

// Of LateList::seen: eight bits a sample of a full list, so that most of those that are not there
// are told without a search through up to 32 KiB.
constexpr size_t kSeenBits = std::bit_ceil(8 * kMaxOpenLateSamples);
size_t SeenBit(uint32_t slot, int64_t time_ms) {
  const uint64_t mixed =
      (static_cast<uint64_t>(time_ms) * 0x9E37'79B9'7F4A'7C15ULL + slot) * 0xD6E8'FEB8'6659'FD93ULL;
  return mixed >> (64 - std::bit_width(kSeenBits - 1));
}

}  // namespace

void LateList::Add(const LateSample& sample) {
  if (seen.empty()) seen.resize(kSeenBits / 64);
  const size_t bit = SeenBit(sample.slot, sample.time_ms);
  seen[bit / 64] |= uint64_t{1} << bit % 64;
  samples.push_back(sample);
}

const LateSample* LateList::Find(uint32_t slot, int64_t time_ms) const {
  if (const size_t bit = SeenBit(slot, time_ms);
      !seen.empty() && (seen[bit / 64] >> bit % 64 & 1) == 0) {
    return nullptr;
  }
  for (size_t i = samples.size(); i-- > 0;) {
    if (samples[i].slot == slot && samples[i].time_ms == time_ms) return &samples[i];
  }
  return nullptr;
}

void LateList::Index() {
  if (by_slot.size() == samples.size()) return;
  by_slot.resize(samples.size());
  for (uint32_t i = 0; i < by_slot.size(); ++i) by_slot[i] = i;
  std::sort(by_slot.begin(), by_slot.end(), [this](uint32_t a, uint32_t b) {
    return samples[a].slot != samples[b].slot ? samples[a].slot < samples[b].slot : a < b;
  });
}

void LateList::Read(uint32_t slot, size_t limit, TimeRange range, SampleColumns& out) const {
  out.Clear();
  BASALT_CHECK(by_slot.size() == samples.size(), "a late list is read before it is indexed");
  std::vector<const LateSample*> found;
  auto it = std::lower_bound(by_slot.begin(), by_slot.end(), slot,
                             [this](uint32_t i, uint32_t s) { return samples[i].slot < s; });
  for (; it != by_slot.end() && samples[*it].slot == slot && *it < limit; ++it) {
    if (Contains(range, samples[*it].time_ms)) found.push_back(&samples[*it]);
  }
  std::stable_sort(found.begin(), found.end(), [](const LateSample* a, const LateSample* b) {
    return a->time_ms < b->time_ms;
  });
  for (size_t i = 0; i < found.size(); ++i) {
    if (i + 1 < found.size() && found[i + 1]->time_ms == found[i]->time_ms) continue;
    AddTo(out,
          {.row = kNoRow,
           .time_ms = found[i]->time_ms,
           .start_ms = found[i]->start_ms,
           .value = found[i]->value,
           .histogram = found[i]->histogram},
          histograms);
  }
}

}  // namespace basalt::storage
