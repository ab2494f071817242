// storage/log/record.h -- a log record as bytes: what apply is a function of. Format:
// storage/docs/log-format.md.
//
// A record decodes from its own bytes alone, but for one thing: a known series is named by its
// ordinal, and only its *first use in a segment* also carries its id. So encoding has two steps:
// Prepare() does the columns on any thread, and Finish(), which the log calls in log order under
// its append mutex (log.h), adds the series table for the segment that the record really goes to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/ingest_batch.h"
#include "storage/reader.h"

namespace basalt::storage {

// The first byte of every record. Numbers are never reused.
enum class RecordKind : uint8_t {
  kAppend = 1,    // one request's samples: AppendRecord, AppendReader
  kDelete = 2,    // DeleteRecord
  kCarry = 3,     // as kAppend, with the position that its samples had first (rows copied forward)
  kSlo = 4,       // an SLO defined, changed or removed     } bytes of the layer
  kElection = 5,  // an HA group's replica elected          } that owns the
  kLimit = 6,     // limits' folds                          } subject
};
inline constexpr uint8_t kRecordVersion = 0;

// Bounds, each an error naming it when exceeded: kInvalidArgument in encoding, kDataLoss in
// decoding.
inline constexpr size_t kMaxRecordBytes = 64u << 20;         // a whole encoded record
inline constexpr size_t kMaxSectionsPerRecord = 65'536;      // batches of a request
inline constexpr size_t kMaxSeriesPerSection = 1u << 20;     // a request has thousands
inline constexpr size_t kMaxSamplesPerSection = 1u << 22;    // floats; 32 MiB of values
inline constexpr size_t kMaxLabelBytesPerSeries = 1u << 16;  // canonical bytes of one label set
inline constexpr size_t kMaxLabelBytesPerSection = 64u << 20;
inline constexpr size_t kMaxHistogramsPerSection = 1u << 18;
inline constexpr size_t kMaxExemplarsPerSection = 1u << 18;
inline constexpr size_t kMaxMetadataPerSection = 1u << 18;
inline constexpr size_t kMaxStringBytes =
    1u << 20;  // unit, help, metric, exemplar labels, matcher value
inline constexpr size_t kMaxMatchersPerRecord = 65'536;

// Which series a segment has named already. One for a log; used only inside Finish(), so under the
// log's append mutex.
class SegmentSeries {
 public:
  // True the first time it is asked about this series since `segment` (log.h, unique) became
  // current.
  bool FirstUse(uint64_t segment, PartitionId partition, SeriesOrdinal ordinal);
  // The same in two steps, for a loop over a partition's series: first the partition, then each
  // ordinal.
  using Bits = std::vector<uint64_t>;
  Bits& Use(uint64_t segment, PartitionId partition);
  static bool FirstUse(Bits& bits, SeriesOrdinal ordinal) {
    const auto number = static_cast<uint32_t>(ordinal);
    const size_t word = number / 64;
    if (word >= bits.size()) [[unlikely]]
      bits.resize(word + word / 2 + 1);
    const uint64_t bit = uint64_t{1} << number % 64;
    const bool first = (bits[word] & bit) == 0;
    bits[word] |= bit;
    return first;
  }
  [[nodiscard]] size_t memory_bytes() const;

 private:
  uint64_t segment_ = 0;
  std::vector<Bits> seen_;  // a bit an ordinal, by partition
};

// Encodes a request. One thread; meant to be reused, since it keeps its buffers.
class AppendRecord {
 public:
  // Checks and encodes `batches`, which must stay as they are until Finish(). Series with an
  // ordinal need their id too; others need non-empty labels. kInvalidArgument names the batch, the
  // field and the value that does not fit. `origin`: for kCarry, the sequence number whose samples
  // these were; 0 makes a kAppend.
  Status Prepare(std::span<const IngestBatch> batches, uint64_t origin = 0);
  // No Finish() of what was prepared appends more than this.
  [[nodiscard]] size_t max_bytes() const { return max_bytes_; }
  // Appends the record to `out`, for `segment`. ~2 ns a series.
  void Finish(uint64_t segment, SegmentSeries& seen, std::string& out) const;

 private:
  struct Section {
    size_t columns_begin = 0;  // into columns_
    size_t columns_end = 0;
  };
  static void AppendFirstUses(const IngestBatch& batch, uint64_t segment, SegmentSeries& seen,
                              std::string& out);

  std::span<const IngestBatch> batches_;
  uint64_t origin_ = 0;
  size_t max_bytes_ = 0;
  std::vector<Section> sections_;
  std::vector<uint32_t> ordinals_;
  std::string columns_;  // the sections' bytes that do not depend on the segment
};

// One batch of an append record, not yet decoded. Borrows the record's bytes.
struct RecordSection {
  PartitionId partition{0};
  std::string_view bytes;
};

// An append (or carry) record taken apart, so that partitions can decode their sections on threads
// of their own.
struct AppendView {
  uint64_t origin = 0;                  // kCarry: where the samples were first; 0: here
  std::vector<RecordSection> sections;  // in the order of the request
};

struct DeleteRecord {
  TenantId tenant = kDefaultTenant;
  std::vector<MatcherSet>
      any_of;  // evaluated by apply, against the series that exist at this place in the log
  TimeRange range;
};

// All below: pure functions of the bytes, safe on hostile ones. kDataLoss says which field does not
// fit; kUnimplemented for a kind or version that this build does not know.
Result<RecordKind> KindOf(std::string_view record);
Result<AppendView> ViewAppend(std::string_view record);
// `batch` is overwritten; its buffers are reused. A known series that was used before in its
// segment has an all-zero id.
Status DecodeSection(const RecordSection& section, IngestBatch& batch);
// kInvalidArgument past a bound.
Status EncodeDelete(const DeleteRecord& deletion, std::string& out);
Result<DeleteRecord> DecodeDelete(std::string_view record);
// kSlo, kElection, kLimit: `payload` is their owner's. Calling it with another kind is our own
// mistake.
Status EncodeOpaque(RecordKind kind, std::string_view payload, std::string& out);
Result<std::string_view> DecodeOpaque(std::string_view record);

}  // namespace basalt::storage
