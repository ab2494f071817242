// engine/ingest/native_format.h -- series as a file, exactly: what `basalt export --format native`
// writes and /api/v1/import/native reads.
//
// A file is sections end to end. A section stands for itself: any of them may be sent alone, again,
// or in another order. It is: "BSX1"; three little-endian u32: bytes of its body, bytes of its
// message, CRC32C of its body; the body, which is the message in zstd. The message is a PushRequest
// of proto/basalt/v1/ingest.proto without `hello` and `seq`, so every bit of every value comes
// back, with native histograms, start timestamps, exemplars and metadata. (One thing that the
// message cannot say: a start that is not before its sample. Such a start is left out.)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/reader.h"
#include "storage/resolver.h"

namespace basalt::ingest {

inline constexpr std::string_view kSectionMagic = "BSX1";
inline constexpr size_t kSectionHeaderBytes = 16;
// A message is finished once it has this many bytes; one part of a series more may stand in it.
inline constexpr size_t kSectionTargetBytes = 1u << 20;
inline constexpr size_t kMaxSectionBodyBytes = 64u << 20;
// What a series contributes to one message; longer ones go on in the next.
inline constexpr size_t kMaxSamplesPerSectionPart = 32'768;

// Thread-compatible.
class NativeEncoder {
 public:
  NativeEncoder();
  ~NativeEncoder();
  NativeEncoder(const NativeEncoder&) = delete;
  NativeEncoder& operator=(const NativeEncoder&) = delete;

  // `labels` sorted by name. Whole sections go to `out` as they fill.
  Status AddSeries(std::span<const LabelView> labels, const storage::SeriesColumns& columns,
                   std::string& out);
  Status AddExemplars(std::span<const LabelView> labels,
                      std::span<const storage::ExemplarPoint> points, std::string& out);
  Status AddMetadata(const storage::MetadataEntry& entry, std::string& out);
  // Ends the open section, if anything is in it.
  Status Finish(std::string& out);

 private:
  struct Message;
  // Of the series in the open message.
  uint32_t Define(std::span<const LabelView> labels);
  Status FinishIfFull(std::string& out);
  std::unique_ptr<Message> message_;
};

// What a header of kSectionHeaderBytes says. kInvalidArgument if it is none.
struct SectionHeader {
  size_t body_bytes = 0;  // these follow
  size_t message_bytes = 0;
  uint32_t checksum = 0;
};
Result<SectionHeader> ReadSectionHeader(std::string_view bytes);

// Takes the first section off `bytes`; its message replaces `message`. kInvalidArgument saying what
// of it is wrong, or that the message has more than `max_bytes`.
Status TakeSection(std::string_view& bytes, size_t max_bytes, std::string& message);

// Sections into batches. One thread.
class NativeDecoder {
 public:
  explicit NativeDecoder(const Limits& limits) : limits_(limits) {}
  // As RemoteWriteDecoder::Decode; errors name the section, counted from `first_section`. All
  // messages together may have Limits::max_body_bytes.
  Status Decode(std::string_view body, Timestamp now, uint64_t first_section,
                storage::BatchBuilder& builder, Report& report);

 private:
  const Limits limits_;
  std::string message_;
};

}  // namespace basalt::ingest
