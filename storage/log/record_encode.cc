#include <algorithm>
#include <string>

#include "engine/base/varint.h"
#include "storage/log/change_column.h"
#include "storage/log/columns.h"
#include "storage/log/record.h"
#include "storage/log/record_layout.h"
#include "storage/resolver.h"

namespace basalt::storage {
namespace {

Status Bad(size_t batch, std::string_view field, uint64_t value, std::string_view why) {
  std::string text = "batch " + std::to_string(batch) + ": " + std::string(field) + " " +
                     std::to_string(value) + ": ";
  text += why;
  return InvalidArgument(std::move(text));
}

Status CheckCount(size_t batch, std::string_view field, size_t count, size_t limit) {
  if (count <= limit) return OkStatus();
  return Bad(batch, field, count,
             "more than " + std::to_string(limit) + " in a request's partition");
}

Status CheckString(size_t batch, std::string_view field, std::string_view text) {
  if (text.size() <= kMaxStringBytes) return OkStatus();
  return Bad(batch, field, text.size(), "bytes; at most " + std::to_string(kMaxStringBytes));
}

Status CheckSeries(size_t index, const IngestBatch& batch) {
  BASALT_TRY(CheckCount(index, "series count", batch.series.size(), kMaxSeriesPerSection));
  uint64_t label_bytes = 0;
  for (size_t i = 0; i < batch.series.size(); ++i) {
    const BatchSeries& series = batch.series[i];
    if (series.ordinal != kUnknownOrdinal) continue;
    if (series.labels_bytes == 0) return Bad(index, "series", i, "neither an ordinal nor labels");
    if (series.labels_bytes > kMaxLabelBytesPerSeries)
      return Bad(index, "series", i, "labels longer than 65536 bytes");
    if (uint64_t{series.labels_offset} + series.labels_bytes > batch.labels.size()) {
      return Bad(index, "series", i, "its labels lie outside the batch's label bytes");
    }
    label_bytes += series.labels_bytes;
  }
  return CheckCount(index, "label bytes", label_bytes, kMaxLabelBytesPerSection);
}

Status CheckHistogram(size_t index, const HistogramSample& sample) {
  const NativeHistogram& h = sample.histogram;
  const size_t largest =
      std::max({h.positive_spans.size(), h.negative_spans.size(), h.positive_deltas.size(),
                h.negative_deltas.size(), h.positive_counts.size(), h.negative_counts.size(),
                h.custom_values.size()});
  if (largest > kMaxHistogramBuckets)
    return Bad(index, "histogram buckets", largest, "more than 65536");
  if (static_cast<uint64_t>(h.reset_hint) > kHistogramHintMask) {
    return Bad(index, "histogram reset hint", static_cast<uint64_t>(h.reset_hint), "unknown");
  }
  return OkStatus();
}

// What the decoder insists on, said here with the batch's number, so that nothing unreadable is
// ever logged.
Status CheckBatch(size_t index, const IngestBatch& batch) {
  const size_t samples = batch.sample_ms.size();
  if (batch.sample_series.size() != samples || batch.sample_value.size() != samples ||
      (!batch.sample_start_ms.empty() && batch.sample_start_ms.size() != samples)) {
    return Bad(index, "sample count", samples, "the sample columns differ in length");
  }
  BASALT_TRY(CheckSeries(index, batch));
  BASALT_TRY(CheckCount(index, "sample count", samples, kMaxSamplesPerSection));
  BASALT_TRY(
      CheckCount(index, "histogram count", batch.histograms.size(), kMaxHistogramsPerSection));
  BASALT_TRY(CheckCount(index, "exemplar count", batch.exemplars.size(), kMaxExemplarsPerSection));
  BASALT_TRY(CheckCount(index, "metadata count", batch.metadata.size(), kMaxMetadataPerSection));
  const size_t count = batch.series.size();
  uint32_t largest = 0;
  for (const uint32_t series : batch.sample_series) largest = std::max(largest, series);
  if (samples != 0 && largest >= count) {
    return Bad(index, "sample's series", largest, "not in the batch's series table");
  }
  for (const HistogramSample& sample : batch.histograms) {
    if (sample.series >= count)
      return Bad(index, "histogram's series", sample.series, "not in the series table");
    BASALT_TRY(CheckHistogram(index, sample));
  }
  for (const ExemplarSample& sample : batch.exemplars) {
    if (sample.series >= count)
      return Bad(index, "exemplar's series", sample.series, "not in the series table");
    BASALT_TRY(CheckString(index, "exemplar's labels:", sample.labels));
  }
  for (const MetadataEntry& entry : batch.metadata) {
    BASALT_TRY(CheckString(index, "metadata's metric:", entry.metric));
    BASALT_TRY(CheckString(index, "metadata's unit:", entry.unit));
    BASALT_TRY(CheckString(index, "metadata's help:", entry.help));
  }
  return OkStatus();
}

void AppendSigned(int64_t v, std::string& out) { AppendVarint(ZigZag(v), out); }

// New series name themselves. Neighbours of one target share most label bytes, at both ends:
// `__name__` and `le` differ.
void EncodeNewSeries(const IngestBatch& batch, std::string& out) {
  std::string_view previous;
  uint64_t next = 0;  // gaps count from here, plus one, so that a zero can end the list
  for (size_t i = 0; i < batch.series.size(); ++i) {
    const BatchSeries& series = batch.series[i];
    if (series.ordinal != kUnknownOrdinal) continue;
    const std::string_view labels(batch.labels.data() + series.labels_offset, series.labels_bytes);
    const size_t shorter = std::min(labels.size(), previous.size());
    size_t prefix = 0;
    while (prefix < shorter && labels[prefix] == previous[prefix]) ++prefix;
    size_t suffix = 0;
    while (suffix < shorter - prefix &&
           labels[labels.size() - 1 - suffix] == previous[previous.size() - 1 - suffix]) {
      ++suffix;
    }
    AppendVarint(i - next + 1, out);
    AppendHash(series.id.hash, out);
    AppendVarint(prefix, out);
    AppendVarint(suffix, out);
    AppendString(labels.substr(prefix, labels.size() - prefix - suffix), out);
    previous = labels;
    next = i + 1;
  }
  out += '\0';
}

void AppendSpans(const std::vector<HistogramSpan>& spans, std::string& out) {
  AppendVarint(spans.size(), out);
  for (const HistogramSpan& span : spans) {
    AppendSigned(span.offset, out);
    AppendVarint(span.length, out);
  }
}
void AppendDeltas(const std::vector<int64_t>& deltas, std::string& out) {
  AppendVarint(deltas.size(), out);
  for (const int64_t delta : deltas) AppendSigned(delta, out);
}
void AppendDoubles(const std::vector<double>& values, std::string& out) {
  AppendVarint(values.size(), out);
  AppendValueColumn(values, out);
}

// All fields, those of the other kind of histogram too: what came in comes back, whatever the
// validator thinks of it.
void EncodeHistogram(const HistogramSample& sample, std::string& out) {
  const NativeHistogram& h = sample.histogram;
  AppendVarint((h.is_float ? kHistogramFloat : 0) |
                   (sample.start_ms != kNoStartMs ? kHistogramStart : 0) |
                   static_cast<uint64_t>(h.reset_hint) << kHistogramHintShift,
               out);
  AppendVarint(sample.series, out);
  AppendSigned(sample.time_ms, out);
  if (sample.start_ms != kNoStartMs) AppendSigned(sample.start_ms, out);
  AppendSigned(h.schema, out);
  AppendVarint(h.count, out);
  AppendVarint(h.zero_count, out);
  const double scalars[] = {h.zero_threshold, h.sum, h.count_float, h.zero_count_float};
  AppendValueColumn(scalars, out);
  AppendSpans(h.positive_spans, out);
  AppendSpans(h.negative_spans, out);
  AppendDeltas(h.positive_deltas, out);
  AppendDeltas(h.negative_deltas, out);
  AppendDoubles(h.positive_counts, out);
  AppendDoubles(h.negative_counts, out);
  AppendDoubles(h.custom_values, out);
}

void EncodeExemplar(const ExemplarSample& sample, std::string& out) {
  AppendVarint(sample.series, out);
  AppendSigned(sample.time_ms, out);
  AppendFixed(sample.value, out);
  AppendString(sample.labels, out);
}

void EncodeMetadata(const MetadataEntry& entry, std::string& out) {
  out += static_cast<char>(entry.type);
  AppendString(entry.metric, out);
  AppendString(entry.unit, out);
  AppendString(entry.help, out);
}

// Everything of a section but the ids of first uses.
void EncodeColumns(const IngestBatch& batch, std::vector<uint32_t>& ordinals, std::string& out) {
  ordinals.resize(batch.series.size());
  size_t known = 0;
  for (const BatchSeries& series : batch.series) {  // an unknown one is overwritten by the next
    ordinals[known] = static_cast<uint32_t>(series.ordinal);
    known += series.ordinal != kUnknownOrdinal ? 1 : 0;
  }
  ordinals.resize(known);
  const bool has_writer = batch.writer.writer != Hash128{} || batch.writer.seq != 0;
  const bool has_new = ordinals.size() != batch.series.size();
  AppendVarint(static_cast<uint32_t>(batch.tenant), out);
  AppendVarint((has_writer ? kHasWriter : 0) | (has_new ? kHasNewSeries : 0) |
                   (!batch.sample_start_ms.empty() ? kHasStartTimes : 0) |
                   (!batch.histograms.empty() ? kHasHistograms : 0) |
                   (!batch.exemplars.empty() ? kHasExemplars : 0) |
                   (!batch.metadata.empty() ? kHasMetadata : 0),
               out);
  if (has_writer) {
    AppendHash(batch.writer.writer, out);
    AppendVarint(batch.writer.seq, out);
  }
  AppendVarint(batch.series.size(), out);
  if (has_new) EncodeNewSeries(batch, out);
  AppendIntColumn(ordinals, out);
  AppendVarint(batch.sample_ms.size(), out);
  AppendIntColumn(batch.sample_series, out);
  AppendIntColumn(batch.sample_ms, out);
  if (!batch.sample_start_ms.empty()) AppendIntColumn(batch.sample_start_ms, out);
  if (!batch.histograms.empty()) AppendVarint(batch.histograms.size(), out);
  for (const HistogramSample& sample : batch.histograms) EncodeHistogram(sample, out);
  if (!batch.exemplars.empty()) AppendVarint(batch.exemplars.size(), out);
  for (const ExemplarSample& sample : batch.exemplars) EncodeExemplar(sample, out);
  if (!batch.metadata.empty()) AppendVarint(batch.metadata.size(), out);
  for (const MetadataEntry& entry : batch.metadata) EncodeMetadata(entry, out);
}

// Whether sample i is of series i.
bool IsOnePerSeries(const IngestBatch& batch) {
  if (batch.sample_series.size() != batch.series.size()) return false;
  uint32_t other = 0;
  for (size_t i = 0; i < batch.sample_series.size(); ++i)
    other |= batch.sample_series[i] ^ static_cast<uint32_t>(i);
  return other == 0;
}

// Fewer samples a run than this, and samples one by one are as cheap.
constexpr size_t kMinSamplesPerRun = 16;

// A first use is a gap of at most 3 bytes (kMaxSeriesPerSection) and an id; a zero byte ends the
// list.
constexpr size_t kMaxFirstUseBytes = 3 + kIdBytes;
static_assert(kMaxSeriesPerSection < 1u << 21);
constexpr size_t kMaxRecordHeaderBytes = 2 + 2 * kMaxVarintBytes;

}  // namespace

bool SegmentSeries::FirstUse(uint64_t segment, PartitionId partition, SeriesOrdinal ordinal) {
  return FirstUse(Use(segment, partition), ordinal);
}

SegmentSeries::Known& SegmentSeries::Use(uint64_t segment, PartitionId partition) {
  if (segment != segment_) {
    segment_ = segment;
    for (Known& known : known_) {
      std::fill(known.seen.begin(), known.seen.end(), 0);
      std::fill(known.last.begin(), known.last.end(), 0);
    }
  }
  const auto row = static_cast<size_t>(partition);
  if (row >= known_.size()) known_.resize(row + 1);
  return known_[row];
}

void SegmentSeries::Grow(Known& known, uint32_t ordinal) {
  // By an eighth: these are 8 bytes a series of the machine's memory.
  const size_t words = ordinal / 64 + 1 + ordinal / 512;
  known.seen.reserve(words);
  known.seen.resize(words);
  known.last.reserve(words * 64);
  known.last.resize(words * 64);
}

bool SegmentSeries::AllSeen(const Known& known, uint32_t first, size_t count) {
  const size_t end = size_t{first} + count;
  if (end > known.last.size()) return false;
  for (size_t at = first; at < end;) {
    const size_t in_word = std::min<size_t>(64 - at % 64, end - at);
    const uint64_t mask = ~uint64_t{0} >> (64 - in_word) << at % 64;
    if ((known.seen[at / 64] & mask) != mask) return false;
    at += in_word;
  }
  return true;
}

size_t SegmentSeries::memory_bytes() const {
  size_t bytes = known_.capacity() * sizeof(known_[0]) + before_.capacity() * sizeof(double);
  for (const Known& known : known_) {
    bytes += known.seen.capacity() * sizeof(uint64_t) + known.last.capacity() * sizeof(double);
  }
  return bytes;
}

Status AppendRecord::Prepare(std::span<const IngestBatch> batches) {
  batches_ = {};
  sections_.clear();
  columns_.clear();
  runs_.clear();
  max_bytes_ = 0;
  if (batches.empty()) return InvalidArgument("no batches in the request");
  if (batches.size() > kMaxSectionsPerRecord) {
    return InvalidArgument("batch count " + std::to_string(batches.size()) + ": more than 65536");
  }
  size_t max_bytes = kMaxRecordHeaderBytes;
  for (size_t i = 0; i < batches.size(); ++i) {
    BASALT_TRY(CheckBatch(i, batches[i]));
    const size_t begin = columns_.size();
    EncodeColumns(batches[i], ordinals_, columns_);
    Section& section = sections_.emplace_back(Section{begin, columns_.size()});
    FindRuns(batches[i], section);
    max_bytes += kSectionHeaderBytes + (columns_.size() - begin) +
                 ordinals_.size() * kMaxFirstUseBytes + 1 +
                 MaxChangeColumnBytes(batches[i].sample_value.size());
    if (max_bytes > kMaxRecordBytes) {
      return InvalidArgument("request of more than " + std::to_string(kMaxRecordBytes) +
                             " encoded bytes");
    }
  }
  batches_ = batches;
  max_bytes_ = max_bytes;
  return OkStatus();
}

size_t AppendRecord::memory_bytes() const {
  return sections_.capacity() * sizeof(Section) + ordinals_.capacity() * sizeof(uint32_t) +
         runs_.capacity() * sizeof(OrdinalRun) + columns_.capacity();
}

void AppendRecord::Forget() {
  batches_ = {};
  if (memory_bytes() > kKeptRecordBytes) *this = {};
}

// After EncodeColumns, which leaves the batch's ordinals.
void AppendRecord::FindRuns(const IngestBatch& batch, Section& section) {
  section.runs_begin = section.runs_end = runs_.size();
  const size_t n = ordinals_.size();
  if (n != batch.series.size() || !IsOnePerSeries(batch)) return;
  for (size_t i = 0; i < n;) {
    if (runs_.size() - section.runs_begin > n / kMinSamplesPerRun) {
      runs_.resize(section.runs_begin);
      return;
    }
    const uint32_t first = ordinals_[i];
    size_t end = i + 1;
    while (end < n && ordinals_[end] > first && ordinals_[end] - first == end - i) ++end;
    runs_.push_back({first, static_cast<uint32_t>(end - i)});
    i = end;
  }
  section.runs_end = runs_.size();
}

void AppendRecord::Finish(uint64_t segment, SegmentSeries& seen, std::string& out,
                          const SeriesFinder* ids) const {
  BASALT_CHECK(!batches_.empty(), "Finish() without a successful Prepare()");
  out += static_cast<char>(RecordKind::kAppend);
  out += static_cast<char>(kRecordVersion);
  AppendVarint(batches_.size(), out);
  for (size_t i = 0; i < batches_.size(); ++i) {
    AppendFixed(static_cast<uint16_t>(batches_[i].partition), out);
    const size_t length_at = out.size();
    AppendFixed(uint32_t{0}, out);
    const Section& section = sections_[i];
    out.append(columns_, section.columns_begin, section.columns_end - section.columns_begin);
    SegmentSeries::Known& known = seen.Use(segment, batches_[i].partition);
    const auto runs =
        std::span(runs_).subspan(section.runs_begin, section.runs_end - section.runs_begin);
    if (!runs.empty() && std::all_of(runs.begin(), runs.end(), [&known](const OrdinalRun& run) {
          return SegmentSeries::AllSeen(known, run.first, run.count);
        })) {
      AppendRuns(batches_[i], runs, known, seen.before_, out);
    } else {
      AppendFirstUses(batches_[i], known, ids, out);
      AppendValues(batches_[i], known, seen.before_, out);
    }
    const auto length = static_cast<uint32_t>(out.size() - length_at - sizeof(uint32_t));
    std::memcpy(out.data() + length_at, &length, sizeof length);
  }
}

// The two functions below, for a section of runs whose series have all been named.
void AppendRecord::AppendRuns(const IngestBatch& batch, std::span<const OrdinalRun> runs,
                              SegmentSeries::Known& known, std::vector<double>& before,
                              std::string& out) {
  out += '\0';
  // A series may stand in two runs: all are told against what was before the batch.
  before.resize(batch.sample_value.size());
  double* to = before.data();
  for (const OrdinalRun& run : runs) to = std::copy_n(&known.last[run.first], run.count, to);
  AppendChangeColumn(batch.sample_value, before, out);
  const double* from = batch.sample_value.data();
  for (const OrdinalRun& run : runs) {
    std::copy_n(from, run.count, &known.last[run.first]);
    from += run.count;
  }
}

void AppendRecord::AppendFirstUses(const IngestBatch& batch, SegmentSeries::Known& known,
                                   const SeriesFinder* ids, std::string& out) {
  const bool ask = batch.ids_from_index && ids != nullptr;
  size_t next = 0;
  for (size_t i = 0; i < batch.series.size(); ++i) {
    const BatchSeries& series = batch.series[i];
    if (series.ordinal == kUnknownOrdinal || !SegmentSeries::FirstUse(known, series.ordinal))
      continue;
    BatchSeries named = series;
    if (ask) ids->FillIds(batch.partition, {&named, 1});
    AppendVarint(i - next + 1, out);
    AppendHash(named.id.hash, out);
    next = i + 1;
  }
  out += '\0';
}

// A series that comes several times in a batch is told against its last value before the batch each
// time: then a column is a function of two columns. FirstUse has made room for every ordinal.
void AppendRecord::AppendValues(const IngestBatch& batch, SegmentSeries::Known& known,
                                std::vector<double>& before, std::string& out) {
  const size_t n = batch.sample_value.size();
  before.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const SeriesOrdinal ordinal = batch.series[batch.sample_series[i]].ordinal;
    before[i] = ordinal == kUnknownOrdinal ? 0 : known.last[static_cast<uint32_t>(ordinal)];
  }
  AppendChangeColumn(batch.sample_value, before, out);
  for (size_t i = 0; i < n; ++i) {
    const SeriesOrdinal ordinal = batch.series[batch.sample_series[i]].ordinal;
    if (ordinal != kUnknownOrdinal)
      known.last[static_cast<uint32_t>(ordinal)] = batch.sample_value[i];
  }
}

Status EncodeDelete(const DeleteRecord& deletion, std::string& out) {
  size_t matchers = 0;
  for (const MatcherSet& set : deletion.any_of)
    matchers += set.size() + 1;  // an empty set counts as well
  if (matchers > kMaxMatchersPerRecord) {
    return InvalidArgument("matcher count " + std::to_string(matchers) + ": more than 65536");
  }
  for (const MatcherSet& set : deletion.any_of) {
    for (const Matcher& matcher : set) {
      if (matcher.name.size() > kMaxStringBytes || matcher.value.size() > kMaxStringBytes) {
        return InvalidArgument("matcher: name or value longer than " +
                               std::to_string(kMaxStringBytes) + " bytes");
      }
    }
  }
  const size_t begin = out.size();
  out += static_cast<char>(RecordKind::kDelete);
  out += static_cast<char>(kRecordVersion);
  AppendVarint(static_cast<uint32_t>(deletion.tenant), out);
  AppendSigned(deletion.range.min_ms, out);
  AppendSigned(deletion.range.max_ms, out);
  AppendVarint(deletion.any_of.size(), out);
  for (const MatcherSet& set : deletion.any_of) {
    AppendVarint(set.size(), out);
    for (const Matcher& matcher : set) {
      out += static_cast<char>(matcher.type);
      AppendString(matcher.name, out);
      AppendString(matcher.value, out);
    }
  }
  if (out.size() - begin <= kMaxRecordBytes) return OkStatus();
  out.resize(begin);
  return InvalidArgument("matchers of more than " + std::to_string(kMaxRecordBytes) +
                         " encoded bytes");
}

Status EncodeOpaque(RecordKind kind, std::string_view payload, std::string& out) {
  BASALT_CHECK(kind == RecordKind::kSlo || kind == RecordKind::kElection ||
               kind == RecordKind::kLimit);
  if (payload.size() > kMaxRecordBytes - 2) {
    return InvalidArgument("payload of " + std::to_string(payload.size()) +
                           " bytes does not fit in a log record");
  }
  out += static_cast<char>(kind);
  out += static_cast<char>(kRecordVersion);
  out += payload;
  return OkStatus();
}

}  // namespace basalt::storage
