#include "storage/log/segment_directory.h"

#include <algorithm>
#include <utility>

namespace basalt::storage {
namespace {

constexpr std::string_view kTemporary = ".new";
constexpr std::string_view kLockName = "LOCK";
constexpr size_t kRewriteBytes = 1u << 20;

std::span<const std::byte> Raw(std::string_view bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

// Writes the bytes [begin, end) over themselves. If an earlier process ended because a sync failed,
// the kernel shows them still, holds them for clean, and will never write them: only a new write
// makes the next sync mean anything.
Status Rewrite(File& file, uint64_t begin, uint64_t end) {
  std::string buffer;
  while (begin < end) {
    buffer.resize(static_cast<size_t>(std::min<uint64_t>(end - begin, kRewriteBytes)));
    BASALT_TRY_ASSIGN(const size_t got,
                      file.Read(begin, std::as_writable_bytes(std::span(buffer))));
    if (got != buffer.size())
      return DataLoss("offset " + std::to_string(begin) + ": the file has shrunk");
    BASALT_TRY(file.Write(begin, Raw(buffer)));
    begin += got;
  }
  return OkStatus();
}

}  // namespace

Result<SegmentDirectory> SegmentDirectory::Open(Files& files, std::string path, uint16_t lane) {
  BASALT_TRY(files.CreateDirectories(path));
  BASALT_TRY_ASSIGN(auto lock, files.Lock(path + "/" + std::string(kLockName)));
  return SegmentDirectory(files, std::move(path), lane, std::move(lock));
}

Result<SegmentHeader> SegmentDirectory::ReadHeader(uint64_t first_seq, uint64_t& file_bytes) const {
  const std::string path = PathOf(first_seq);
  BASALT_TRY_ASSIGN(const auto file, files_->Open(path, OpenMode::kRead));
  BASALT_TRY_ASSIGN(file_bytes, file->Size());
  std::string bytes(kSegmentHeaderBytes, '\0');
  BASALT_TRY_ASSIGN(const size_t got,
                    file->Read(0, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
  bytes.resize(got);
  auto header = DecodeSegmentHeader(bytes);
  if (!header.ok()) return header.status().WithContext("log segment " + path);
  if (header->first_seq != first_seq) {
    return DataLoss("log segment " + path + ": header: begins with record " +
                    std::to_string(header->first_seq));
  }
  if (header->lane != lane_) {
    return FailedPrecondition("log segment " + path + ": header: belongs to lane " +
                              std::to_string(header->lane) + ", not " + std::to_string(lane_));
  }
  return header;
}

Result<RecoveredSegments> SegmentDirectory::Recover() {
  RecoveredSegments recovered;
  BASALT_TRY_ASSIGN(const auto names, files_->List(path_));
  for (const std::string& name : names) {
    if (name.ends_with(
            kTemporary)) {  // a segment whose making was interrupted: never held a record
      BASALT_TRY(files_->Unlink(path_ + "/" + name));
      ++recovered.removed_files;
    } else if (const auto first_seq = ParseSegmentName(name)) {
      recovered.segments.push_back({.first_seq = *first_seq});  // names sort as numbers
    } else if (name.ends_with(".seg")) {
      return DataLoss("log segment " + path_ + "/" + name + ": its name is not a record's number");
    }
  }
  for (RecoveredSegment& segment : recovered.segments) {
    BASALT_TRY_ASSIGN(const SegmentHeader header, ReadHeader(segment.first_seq, segment.bytes));
    if (header.epoch < recovered.last_epoch) {
      return DataLoss("log segment " + PathOf(segment.first_seq) + ": header: epoch " +
                      std::to_string(header.epoch) + " after " +
                      std::to_string(recovered.last_epoch));
    }
    recovered.last_epoch = header.epoch;
  }
  if (!recovered.segments.empty()) BASALT_TRY(CutTornEnd(recovered));
  return recovered;
}

Status SegmentDirectory::CutTornEnd(RecoveredSegments& recovered) {
  RecoveredSegment& last = recovered.segments.back();
  const std::string path = PathOf(last.first_seq);
  BASALT_TRY_ASSIGN(const auto file, files_->Open(path, OpenMode::kUpdate));
  BASALT_TRY_ASSIGN(const SegmentEnd end, FindSegmentEnd(*file, path, last.first_seq));
  recovered.next_seq = end.next_seq;
  recovered.torn_bytes = end.torn_bytes;
  recovered.torn_records = end.torn_records;
  // Cut and synced before anything else is written, so that what was torn can never come back
  // behind new records.
  if (last.bytes > end.offset) BASALT_TRY(file->Truncate(end.offset));
  BASALT_TRY(Rewrite(*file, end.proven, end.offset));
  BASALT_TRY(file->SyncData());
  last.bytes = end.offset;
  // An empty segment has the name that the next one will get, and is replaced by it.
  if (end.next_seq == last.first_seq) recovered.segments.pop_back();
  return OkStatus();
}

Result<OpenSegment> SegmentDirectory::CreateAt(const std::string& directory,
                                               const SegmentHeader& header) {
  OpenSegment segment;
  segment.header = header;
  segment.path = directory + "/" + SegmentName(header.first_seq);
  const std::string temporary = segment.path + std::string(kTemporary);
  // Header first, name last: a file under a segment's name always has a whole header, so a bad one
  // is damage.
  const auto make = [&]() -> Status {
    BASALT_TRY_ASSIGN(segment.file, files_->Open(temporary, OpenMode::kCreateForSectors));
    BASALT_TRY(segment.file->Write(0, Raw(EncodeSegmentHeader(header))));
    BASALT_TRY(segment.file->SyncData());
    return files_->Rename(temporary, segment.path);
  };
  if (const Status made = make(); !made.ok()) {
    segment.file.reset();
    // Best effort: what stays is removed at the next open, and `made` is the error to report.
    const Status removed = files_->Unlink(temporary);
    return made.WithContext(removed.ok() ? "new log segment"
                                         : "new log segment (its remains stay)");
  }
  BASALT_TRY(files_->SyncDirectory(directory));
  return segment;
}

Result<OpenSegment> SegmentDirectory::Create(uint64_t first_seq, uint64_t epoch) {
  return CreateAt(path_, {.lane = lane_, .first_seq = first_seq, .epoch = epoch});
}

Status SegmentDirectory::CreateIn(const std::string& directory, uint64_t first_seq,
                                  uint64_t epoch) {
  return CreateAt(directory, {.lane = lane_, .first_seq = first_seq, .epoch = epoch}).status();
}

Status SegmentDirectory::Remove(uint64_t first_seq) {
  // Gone already: it was unlinked before, and what failed then was the sync.
  if (Status status = files_->Unlink(PathOf(first_seq));
      !status.ok() && status.code() != StatusCode::kNotFound) {
    return status;
  }
  // Each by itself: if the power goes, what comes back has no hole in it.
  return files_->SyncDirectory(path_);
}

Status SegmentDirectory::LinkInto(const std::string& directory, uint64_t first_seq) {
  return files_->Link(PathOf(first_seq), directory + "/" + SegmentName(first_seq));
}

}  // namespace basalt::storage
