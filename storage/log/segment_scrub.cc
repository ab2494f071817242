#include "storage/log/segment_scrub.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "storage/log/segment.h"

namespace basalt::storage {
namespace {

struct FoundSegment {
  std::string name;
  uint64_t first_seq = 0;
  uint64_t bytes = 0;
};

Result<SegmentHeader> ReadHeader(const File& file, uint64_t first_seq) {
  std::string bytes(kSegmentHeaderBytes, '\0');
  BASALT_TRY_ASSIGN(const size_t got, file.Read(0, std::as_writable_bytes(std::span(bytes))));
  bytes.resize(got);
  BASALT_TRY_ASSIGN(const SegmentHeader header, DecodeSegmentHeader(bytes));
  if (header.first_seq != first_seq) {
    return DataLoss("header: begins with record " + std::to_string(header.first_seq));
  }
  return header;
}

class Scrub {
 public:
  Scrub(Files& files, const std::string& directory, const SegmentScrubOptions& options)
      : files_(files), directory_(directory), options_(options) {}

  Result<SegmentScrubResult> Run() {
    BASALT_TRY(Find());
    if (options_.on_begin) {
      uint64_t bytes = 0;
      for (const FoundSegment& segment : segments_) bytes += segment.bytes;
      options_.on_begin(segments_.size(), bytes);
    }
    for (size_t i = 0; i < segments_.size(); ++i) {
      const bool last = i + 1 == segments_.size();
      if (last && options_.skip_last) break;
      const Status status = Check(
          segments_[i], last ? std::nullopt : std::optional<uint64_t>(segments_[i + 1].first_seq));
      if (status.code() == StatusCode::kCancelled) return status;
      // Trimmed while we were at others.
      if (!status.ok() && status.code() != StatusCode::kNotFound) {
        result_.damage.push_back({segments_[i].name, std::string(status.message())});
      }
      if (options_.on_file) options_.on_file();
    }
    return std::move(result_);
  }

 private:
  Status Find() {
    BASALT_TRY_ASSIGN(const auto names, files_.List(directory_));
    for (const std::string& name : names) {
      const auto first_seq = ParseSegmentName(name);
      if (!first_seq.has_value()) {
        if (name.ends_with(".seg"))
          result_.damage.push_back({name, "its name is not a record's number"});
        continue;
      }
      const auto info = files_.Stat(directory_ + "/" + name);
      if (!info.ok()) continue;
      segments_.push_back({name, *first_seq, info->bytes});
    }
    if (!segments_.empty()) {
      result_.first_seq = segments_.front().first_seq;
      result_.next_seq = segments_.back().first_seq;
    }
    return OkStatus();
  }

  // `next_first`: where the next segment begins, and so this one ends.
  Status Check(const FoundSegment& segment, std::optional<uint64_t> next_first) {
    const std::string path = directory_ + "/" + segment.name;
    BASALT_TRY_ASSIGN(const auto file, files_.Open(path, OpenMode::kRead));
    BASALT_TRY(ReadHeader(*file, segment.first_seq).status());
    BASALT_TRY_ASSIGN(uint64_t limit, file->Size());
    uint64_t end_seq = 0;
    if (next_first.has_value()) {
      end_seq = *next_first;
    } else {
      BASALT_TRY_ASSIGN(const SegmentEnd end, FindSegmentEnd(*file, path, segment.first_seq));
      end_seq = end.next_seq;
      limit = end.offset;
      result_.next_seq = end.next_seq;
      if (end.torn_bytes != 0) {
        result_.notes.push_back(segment.name + ": " + std::to_string(end.torn_bytes) +
                                " bytes of a write that was never acknowledged stand at its end; "
                                "the next start cuts them off");
      }
    }
    FrameReader reader(*file, kSegmentHeaderBytes, limit);
    Frame frame;
    uint64_t spent = 0;
    Status bad_record;
    for (uint64_t seq = segment.first_seq; seq < end_seq; ++seq) {
      BASALT_TRY_ASSIGN(const bool good, reader.Next(frame));
      if (!good || frame.seq != seq) {
        return DataLoss("offset " + std::to_string(good ? frame.offset : reader.offset()) +
                        ": record " + std::to_string(seq) + " is damaged or missing");
      }
      ++result_.records;
      if (options_.spend) BASALT_TRY(options_.spend(frame.end - frame.offset));
      spent += frame.end - frame.offset;
      if (!options_.on_record || !bad_record.ok()) continue;
      const Status status = options_.on_record({{0, seq}, frame.bytes, segment.first_seq});
      if (status.code() == StatusCode::kCancelled) return status;
      if (!status.ok()) {
        bad_record = DataLoss("offset " + std::to_string(frame.offset) + ": record " +
                              std::to_string(seq) + ": " + std::string(status.message()));
      }
    }
    if (options_.spend) BASALT_TRY(options_.spend(segment.bytes - std::min(spent, segment.bytes)));
    return bad_record;
  }

  Files& files_;
  const std::string& directory_;
  const SegmentScrubOptions& options_;
  std::vector<FoundSegment> segments_;
  SegmentScrubResult result_;
};

}  // namespace

Result<SegmentScrubResult> ScrubSegments(Files& files, const std::string& directory,
                                         const SegmentScrubOptions& options) {
  return Scrub(files, directory, options).Run();
}

}  // namespace basalt::storage
