#include "engine/ingest/native_format.h"

#include <algorithm>
#include <protozero/pbf_writer.hpp>
#include <unordered_map>
#include <utility>

#include "engine/base/compress.h"
#include "engine/base/hash.h"
#include "engine/base/little_endian.h"
#include "engine/ingest/push_decoder.h"

namespace basalt::ingest {
namespace {

using protozero::pbf_writer;

// Field numbers of PushRequest.
constexpr uint32_t kSymbols = 3;
constexpr uint32_t kSeries = 4;
constexpr uint32_t kSamples = 5;
constexpr uint32_t kHistograms = 6;
constexpr uint32_t kExemplars = 7;
constexpr uint32_t kMetadata = 8;

uint32_t ChecksumOf(std::string_view bytes) { return Crc32c(std::as_bytes(std::span(bytes))); }

void WriteSpans(uint32_t field, const std::vector<HistogramSpan>& spans, pbf_writer& out) {
  for (const HistogramSpan& span : spans) {
    pbf_writer one(out, field);
    one.add_sint32(1, span.offset);
    one.add_uint32(2, span.length);
  }
}

template <typename T, typename Add>
void WritePacked(const std::vector<T>& values, Add add) {
  if (!values.empty()) add(values.begin(), values.end());
}

void WriteHistogram(uint32_t ref, const storage::HistogramPoint& point, pbf_writer out) {
  const NativeHistogram& h = point.histogram;
  out.add_uint32(1, ref);
  out.add_sint64(2, point.time_ms);
  if (point.start_ms != storage::kNoStartMs) out.add_sint64(3, point.start_ms);
  out.add_bool(4, h.is_float);
  out.add_uint64(5, h.count);
  out.add_double(6, h.count_float);
  out.add_double(7, h.sum);
  out.add_sint32(8, h.schema);
  out.add_double(9, h.zero_threshold);
  out.add_uint64(10, h.zero_count);
  out.add_double(11, h.zero_count_float);
  WriteSpans(12, h.positive_spans, out);
  WritePacked(h.positive_deltas, [&](auto b, auto e) { out.add_packed_sint64(13, b, e); });
  WritePacked(h.positive_counts, [&](auto b, auto e) { out.add_packed_double(14, b, e); });
  WriteSpans(15, h.negative_spans, out);
  WritePacked(h.negative_deltas, [&](auto b, auto e) { out.add_packed_sint64(16, b, e); });
  WritePacked(h.negative_counts, [&](auto b, auto e) { out.add_packed_double(17, b, e); });
  WritePacked(h.custom_values, [&](auto b, auto e) { out.add_packed_double(18, b, e); });
  out.add_enum(19, static_cast<int32_t>(h.reset_hint));
}

}  // namespace

struct NativeEncoder::Message {
  std::string symbols;  // fields
  std::string rest;     // fields
  std::unordered_map<std::string, uint32_t, StringHash, StringEq> numbers;
  uint32_t series = 0;

  uint32_t Symbol(std::string_view text) {
    if (const auto found = numbers.find(text); found != numbers.end()) return found->second;
    const auto number = static_cast<uint32_t>(numbers.size());
    numbers.emplace(text, number);
    pbf_writer(symbols).add_string(kSymbols, text.data(), text.size());
    return number;
  }
  // Metadata takes 0 for "none".
  void Begin() { Symbol(""); }
  [[nodiscard]] size_t bytes() const { return symbols.size() + rest.size(); }
};

NativeEncoder::NativeEncoder() : message_(std::make_unique<Message>()) { message_->Begin(); }
NativeEncoder::~NativeEncoder() = default;

uint32_t NativeEncoder::Define(std::span<const LabelView> labels) {
  std::vector<uint32_t> refs;
  for (const LabelView& label : labels) {
    refs.push_back(message_->Symbol(label.name));
    refs.push_back(message_->Symbol(label.value));
  }
  pbf_writer rest(message_->rest);
  pbf_writer series(rest, kSeries);
  series.add_uint32(1, message_->series);
  series.add_packed_uint32(2, refs.begin(), refs.end());
  return message_->series++;
}

Status NativeEncoder::FinishIfFull(std::string& out) {
  return message_->bytes() < kSectionTargetBytes ? OkStatus() : Finish(out);
}

Status NativeEncoder::AddSeries(std::span<const LabelView> labels,
                                const storage::SeriesColumns& columns, std::string& out) {
  for (size_t begin = 0; begin < columns.time_ms.size(); begin += kMaxSamplesPerSectionPart) {
    const size_t n = std::min(kMaxSamplesPerSectionPart, columns.time_ms.size() - begin);
    const std::span<const int64_t> times = columns.time_ms.subspan(begin, n);
    const uint32_t ref = Define(labels);
    {
      pbf_writer rest(message_->rest);
      pbf_writer block(rest, kSamples);
      block.add_uint32(1, ref);
      std::vector<int64_t> deltas(n - 1);
      for (size_t i = 1; i < n; ++i) deltas[i - 1] = times[i] - times[i - 1];
      if (n > 1) {
        const std::vector<int32_t> same(n - 1, 0);
        block.add_packed_sint32(2, same.begin(), same.end());
      }
      block.add_sint64(3, times[0]);
      if (n > 1) block.add_packed_sint64(4, deltas.begin(), deltas.end());
      block.add_bytes(5, reinterpret_cast<const char*>(columns.values.data() + begin),
                      n * sizeof(double));
      if (!columns.start_ms.empty()) {
        std::vector<uint64_t> before(n);
        for (size_t i = 0; i < n; ++i) {
          const int64_t start = columns.start_ms[begin + i];
          if (start != storage::kNoStartMs && start < times[i])
            before[i] = static_cast<uint64_t>(times[i] - start);
        }
        block.add_packed_uint64(6, before.begin(), before.end());
      }
    }
    BASALT_TRY(FinishIfFull(out));
  }
  uint32_t ref = 0;
  bool defined = false;
  for (const storage::HistogramPoint& point : columns.histograms) {
    if (!defined) ref = Define(labels);
    defined = true;
    {
      pbf_writer rest(message_->rest);
      WriteHistogram(ref, point, pbf_writer(rest, kHistograms));
    }
    if (message_->bytes() < kSectionTargetBytes) continue;
    BASALT_TRY(Finish(out));
    defined = false;
  }
  return OkStatus();
}

Status NativeEncoder::AddExemplars(std::span<const LabelView> labels,
                                   std::span<const storage::ExemplarPoint> points,
                                   std::string& out) {
  const uint32_t ref = Define(labels);
  for (const storage::ExemplarPoint& point : points) {
    std::vector<uint32_t> refs;
    for (const Label& label : point.labels) {
      refs.push_back(message_->Symbol(label.name));
      refs.push_back(message_->Symbol(label.value));
    }
    pbf_writer rest(message_->rest);
    pbf_writer exemplar(rest, kExemplars);
    exemplar.add_uint32(1, ref);
    exemplar.add_sint64(2, point.time_ms);
    exemplar.add_double(3, point.value);
    exemplar.add_packed_uint32(4, refs.begin(), refs.end());
  }
  return FinishIfFull(out);
}

Status NativeEncoder::AddMetadata(const storage::MetadataEntry& entry, std::string& out) {
  const uint32_t metric = message_->Symbol(entry.metric);
  const uint32_t unit = message_->Symbol(entry.unit);
  const uint32_t help = message_->Symbol(entry.help);
  {
    pbf_writer rest(message_->rest);
    pbf_writer metadata(rest, kMetadata);
    metadata.add_uint32(1, metric);
    metadata.add_enum(2, static_cast<int32_t>(entry.type));
    metadata.add_uint32(3, unit);
    metadata.add_uint32(4, help);
  }
  return FinishIfFull(out);
}

Status NativeEncoder::Finish(std::string& out) {
  if (message_->rest.empty()) return OkStatus();
  const std::string message = message_->symbols + message_->rest;
  message_ = std::make_unique<Message>();
  message_->Begin();
  std::string body;
  BASALT_TRY(Compress(ContentCoding::kZstd, message, body));
  out += kSectionMagic;
  AppendLittleEndian(static_cast<uint32_t>(body.size()), out);
  AppendLittleEndian(static_cast<uint32_t>(message.size()), out);
  AppendLittleEndian(ChecksumOf(body), out);
  out += body;
  return OkStatus();
}

Result<SectionHeader> ReadSectionHeader(std::string_view bytes) {
  if (bytes.size() < kSectionHeaderBytes) return InvalidArgument("its header is cut short");
  if (!bytes.starts_with(kSectionMagic)) return InvalidArgument("it does not begin with BSX1");
  const SectionHeader header{.body_bytes = LoadLittleEndian<uint32_t>(bytes.data() + 4),
                             .message_bytes = LoadLittleEndian<uint32_t>(bytes.data() + 8),
                             .checksum = LoadLittleEndian<uint32_t>(bytes.data() + 12)};
  if (header.body_bytes <= kMaxSectionBodyBytes) return header;
  return InvalidArgument("a body of " + std::to_string(header.body_bytes) + " bytes; at most " +
                         std::to_string(kMaxSectionBodyBytes) + " are possible");
}

Status TakeSection(std::string_view& bytes, size_t max_bytes, std::string& message) {
  BASALT_TRY_ASSIGN(const SectionHeader header, ReadSectionHeader(bytes));
  if (bytes.size() - kSectionHeaderBytes < header.body_bytes) {
    return InvalidArgument("cut short: it has " +
                           std::to_string(bytes.size() - kSectionHeaderBytes) + " of " +
                           std::to_string(header.body_bytes) + " bytes");
  }
  const std::string_view body = bytes.substr(kSectionHeaderBytes, header.body_bytes);
  if (ChecksumOf(body) != header.checksum) return InvalidArgument("its checksum is wrong");
  if (header.message_bytes > max_bytes) {
    return InvalidArgument("its message has " + std::to_string(header.message_bytes) +
                           " bytes where " + std::to_string(max_bytes) +
                           " are left of ingest.max_body; send fewer sections at a time");
  }
  BASALT_TRY(Decompress(ContentCoding::kZstd, body, header.message_bytes, message));
  if (message.size() != header.message_bytes)
    return InvalidArgument("its message has another size");
  bytes.remove_prefix(kSectionHeaderBytes + header.body_bytes);
  return OkStatus();
}

Status NativeDecoder::Decode(std::string_view body, Timestamp now, uint64_t first_section,
                             storage::BatchBuilder& builder, Report& report) {
  size_t left = limits_.max_body_bytes;  // of all messages together
  for (uint64_t section = first_section; !body.empty(); ++section) {
    const auto name = [section] { return "section " + std::to_string(section); };
    BASALT_TRY(TakeSection(body, left, message_).WithContext(name()));
    left -= message_.size();
    PushDecoder decoder(limits_);  // references are the section's own
    BASALT_TRY(decoder.Decode(message_, now, builder, report).status().WithContext(name()));
  }
  return OkStatus();
}

}  // namespace basalt::ingest
