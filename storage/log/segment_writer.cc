#include "storage/log/segment_writer.h"

#include <algorithm>
#include <span>
#include <utility>

namespace basalt::storage {
namespace {

// What a segment is preallocated to by its first record, if it may be that long.
constexpr size_t kLeastPreallocated = 1u << 20;

}  // namespace

Status SegmentWriter::Begin(uint64_t first_seq, uint64_t epoch) {
  BASALT_TRY_ASSIGN(OpenSegment segment, directory_.Create(first_seq, epoch));
  current_ = std::move(segment);
  first_seq_ = first_seq;
  epoch_ = epoch;
  offset_ = durable_offset_ = kSegmentHeaderBytes;
  file_bytes_ = kSegmentHeaderBytes;
  written_ = durable_ = first_seq - 1;
  spoiled_ = false;
  return OkStatus();
}

// In doubling steps: a log that is hardly written to does not hold a whole segment's blocks, and a
// busy one grows seven times a segment. (Growing costs one metadata commit in the next sync.)
Status SegmentWriter::Reserve(size_t bytes) {
  const uint64_t need = offset_ + bytes;
  if (need <= file_bytes_) return OkStatus();
  const uint64_t step = std::clamp<uint64_t>(2 * file_bytes_, kLeastPreallocated,
                                             std::max(segment_bytes_, kLeastPreallocated));
  const uint64_t size = std::max(need, std::min<uint64_t>(step, segment_bytes_));
  BASALT_TRY(current_.file->Preallocate(size).WithContext("log"));
  file_bytes_ = size;
  return OkStatus();
}

Status SegmentWriter::Write(size_t records, size_t last, std::string& frames) {
  FillSector(last, frames);
  uint64_t seq = written_ + 1;
  for (size_t at = 0; at < frames.size(); ++seq) at = SealFrame(at, seq, durable_, frames);
  BASALT_CHECK(seq == written_ + 1 + records);
  BASALT_TRY(Reserve(frames.size()));
  spoiled_ = true;
  BASALT_TRY(current_.file->Write(offset_, std::as_bytes(std::span(frames))).WithContext("log"));
  spoiled_ = false;
  offset_ += frames.size();
  written_ = seq - 1;
  return OkStatus();
}

Status SegmentWriter::Sync() {
  const Status status = current_.file->SyncData();
  if (!status.ok()) return DataLoss("log: " + std::string(status.message()));
  durable_ = written_;
  durable_offset_ = offset_;
  return OkStatus();
}

void SegmentWriter::Withdraw() {
  spoiled_ = true;
  written_ = durable_;
  offset_ = durable_offset_;
}

Status SegmentWriter::Cut() {
  if (file_bytes_ == offset_) return OkStatus();
  const Status status = current_.file->Truncate(offset_);
  if (!status.ok()) return DataLoss("log: " + std::string(status.message()));
  file_bytes_ = offset_;
  return OkStatus();
}

}  // namespace basalt::storage
