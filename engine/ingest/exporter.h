// engine/ingest/exporter.h -- stored series on their way out, piece by piece, in a form that comes
// back in.
//
// A place to go on from (ExportCursor) is known after every piece, and stays good over restarts of
// the server, since it names a series by its ordinal. Series that are created meanwhile may or may
// not be among what follows; all that were there at the first piece are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/ingest/native_format.h"
#include "storage/reader.h"

namespace basalt::ingest {

enum class ExportFormat : uint8_t {
  // A line a series: {"metric":{...},"values":[...],"timestamps":[...]}, as json_lines.h reads.
  // Ends
  // with "stale" for a stale marker; start timestamps, exemplars, metadata and the payloads of
  // other
  // NaNs have no place in it, and native histograms are only counted ("histogramsLeftOut").
  kJsonLines,
  kNative,  // native_format.h: everything
};

struct ExportCursor {
  uint32_t partition = 0;
  uint32_t set = 0;                       // of matchers
  SeriesOrdinal after = kUnknownOrdinal;  // the last series that was given; none yet
  friend bool operator==(const ExportCursor&, const ExportCursor&) = default;
};
// "3.0.77"; "3.0" before the first series.
std::string FormatCursor(const ExportCursor& cursor);
Result<ExportCursor> ParseCursor(std::string_view text);

struct ExportRequest {
  std::shared_ptr<const storage::Snapshot> snapshot;
  TenantId tenant = kDefaultTenant;
  std::vector<storage::MatcherSet> any_of;  // at least one
  storage::TimeRange range;
  ExportFormat format = ExportFormat::kJsonLines;
  ExportCursor from;
};

// Samples of one JSON line; longer series take several.
inline constexpr size_t kMaxSamplesPerLine = 10'000;

// One thread.
class Exporter {
 public:
  // kInvalidArgument: a regular expression that does not compile, or a cursor that is not of these
  // series.
  static Result<std::unique_ptr<Exporter>> Open(ExportRequest request);
  ~Exporter();

  // Appends to `out` until it has at least `bytes` (by at most the series that crosses it), or
  // until the end. False: that was the end. kDataLoss names a damaged block; the cursor then still
  // stands before it.
  Result<bool> Next(size_t bytes, std::string& out);

  // Where to go on after what Next has given; nothing once it was the end.
  [[nodiscard]] std::optional<ExportCursor> cursor() const;
  // In what was given.
  [[nodiscard]] uint64_t series() const { return series_; }
  [[nodiscard]] uint64_t samples() const { return samples_; }

 private:
  explicit Exporter(ExportRequest request) : request_(std::move(request)) {}
  // The selection that the cursor stands in; `from_start`: of its first series.
  Status OpenSelection();
  Status AddSeries(const storage::SeriesColumns& columns, std::string& out);
  // What does not hang on a partition: exemplars and metadata.
  Status AddRest(std::string& out);
  // True if an earlier set of matchers has given the series.
  [[nodiscard]] bool WasGiven(SeriesOrdinal ordinal) const;

  const ExportRequest request_;
  ExportCursor at_;
  bool ended_ = false;
  std::shared_ptr<const storage::Selection> selection_;
  std::unique_ptr<storage::SampleCursor> samples_of_;
  std::vector<SeriesOrdinal> given_;  // of earlier sets in this partition, sorted
  NativeEncoder encoder_;
  std::vector<LabelView> labels_;
  uint64_t series_ = 0;
  uint64_t samples_ = 0;
};

}  // namespace basalt::ingest
