// storage/log/segment.h -- one file of the log: header, frames, and how damage is told from a torn
// end. Format: storage/docs/log-format.md.
//
// A frame says how far the log was *durable* when it was written. That is what makes a torn end
// certain: bytes that a power cut left half written were never durable, so if a bad frame is
// followed by a good one that says the bad one was durable, the disk has lost something that was
// acknowledged; if none says so, nothing was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "storage/log/files.h"

namespace basalt::storage {

// A sector, so that frames begin at one.
inline constexpr size_t kSegmentHeaderBytes = kSectorBytes;
inline constexpr uint32_t kSegmentVersion = 1;
inline constexpr size_t kFrameHeaderBytes = 24;
// Frames start at multiples of this, so that looking for one behind damage takes an eighth of the
// time.
inline constexpr size_t kFrameAlignment = 8;

struct SegmentHeader {
  uint16_t lane = 0;
  uint64_t first_seq = 0;
  uint64_t epoch = 0;  // of the writer (Log::Fence)
};
std::string EncodeSegmentHeader(const SegmentHeader& header);
// kDataLoss if it is none or its checksum is wrong; kFailedPrecondition if a later version wrote
// it.
Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

// "00000000000000000042.seg"
std::string SegmentName(uint64_t first_seq);
std::optional<uint64_t> ParseSegmentName(std::string_view name);

// A record of `bytes` takes this much of a segment.
constexpr size_t FrameBytes(size_t bytes) {
  return (kFrameHeaderBytes + bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
}
// Framing in place, in the buffer that is to be written: BeginFrame leaves room for the header, the
// record is appended after it, EndFrame pads. FillSector makes the frame at `last`, which ends
// `out`, longer by what `out` lacks to whole sectors. SealFrame, later, fills the header of the
// frame at `at` and returns where the next begins; that is when it is known what is durable.
size_t BeginFrame(std::string& out);
void EndFrame(size_t at, std::string& out);
void FillSector(size_t last, std::string& out);
size_t SealFrame(size_t at, uint64_t seq, uint64_t durable, std::string& out);

struct Frame {
  uint64_t offset = 0;
  uint64_t end = 0;  // where the next one begins
  uint64_t seq = 0;
  uint64_t durable = 0;    // every record up to this one was durable when this one was written
  std::string_view bytes;  // valid until the next call
};

// Reads frames forward from an offset. One thread; borrows the file.
class FrameReader {
 public:
  // Reads nothing at or past `limit`.
  FrameReader(const File& file, uint64_t offset, uint64_t limit)
      : file_(file), offset_(offset), limit_(limit) {}

  // True: a whole frame with a right checksum stood at offset(), which is now behind it. False:
  // none did; offset() has not moved. Errors are those of reading the file.
  Result<bool> Next(Frame& frame);
  // Moves on until a whole frame stands at offset() with a number in (after, after + 2^32); false
  // if there is none.
  Result<bool> Find(uint64_t after, Frame& frame);
  // Whether anything but zeros stands in [offset(), limit): zeros are preallocated space, anything
  // else was written. The end of the last such byte, or offset() if there is none.
  Result<uint64_t> LastWritten();
  [[nodiscard]] uint64_t offset() const { return offset_; }

 private:
  // `size` bytes at `at`, through the buffer; fewer at the end of the file.
  Result<std::string_view> Bytes(uint64_t at, size_t size);

  const File& file_;
  uint64_t offset_;
  const uint64_t limit_;
  std::string buffer_;
  uint64_t buffer_at_ = 0;
};

struct SegmentEnd {
  uint64_t offset = 0;        // behind the last good frame
  uint64_t proven = 0;        // before the first frame that no later one says was durable
  uint64_t next_seq = 0;      // the number that the next record gets
  uint64_t torn_bytes = 0;    // written behind it and never durable
  uint64_t torn_records = 0;  // whole records among them
};
// Finds the end of the lane's last segment, whose first record would be `first_seq`. kDataLoss with
// the offset if a frame is bad that a later one says was durable. `path` is for messages.
Result<SegmentEnd> FindSegmentEnd(const File& file, const std::string& path, uint64_t first_seq);

}  // namespace basalt::storage
