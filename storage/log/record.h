// storage/log/record.h -- a log record as bytes: what apply is a function of. Format:
// storage/docs/log-format.md.
//
// A record decodes from its own bytes and those of its segment before it: a known series is named
// by its ordinal, its *first use in a segment* also carries its id, and its values are told against
// its last one in the segment. So encoding has two steps: Prepare() does the columns on any thread,
// and Finish(), which the log calls in log order under its append mutex (log.h), adds what depends
// on the segment that the record really goes to.
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

class SeriesFinder;  // storage/resolver.h

// The first byte of every record. Numbers are never reused; 3 was given out and never written.
enum class RecordKind : uint8_t {
  kAppend = 1,    // one request's samples: AppendRecord, AppendReader
  kDelete = 2,    // DeleteRecord
  kSlo = 4,       // an SLO defined, changed or removed     } bytes of the layer
  kElection = 5,  // an HA group's replica elected          } that owns the
  kLimit = 6,     // limits' folds                          } subject
};
inline constexpr uint8_t kRecordVersion = 0;

// Bounds, each an error naming it when exceeded: kInvalidArgument in encoding, kDataLoss in
// decoding.
inline constexpr size_t kMaxRecordBytes = (64u << 20) - 1;   // a whole encoded record
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

// What a segment has said of its series so far: which it has named, and the last value of each. One
// for a log; used only inside Finish(), so under the log's append mutex. 8 bytes and a bit a
// series.
class SegmentSeries {
 public:
  // Of one partition, by ordinal.
  struct Known {
    std::vector<uint64_t> seen;  // a bit each
    std::vector<double> last;    // 0 before the first
  };
  // True the first time it is asked about this series since `segment` (log.h, unique) became
  // current.
  bool FirstUse(uint64_t segment, PartitionId partition, SeriesOrdinal ordinal);
  // The same in two steps, for a loop over a partition's series: first the partition, then each
  // ordinal.
  Known& Use(uint64_t segment, PartitionId partition);
  static bool FirstUse(Known& known, SeriesOrdinal ordinal) {
    const auto number = static_cast<uint32_t>(ordinal);
    if (number >= known.last.size()) [[unlikely]]
      Grow(known, number);
    uint64_t& word = known.seen[number / 64];
    const uint64_t bit = uint64_t{1} << number % 64;
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }
  // Whether FirstUse has been asked about each of `count` series from `first` on.
  static bool AllSeen(const Known& known, uint32_t first, size_t count);
  [[nodiscard]] size_t memory_bytes() const;

 private:
  friend class AppendRecord;
  static void Grow(Known& known, uint32_t ordinal);
  uint64_t segment_ = 0;
  std::vector<Known> known_;    // by partition
  std::vector<double> before_;  // scratch of Finish
};

// The reader's side of it, for one partition: what the records of a segment, read from its first
// one on, have said so far. One thread.
class SegmentValues {
 public:
  // The next section is of the segment that begins with record `segment_first`, and names no series
  // at or above `series`.
  void Begin(uint64_t segment_first, uint32_t series) {
    if (segment_first != segment_first_) last_.assign(last_.size(), 0);
    segment_first_ = segment_first;
    series_ = series;
  }

 private:
  friend class SectionDecoder;
  uint64_t segment_first_ = 0;
  uint32_t series_ = 0;
  std::vector<double> last_;    // by ordinal
  std::vector<double> before_;  // scratch
};

// What an AppendRecord that nobody uses holds at most: requests of some 100,000 samples fit.
inline constexpr size_t kKeptRecordBytes = 1u << 20;

// Encodes a request. One thread; meant to be reused, since it keeps its buffers.
class AppendRecord {
 public:
  // Checks and encodes `batches`, which must stay as they are until Finish(). Series with an
  // ordinal need their id too, unless it is left to the index; others need non-empty labels.
  // kInvalidArgument names the batch, the field and the value that does not fit.
  Status Prepare(std::span<const IngestBatch> batches);
  [[nodiscard]] size_t memory_bytes() const;
  // No Finish() of what was prepared appends more than this.
  [[nodiscard]] size_t max_bytes() const { return max_bytes_; }
  // Appends the record to `out`, for `segment`. 3-5 ns a sample. `ids` tells those that batches
  // leave to the index (IngestBatch::ids_from_index); null if there are none of these.
  void Finish(uint64_t segment, SegmentSeries& seen, std::string& out,
              const SeriesFinder* ids = nullptr) const;
  // Lets go of the batches, and of the buffers too if they hold more than kKeptRecordBytes.
  void Forget();

 private:
  struct Section {
    size_t columns_begin = 0;  // into columns_
    size_t columns_end = 0;
    // Into runs_, if sample i is of series i and ordinals follow each other in a few runs: targets'
    // scrapes, as their series were first seen. What Finish() needs of such a section stands in a
    // few pieces.
    size_t runs_begin = 0;
    size_t runs_end = 0;
  };
  struct OrdinalRun {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  void FindRuns(const IngestBatch& batch, Section& section);
  static void AppendRuns(const IngestBatch& batch, std::span<const OrdinalRun> runs,
                         SegmentSeries::Known& known, std::vector<double>& before,
                         std::string& out);
  static void AppendFirstUses(const IngestBatch& batch, SegmentSeries::Known& known,
                              const SeriesFinder* ids, std::string& out);
  static void AppendValues(const IngestBatch& batch, SegmentSeries::Known& known,
                           std::vector<double>& before, std::string& out);

  std::span<const IngestBatch> batches_;
  size_t max_bytes_ = 0;
  std::vector<Section> sections_;
  std::vector<uint32_t> ordinals_;
  std::vector<OrdinalRun> runs_;
  std::string columns_;  // the sections' bytes that do not depend on the segment
};

// One batch of an append record, not yet decoded. Borrows the record's bytes.
struct RecordSection {
  PartitionId partition{0};
  std::string_view bytes;
};

// An append record taken apart, so that partitions can decode their sections on threads
// of their own.
struct AppendView {
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
// segment has an all-zero id. `values` must have seen every section of its partition in the segment
// before this one; null only checks the bytes, and the batch's sample values are then meaningless.
Status DecodeSection(const RecordSection& section, IngestBatch& batch,
                     SegmentValues* values = nullptr);
// kInvalidArgument past a bound.
Status EncodeDelete(const DeleteRecord& deletion, std::string& out);
Result<DeleteRecord> DecodeDelete(std::string_view record);
// kSlo, kElection, kLimit: `payload` is their owner's. Calling it with another kind is our own
// mistake.
Status EncodeOpaque(RecordKind kind, std::string_view payload, std::string& out);
Result<std::string_view> DecodeOpaque(std::string_view record);

}  // namespace basalt::storage
