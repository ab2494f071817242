#include "storage/log/segment.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <limits>

#include "engine/base/hash.h"
#include "storage/log/record.h"
#include "storage/log/record_layout.h"

namespace basalt::storage {
namespace {

constexpr std::string_view kMagic = "BASALTLG";
constexpr std::string_view kSuffix = ".seg";
constexpr size_t kNameDigits = 20;
constexpr size_t kReadBytes = 1u << 20;
constexpr uint64_t kMaxSeqAhead = uint64_t{1} << 32;  // far more records than a segment can hold

// Header: magic 8, version 4, lane 2, zero 2, first seq 8, epoch 8, zeros, CRC32C of all before 4.
constexpr size_t kVersionAt = 8;
constexpr size_t kLaneAt = 12;
constexpr size_t kFirstSeqAt = 16;
constexpr size_t kEpochAt = 24;
constexpr size_t kHeaderCrcAt = kSegmentHeaderBytes - 4;

// Frame: size 4, CRC32C 4, seq 8, durable 8, record, zeros. The CRC covers all but itself. The size
// is the record's in the lower bits and, above them, how many times kFrameAlignment of zeros stand
// behind those that align it.
constexpr int kFillShift = 26;
constexpr uint32_t kLengthMask = (1u << kFillShift) - 1;
static_assert(kMaxRecordBytes == kLengthMask);
static_assert(kSectorBytes / kFrameAlignment - 1 ==
              std::numeric_limits<uint32_t>::max() >> kFillShift);
constexpr size_t kCrcAt = 4;
constexpr size_t kSeqAt = 8;
constexpr size_t kDurableAt = 16;

std::span<const std::byte> Raw(std::string_view bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

template <typename T>
void Store(T v, char* p) {
  std::memcpy(p, &v, sizeof v);
}

// From a frame's size field.
size_t FrameTotal(uint32_t size) {
  return FrameBytes(size & kLengthMask) + (size >> kFillShift) * kFrameAlignment;
}

uint32_t FrameCrc(std::string_view frame) {
  return Crc32c(Raw(frame.substr(kSeqAt)), Crc32c(Raw(frame.substr(0, kCrcAt))));
}

bool AllZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderBytes, '\0');
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  Store(kSegmentVersion, &bytes[kVersionAt]);
  Store(header.lane, &bytes[kLaneAt]);
  Store(header.first_seq, &bytes[kFirstSeqAt]);
  Store(header.epoch, &bytes[kEpochAt]);
  Store(Crc32c(Raw(std::string_view(bytes).substr(0, kHeaderCrcAt))), &bytes[kHeaderCrcAt]);
  return bytes;
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes) return DataLoss("header: truncated");
  if (!bytes.starts_with(kMagic)) return DataLoss("header: not a log segment");
  if (LoadFixed<uint32_t>(&bytes[kHeaderCrcAt]) != Crc32c(Raw(bytes.substr(0, kHeaderCrcAt)))) {
    return DataLoss("header: wrong checksum");
  }
  const auto version = LoadFixed<uint32_t>(&bytes[kVersionAt]);
  if (version != kSegmentVersion) {
    return FailedPrecondition("header: version " + std::to_string(version) +
                              " needs a later version of Basalt");
  }
  SegmentHeader header;
  header.lane = LoadFixed<uint16_t>(&bytes[kLaneAt]);
  header.first_seq = LoadFixed<uint64_t>(&bytes[kFirstSeqAt]);
  header.epoch = LoadFixed<uint64_t>(&bytes[kEpochAt]);
  if (header.first_seq == 0) return DataLoss("header: first record 0");
  return header;
}

std::string SegmentName(uint64_t first_seq) {
  const std::string digits = std::to_string(first_seq);
  std::string name(kNameDigits - digits.size(), '0');
  name += digits;
  name += kSuffix;
  return name;
}

std::optional<uint64_t> ParseSegmentName(std::string_view name) {
  if (name.size() != kNameDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t seq = 0;
  const char* const end = name.data() + kNameDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, seq);
  if (error != std::errc() || stop != end || seq == 0) return std::nullopt;
  return seq;
}

size_t BeginFrame(std::string& out) {
  const size_t at = out.size();
  out.resize(at + kFrameHeaderBytes);
  return at;
}

void EndFrame(size_t at, std::string& out) {
  const size_t bytes = out.size() - at - kFrameHeaderBytes;
  Store(static_cast<uint32_t>(bytes), &out[at]);
  out.resize(at + FrameBytes(bytes));
}

void FillSector(size_t last, std::string& out) {
  const size_t lacks = (kSectorBytes - out.size() % kSectorBytes) % kSectorBytes;
  const auto fill = static_cast<uint32_t>(lacks / kFrameAlignment);
  Store(LoadFixed<uint32_t>(&out[last]) | fill << kFillShift, &out[last]);
  out.resize(out.size() + lacks);
}

size_t SealFrame(size_t at, uint64_t seq, uint64_t durable, std::string& out) {
  const size_t end = at + FrameTotal(LoadFixed<uint32_t>(&out[at]));
  Store(seq, &out[at + kSeqAt]);
  Store(durable, &out[at + kDurableAt]);
  Store(FrameCrc(std::string_view(out).substr(at, end - at)), &out[at + kCrcAt]);
  return end;
}

Result<std::string_view> FrameReader::Bytes(uint64_t at, size_t size) {
  size = static_cast<size_t>(std::min<uint64_t>(size, at < limit_ ? limit_ - at : 0));
  if (at < buffer_at_ || at + size > buffer_at_ + buffer_.size()) {
    const uint64_t want =
        std::min<uint64_t>(std::max(size, kReadBytes), limit_ - std::min(at, limit_));
    buffer_.resize(static_cast<size_t>(want));
    buffer_at_ = at;
    auto got = file_.Read(at, {reinterpret_cast<std::byte*>(buffer_.data()), buffer_.size()});
    buffer_.resize(got.ok() ? *got : 0);
    if (!got.ok()) return got.status();
  }
  const auto skip = static_cast<size_t>(at - buffer_at_);
  return std::string_view(buffer_).substr(std::min(skip, buffer_.size()), size);
}

Result<bool> FrameReader::Next(Frame& frame) {
  BASALT_TRY_ASSIGN(std::string_view bytes, Bytes(offset_, kFrameHeaderBytes));
  if (bytes.size() < kFrameHeaderBytes) return false;
  const auto size = LoadFixed<uint32_t>(bytes.data());
  const uint32_t length = size & kLengthMask;
  if (length == 0) return false;
  const size_t total = FrameTotal(size);
  if (total > limit_ - offset_) return false;
  BASALT_TRY_ASSIGN(bytes, Bytes(offset_, total));
  if (bytes.size() < total || LoadFixed<uint32_t>(&bytes[kCrcAt]) != FrameCrc(bytes)) return false;
  frame.offset = offset_;
  frame.end = offset_ + total;
  frame.seq = LoadFixed<uint64_t>(&bytes[kSeqAt]);
  frame.durable = LoadFixed<uint64_t>(&bytes[kDurableAt]);
  frame.bytes = bytes.substr(kFrameHeaderBytes, length);
  offset_ = frame.end;
  return true;
}

Result<bool> FrameReader::Find(uint64_t after, Frame& frame) {
  while (offset_ < limit_) {
    BASALT_TRY_ASSIGN(const std::string_view bytes, Bytes(offset_, kFrameHeaderBytes));
    if (bytes.size() < kFrameHeaderBytes) return false;
    // Cheap tests first: most places are zeros or the middle of a record.
    const uint32_t length = LoadFixed<uint32_t>(bytes.data()) & kLengthMask;
    const auto seq = LoadFixed<uint64_t>(&bytes[kSeqAt]);
    const auto durable = LoadFixed<uint64_t>(&bytes[kDurableAt]);
    if (length != 0 && seq - after - 1 < kMaxSeqAhead && durable < seq) {
      const uint64_t at = offset_;
      BASALT_TRY_ASSIGN(const bool found, Next(frame));
      if (found) {
        offset_ = at;
        return true;
      }
    }
    offset_ += kFrameAlignment;
  }
  return false;
}

Result<uint64_t> FrameReader::LastWritten() {
  uint64_t last = offset_;
  for (uint64_t at = offset_; at < limit_;) {
    BASALT_TRY_ASSIGN(const std::string_view bytes, Bytes(at, kReadBytes));
    if (bytes.empty()) break;
    if (!AllZero(bytes)) last = at + bytes.find_last_not_of('\0') + 1;
    at += bytes.size();
  }
  return last;
}

Result<SegmentEnd> FindSegmentEnd(const File& file, const std::string& path, uint64_t first_seq) {
  BASALT_TRY_ASSIGN(const uint64_t size, file.Size());
  FrameReader reader(file, kSegmentHeaderBytes, size);
  SegmentEnd end;
  end.next_seq = first_seq;
  Frame frame;
  std::deque<uint64_t> unproven;  // offsets of the frames that may not be durable, in order
  for (;;) {
    end.offset = reader.offset();
    BASALT_TRY_ASSIGN(const bool good, reader.Next(frame));
    if (!good || frame.seq != end.next_seq || frame.durable >= frame.seq) break;
    unproven.push_back(frame.offset);
    while (end.next_seq - frame.durable < unproven.size()) unproven.pop_front();
    ++end.next_seq;
  }
  end.proven = unproven.empty() ? end.offset : unproven.front();
  BASALT_TRY_ASSIGN(const uint64_t written, FrameReader(file, end.offset, size).LastWritten());
  end.torn_bytes = written - end.offset;
  if (end.torn_bytes == 0) return end;

  FrameReader behind(file, end.offset, size);
  for (;;) {
    BASALT_TRY_ASSIGN(const bool found, behind.Find(end.next_seq, frame));
    if (!found) return end;
    if (frame.durable >= end.next_seq) {
      return DataLoss("log segment " + path + ": offset " + std::to_string(end.offset) +
                      ": record " + std::to_string(end.next_seq) +
                      " is damaged, and it was durable (record " + std::to_string(frame.seq) +
                      " at offset " + std::to_string(frame.offset) + " says so)");
    }
    ++end.torn_records;
    BASALT_TRY(behind.Next(frame).status());
  }
}

}  // namespace basalt::storage
