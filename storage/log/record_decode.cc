#include <algorithm>
#include <span>
#include <string>

#include "engine/base/varint.h"
#include "storage/log/change_column.h"
#include "storage/log/columns.h"
#include "storage/log/record.h"
#include "storage/log/record_layout.h"

namespace basalt::storage {
namespace {

Status Bad(std::string_view field) {
  std::string text = "log record: ";
  text += field;
  return DataLoss(std::move(text));
}

// A count is checked against its bound before anything is sized by it.
bool ReadCount(VarintReader& in, size_t limit, size_t& count) {
  uint64_t v = 0;
  if (!in.Read(v) || v > limit) return false;
  count = v;
  return true;
}
bool ReadByte(VarintReader& in, uint8_t& v) {
  std::string_view byte;
  if (!in.ReadBytes(1, byte)) return false;
  v = static_cast<uint8_t>(byte[0]);
  return true;
}
bool ReadText(VarintReader& in, std::string& text) {
  std::string_view view;
  if (!in.ReadString(view) || view.size() > kMaxStringBytes) return false;
  text.assign(view);
  return true;
}
bool ReadHash(VarintReader& in, Hash128& hash) {
  std::string_view bytes;
  if (!in.ReadBytes(kIdBytes, bytes)) return false;
  hash = LoadHash(bytes);
  return true;
}
// The gap to the next listed series: sets `listed` false at the end of the list.
bool ReadListed(VarintReader& in, size_t count, size_t& next, bool& listed, size_t& index) {
  uint64_t gap = 0;
  if (!in.Read(gap)) return false;
  listed = gap != 0;
  if (!listed) return true;
  if (gap > count - next) return false;
  index = next + gap - 1;
  next = index + 1;
  return true;
}

Status ReadNewSeries(VarintReader& in, IngestBatch& batch) {
  size_t next = 0;
  size_t previous_offset = 0;
  size_t previous_bytes = 0;
  for (;;) {
    bool listed = false;
    size_t index = 0;
    if (!ReadListed(in, batch.series.size(), next, listed, index))
      return Bad("new series: place in the table");
    if (!listed) return OkStatus();
    BatchSeries& series = batch.series[index];
    uint64_t prefix = 0;
    uint64_t suffix = 0;
    std::string_view middle;
    if (!ReadHash(in, series.id.hash) || !in.Read(prefix) || !in.Read(suffix) ||
        !in.ReadString(middle)) {
      return Bad("new series: truncated");
    }
    if (prefix > previous_bytes || suffix > previous_bytes - prefix)
      return Bad("new series: shared label bytes");
    const size_t bytes = prefix + middle.size() + suffix;
    if (bytes == 0 || bytes > kMaxLabelBytesPerSeries)
      return Bad("new series: length of its labels");
    const size_t offset = batch.labels.size();
    if (offset + bytes > kMaxLabelBytesPerSection) return Bad("new series: too many label bytes");
    // Copies out of the string that grows, so by position.
    batch.labels.append(batch.labels, previous_offset, prefix);
    batch.labels.append(middle);
    batch.labels.append(batch.labels, previous_offset + previous_bytes - suffix, suffix);
    series.labels_offset = static_cast<uint32_t>(offset);
    series.labels_bytes = static_cast<uint32_t>(bytes);
    previous_offset = offset;
    previous_bytes = bytes;
  }
}

Status ReadSeries(VarintReader& in, uint64_t flags, IngestBatch& batch) {
  size_t count = 0;
  if (!ReadCount(in, kMaxSeriesPerSection, count)) return Bad("series count");
  batch.series.assign(count, BatchSeries{});
  if ((flags & kHasNewSeries) != 0) BASALT_TRY(ReadNewSeries(in, batch));
  size_t known = 0;
  for (const BatchSeries& series : batch.series) known += series.labels_bytes == 0 ? 1 : 0;
  std::vector<uint32_t> ordinals(known);
  if (!ReadIntColumn(in, std::span(ordinals))) return Bad("ordinals");
  size_t i = 0;
  for (BatchSeries& series : batch.series) {
    if (series.labels_bytes != 0) continue;
    series.ordinal = static_cast<SeriesOrdinal>(ordinals[i++]);
    if (series.ordinal == kUnknownOrdinal) return Bad("ordinals: one is not a number");
  }
  return OkStatus();
}

Status ReadFirstUses(VarintReader& in, IngestBatch& batch) {
  size_t next = 0;
  for (;;) {
    bool listed = false;
    size_t index = 0;
    if (!ReadListed(in, batch.series.size(), next, listed, index))
      return Bad("first uses: place in the table");
    if (!listed) return OkStatus();
    if (batch.series[index].labels_bytes != 0) return Bad("first uses: names a new series");
    if (!ReadHash(in, batch.series[index].id.hash)) return Bad("first uses: truncated");
  }
}

Status ReadSamples(VarintReader& in, uint64_t flags, IngestBatch& batch) {
  size_t count = 0;
  if (!ReadCount(in, kMaxSamplesPerSection, count)) return Bad("sample count");
  // Values take a bit each at least, which bounds what a short hostile record can make us allocate.
  if (count / 8 > in.remaining()) return Bad("sample count: more than the bytes can hold");
  batch.sample_series.resize(count);
  batch.sample_ms.resize(count);
  batch.sample_value.resize(count);
  batch.sample_start_ms.clear();
  if (!ReadIntColumn(in, std::span(batch.sample_series))) return Bad("samples' series");
  for (const uint32_t series : batch.sample_series) {
    if (series >= batch.series.size()) return Bad("samples' series: not in the table");
  }
  if (!ReadIntColumn(in, std::span(batch.sample_ms))) return Bad("samples' times");
  if ((flags & kHasStartTimes) != 0) {
    batch.sample_start_ms.resize(count);
    if (!ReadIntColumn(in, std::span(batch.sample_start_ms))) return Bad("samples' start times");
  }
  return OkStatus();
}

bool ReadSpans(VarintReader& in, std::vector<HistogramSpan>& spans) {
  size_t count = 0;
  if (!ReadCount(in, kMaxHistogramBuckets, count) || count > in.remaining()) return false;
  spans.resize(count);
  for (HistogramSpan& span : spans) {
    int64_t offset = 0;
    uint64_t length = 0;
    if (!in.ReadSigned(offset) || !in.Read(length)) return false;
    if (offset != static_cast<int32_t>(offset) || length > UINT32_MAX) return false;
    span = {static_cast<int32_t>(offset), static_cast<uint32_t>(length)};
  }
  return true;
}
bool ReadDeltas(VarintReader& in, std::vector<int64_t>& deltas) {
  size_t count = 0;
  if (!ReadCount(in, kMaxHistogramBuckets, count) || count > in.remaining()) return false;
  deltas.resize(count);
  for (int64_t& delta : deltas) {
    if (!in.ReadSigned(delta)) return false;
  }
  return true;
}
bool ReadDoubles(VarintReader& in, std::vector<double>& values) {
  size_t count = 0;
  if (!ReadCount(in, kMaxHistogramBuckets, count) || count / 2 > in.remaining()) return false;
  values.resize(count);
  return ReadValueColumn(in, std::span(values));
}

bool ReadHistogram(VarintReader& in, HistogramSample& sample) {
  NativeHistogram& h = sample.histogram;
  uint64_t flags = 0;
  uint64_t series = 0;
  if (!in.Read(flags) || flags >> kHistogramHintShift > kHistogramHintMask) return false;
  h.is_float = (flags & kHistogramFloat) != 0;
  h.reset_hint = static_cast<ResetHint>(flags >> kHistogramHintShift);
  if (!in.Read(series) || series > UINT32_MAX || !in.ReadSigned(sample.time_ms)) return false;
  sample.series = static_cast<uint32_t>(series);
  sample.start_ms = kNoStartMs;
  if ((flags & kHistogramStart) != 0 && !in.ReadSigned(sample.start_ms)) return false;
  int64_t schema = 0;
  if (!in.ReadSigned(schema) || schema != static_cast<int32_t>(schema)) return false;
  h.schema = static_cast<int32_t>(schema);
  double scalars[4];
  if (!in.Read(h.count) || !in.Read(h.zero_count) || !ReadValueColumn(in, std::span(scalars)))
    return false;
  h.zero_threshold = scalars[0];
  h.sum = scalars[1];
  h.count_float = scalars[2];
  h.zero_count_float = scalars[3];
  return ReadSpans(in, h.positive_spans) && ReadSpans(in, h.negative_spans) &&
         ReadDeltas(in, h.positive_deltas) && ReadDeltas(in, h.negative_deltas) &&
         ReadDoubles(in, h.positive_counts) && ReadDoubles(in, h.negative_counts) &&
         ReadDoubles(in, h.custom_values);
}

Status ReadHistograms(VarintReader& in, IngestBatch& batch) {
  size_t count = 0;
  // A histogram takes well over 16 bytes.
  if (!ReadCount(in, kMaxHistogramsPerSection, count) || count > in.remaining() / 16)
    return Bad("histogram count");
  batch.histograms.resize(count);
  for (HistogramSample& sample : batch.histograms) {
    if (!ReadHistogram(in, sample)) return Bad("histogram");
    if (sample.series >= batch.series.size()) return Bad("histogram's series: not in the table");
  }
  return OkStatus();
}

Status ReadExemplars(VarintReader& in, IngestBatch& batch) {
  size_t count = 0;
  // At least 11 bytes each: series, time, 8 of value, length of the labels.
  if (!ReadCount(in, kMaxExemplarsPerSection, count) || count > in.remaining() / 11)
    return Bad("exemplar count");
  batch.exemplars.resize(count);
  for (ExemplarSample& sample : batch.exemplars) {
    uint64_t series = 0;
    std::string_view value;
    if (!in.Read(series) || series >= batch.series.size())
      return Bad("exemplar's series: not in the table");
    sample.series = static_cast<uint32_t>(series);
    if (!in.ReadSigned(sample.time_ms) || !in.ReadBytes(8, value) || !ReadText(in, sample.labels))
      return Bad("exemplar");
    sample.value = LoadFixed<double>(value.data());
  }
  return OkStatus();
}

Status ReadMetadata(VarintReader& in, IngestBatch& batch) {
  size_t count = 0;
  // At least 4 bytes each: the type and three lengths.
  if (!ReadCount(in, kMaxMetadataPerSection, count) || count > in.remaining() / 4)
    return Bad("metadata count");
  batch.metadata.resize(count);
  for (MetadataEntry& entry : batch.metadata) {
    uint8_t type = 0;
    if (!ReadByte(in, type)) return Bad("metadata's type");
    entry.type = static_cast<MetricType>(type);  // numbers of a later version are kept as they are
    if (!ReadText(in, entry.metric) || !ReadText(in, entry.unit) || !ReadText(in, entry.help))
      return Bad("metadata");
  }
  return OkStatus();
}

constexpr uint8_t kNeverWritten = 3;  // a kind

}  // namespace

Result<RecordKind> KindOf(std::string_view record) {
  if (record.size() < 2) return Bad("shorter than its kind and version");
  const auto kind = static_cast<uint8_t>(record[0]);
  const auto version = static_cast<uint8_t>(record[1]);
  if (kind < static_cast<uint8_t>(RecordKind::kAppend) ||
      kind > static_cast<uint8_t>(RecordKind::kLimit) || kind == kNeverWritten) {
    return Unimplemented("log record: kind " + std::to_string(kind) +
                         " is unknown to this version of Basalt");
  }
  if (version != kRecordVersion) {
    return Unimplemented("log record: version " + std::to_string(version) +
                         " is unknown to this version of Basalt");
  }
  return static_cast<RecordKind>(kind);
}

Result<AppendView> ViewAppend(std::string_view record) {
  BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record));
  if (kind != RecordKind::kAppend) return Bad("not an append");
  VarintReader in(record.substr(2));
  AppendView view;
  size_t count = 0;
  if (!ReadCount(in, kMaxSectionsPerRecord, count) || count == 0 ||
      count > in.remaining() / kSectionHeaderBytes) {
    return Bad("section count");
  }
  view.sections.resize(count);
  for (RecordSection& section : view.sections) {
    std::string_view header;
    if (!in.ReadBytes(kSectionHeaderBytes, header)) return Bad("section header");
    section.partition = static_cast<PartitionId>(LoadFixed<uint16_t>(header.data()));
    if (!in.ReadBytes(LoadFixed<uint32_t>(header.data() + 2), section.bytes))
      return Bad("section's length");
  }
  if (!in.done()) return Bad("bytes after the last section");
  return view;
}

// Puts the values of a section on those before it.
class SectionDecoder {
 public:
  static Status ReadValues(VarintReader& in, SegmentValues& values, IngestBatch& batch) {
    for (const BatchSeries& series : batch.series) {
      const auto ordinal = static_cast<uint32_t>(series.ordinal);
      if (series.ordinal == kUnknownOrdinal || ordinal < values.last_.size()) continue;
      // Before anything is sized by it.
      if (ordinal >= values.series_) return Bad("ordinals: one is of no series");
      values.last_.resize(size_t{ordinal} + 1 + ordinal / 8);
    }
    const size_t n = batch.sample_value.size();
    if (IsOneRun(batch)) {  // a target's scrape: its last values stand in one piece
      const std::span<double> last(&values.last_[static_cast<uint32_t>(batch.series[0].ordinal)],
                                   n);
      if (!ReadChangeColumn(in, last, std::span(batch.sample_value))) return Bad("samples' values");
      std::copy(batch.sample_value.begin(), batch.sample_value.end(), last.begin());
      return OkStatus();
    }
    values.before_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      const SeriesOrdinal ordinal = batch.series[batch.sample_series[i]].ordinal;
      values.before_[i] =
          ordinal == kUnknownOrdinal ? 0 : values.last_[static_cast<uint32_t>(ordinal)];
    }
    if (!ReadChangeColumn(in, values.before_, std::span(batch.sample_value)))
      return Bad("samples' values");
    for (size_t i = 0; i < n; ++i) {
      const SeriesOrdinal ordinal = batch.series[batch.sample_series[i]].ordinal;
      if (ordinal != kUnknownOrdinal)
        values.last_[static_cast<uint32_t>(ordinal)] = batch.sample_value[i];
    }
    return OkStatus();
  }
  // Whether sample i is of series i and ordinals follow each other.
  static bool IsOneRun(const IngestBatch& batch) {
    const size_t n = batch.sample_series.size();
    if (n == 0 || batch.series.size() != n || batch.series[0].ordinal == kUnknownOrdinal)
      return false;
    const auto first = static_cast<uint32_t>(batch.series[0].ordinal);
    uint32_t other = 0;
    for (size_t i = 0; i < n; ++i) {
      const auto number = static_cast<uint32_t>(i);
      other |= (batch.sample_series[i] ^ number) |
               (static_cast<uint32_t>(batch.series[i].ordinal) ^ (first + number));
    }
    // An unknown one would be the last to follow the largest.
    return other == 0 && batch.series[n - 1].ordinal != kUnknownOrdinal &&
           first <= static_cast<uint32_t>(batch.series[n - 1].ordinal);
  }
  static Status CheckValues(VarintReader& in, IngestBatch& batch) {
    const std::vector<double> before(batch.sample_value.size());
    return ReadChangeColumn(in, before, std::span(batch.sample_value)) ? OkStatus()
                                                                       : Bad("samples' values");
  }
};

Status DecodeSection(const RecordSection& section, IngestBatch& batch, SegmentValues* values) {
  VarintReader in(section.bytes);
  batch.partition = section.partition;
  batch.writer = {};
  batch.labels.clear();
  batch.histograms.clear();
  batch.exemplars.clear();
  batch.metadata.clear();
  uint64_t tenant = 0;
  uint64_t flags = 0;
  if (!in.Read(tenant) || tenant > UINT32_MAX) return Bad("tenant");
  batch.tenant = static_cast<TenantId>(tenant);
  if (!in.Read(flags) || flags > kAllSectionFlags) return Bad("flags");
  if ((flags & kHasWriter) != 0 &&
      (!ReadHash(in, batch.writer.writer) || !in.Read(batch.writer.seq))) {
    return Bad("writer");
  }
  BASALT_TRY(ReadSeries(in, flags, batch));
  BASALT_TRY(ReadSamples(in, flags, batch));
  if ((flags & kHasHistograms) != 0) BASALT_TRY(ReadHistograms(in, batch));
  if ((flags & kHasExemplars) != 0) BASALT_TRY(ReadExemplars(in, batch));
  if ((flags & kHasMetadata) != 0) BASALT_TRY(ReadMetadata(in, batch));
  BASALT_TRY(ReadFirstUses(in, batch));
  BASALT_TRY(values != nullptr ? SectionDecoder::ReadValues(in, *values, batch)
                               : SectionDecoder::CheckValues(in, batch));
  return in.done() ? OkStatus() : Bad("bytes after the section");
}

Result<DeleteRecord> DecodeDelete(std::string_view record) {
  BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record));
  if (kind != RecordKind::kDelete) return Bad("not a delete");
  VarintReader in(record.substr(2));
  DeleteRecord deletion;
  uint64_t tenant = 0;
  if (!in.Read(tenant) || tenant > UINT32_MAX) return Bad("delete: tenant");
  deletion.tenant = static_cast<TenantId>(tenant);
  if (!in.ReadSigned(deletion.range.min_ms) || !in.ReadSigned(deletion.range.max_ms))
    return Bad("delete: range");
  size_t sets = 0;
  if (!ReadCount(in, kMaxMatchersPerRecord, sets) || sets > in.remaining())
    return Bad("delete: matcher sets");
  size_t matchers = sets;
  deletion.any_of.resize(sets);
  for (MatcherSet& set : deletion.any_of) {
    size_t count = 0;
    if (!ReadCount(in, kMaxMatchersPerRecord - matchers, count) || count > in.remaining())
      return Bad("delete: matchers");
    matchers += count;
    set.resize(count);
    for (Matcher& matcher : set) {
      uint8_t type = 0;
      if (!ReadByte(in, type) || type > static_cast<uint8_t>(MatchType::kNotRegex))
        return Bad("delete: matcher's type");
      matcher.type = static_cast<MatchType>(type);
      if (!ReadText(in, matcher.name) || !ReadText(in, matcher.value))
        return Bad("delete: matcher's text");
    }
  }
  if (!in.done()) return Bad("bytes after the delete");
  return deletion;
}

Result<std::string_view> DecodeOpaque(std::string_view record) {
  BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record));
  if (kind == RecordKind::kAppend || kind == RecordKind::kDelete)
    return Bad("not a record with a payload of its owner's");
  return record.substr(2);
}

}  // namespace basalt::storage
