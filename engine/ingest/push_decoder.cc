#include "engine/ingest/push_decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <protozero/pbf_reader.hpp>
#include <span>

#include "engine/base/hash.h"
#include "engine/ingest/acceptor.h"
#include "engine/ingest/series_labels.h"
#include "engine/ingest/wire.h"

namespace basalt::ingest {
namespace {

using protozero::pbf_reader;
using protozero::tag_and_type;
using wire::kBytes;
using wire::kFixed64;
using wire::kVarint;
using wire::View;

uint64_t LoadLittle64(const char* p) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t v = 0;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// An absent packed field, so that loops need no special case.
using SignedRange = protozero::iterator_range<pbf_reader::const_sint64_iterator>;
using Signed32Range = protozero::iterator_range<pbf_reader::const_sint32_iterator>;
using UnsignedRange = protozero::iterator_range<pbf_reader::const_uint64_iterator>;

template <typename T, typename Range>
void AppendBounded(const Range& range, std::vector<T>& out) {
  for (const auto value : range) {
    if (out.size() >= kMaxHistogramBuckets) throw protozero::end_of_buffer_exception();
    out.push_back(value);
  }
}

}  // namespace

// One message on its way into the builder.
class PushDecoder::Message {
 public:
  Message(PushDecoder& decoder, Timestamp now, storage::BatchBuilder& builder, Report& report)
      : decoder_(decoder),
        accept_(decoder.limits_, now, builder, report),
        builder_(builder),
        report_(report) {}

  // Symbols and definitions come first, wherever the encoder put them.
  Status Define(pbf_reader fields, PushHeader& header);
  Status Add(pbf_reader fields);

 private:
  Status DefineSeries(pbf_reader message);
  Status AddSamples(pbf_reader message);
  Status AddHistogram(pbf_reader message);
  Status AddExemplar(pbf_reader message);
  Status AddMetadata(pbf_reader message);
  Status ReadLabels(pbf_reader& message, std::vector<LabelView>& labels);
  Status Symbol(uint32_t index, const char* what, std::string_view& text) const;
  // Selects the series; false, counted in the report, for a reference that was never defined.
  bool Select(uint32_t ref, const char* what);
  // How many series from `ref` on are known and of one partition; at most `limit`.
  [[nodiscard]] size_t KnownRun(uint32_t ref, size_t limit) const;
  // One sample of each of as many references in a row as there are values.
  void AddScrape(uint32_t ref, int64_t ms, std::string_view values);
  static Place At(uint32_t ref) { return {.list = "series", .word = "ref ", .index = ref}; }

  PushDecoder& decoder_;
  Acceptor accept_;
  storage::BatchBuilder& builder_;
  Report& report_;
};

Status PushDecoder::Message::Symbol(uint32_t index, const char* what,
                                    std::string_view& text) const {
  if (index >= decoder_.symbols_.size()) {
    return InvalidArgument(std::string(what) + ": symbol " + std::to_string(index) + " of " +
                           std::to_string(decoder_.symbols_.size()));
  }
  text = decoder_.symbols_[index];
  return OkStatus();
}

Status PushDecoder::Message::ReadLabels(pbf_reader& message, std::vector<LabelView>& labels) {
  bool is_value = false;
  for (const uint32_t index : message.get_packed_uint32()) {
    std::string_view text;
    BASALT_TRY(Symbol(index, "labels", text));
    if (is_value) {
      labels.back().value = text;
    } else {
      labels.push_back({text, {}});
    }
    is_value = !is_value;
  }
  if (is_value) return InvalidArgument("labels: an odd number of symbols");
  return OkStatus();
}

Status PushDecoder::Message::DefineSeries(pbf_reader message) {
  uint32_t ref = 0;
  decoder_.labels_.clear();
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        ref = message.get_uint32();
        break;
      case tag_and_type(2, kBytes):
        BASALT_TRY(ReadLabels(message, decoder_.labels_));
        break;
      default:
        message.skip();
    }
  }
  if (ref >= kMaxReferences) {
    return InvalidArgument("series: ref " + std::to_string(ref) + " is beyond " +
                           std::to_string(kMaxReferences));
  }
  if (ref >= decoder_.references_.size()) {
    decoder_.references_.resize(ref + 1);
    decoder_.ordinals_.resize(ref + 1, kUnknownOrdinal);
    decoder_.partitions_.resize(ref + 1);
  }
  decoder_.ordinals_[ref] = kUnknownOrdinal;
  Reference& reference = decoder_.references_[ref];
  reference = {};
  Reason reason = Reason::kLabels;
  if (const Status status = NormalizeSeriesLabels(decoder_.limits_, decoder_.labels_, reason);
      !status.ok()) {
    // Samples that use it are counted when they come.
    report_.Reject(reason, 0, [&] {
      return "series[ref " + std::to_string(ref) + "].labels: " + std::string(status.message());
    });
    return OkStatus();
  }
  AppendCanonical(decoder_.labels_, reference.labels);
  reference.fingerprint = CanonicalFingerprint(reference.labels);
  reference.defined = true;
  return OkStatus();
}

bool PushDecoder::Message::Select(uint32_t ref, const char* what) {
  if (ref < decoder_.ordinals_.size() && decoder_.ordinals_[ref] != kUnknownOrdinal) {
    builder_.SelectHandle(
        {.partition = decoder_.partitions_[ref], .ordinal = decoder_.ordinals_[ref], .id = {}});
    return true;
  }
  if (ref >= decoder_.references_.size() || !decoder_.references_[ref].defined) {
    report_.Reject(Reason::kReference, 1, [&] {
      return std::string(what) + ": ref " + std::to_string(ref) + " has no valid series";
    });
    return false;
  }
  Reference& reference = decoder_.references_[ref];
  if (builder_.SelectKnown(reference.fingerprint)) {
    const storage::SeriesHandle handle = builder_.selected();
    decoder_.partitions_[ref] = handle.partition;
    decoder_.ordinals_[ref] = handle.ordinal;
    if (handle.ordinal != kUnknownOrdinal) std::string().swap(reference.labels);
    return true;
  }
  // Canonical bytes of our own making: they parse.
  decoder_.labels_ = ParseCanonical(reference.labels).value();
  builder_.SelectLabels(reference.fingerprint, decoder_.labels_);
  return true;
}

size_t PushDecoder::Message::KnownRun(uint32_t ref, size_t limit) const {
  const auto& ordinals = decoder_.ordinals_;
  const auto& partitions = decoder_.partitions_;
  if (ref >= ordinals.size()) return 0;
  const size_t end = std::min(ordinals.size(), ref + limit);
  size_t i = ref;
  while (i < end && ordinals[i] != kUnknownOrdinal && partitions[i] == partitions[ref]) ++i;
  return i - ref;
}

void PushDecoder::Message::AddScrape(uint32_t ref, int64_t ms, std::string_view values) {
  std::vector<double>& column = decoder_.values_;
  column.resize(values.size() / sizeof(double));
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(column.data(), values.data(), values.size());
  for (size_t i = 0; i < column.size();) {
    const uint32_t at = ref + static_cast<uint32_t>(i);
    if (const size_t run = KnownRun(at, column.size() - i); run > 0 && accept_.Accepts(ms)) {
      accept_.AddScrape(decoder_.partitions_[at], std::span(decoder_.ordinals_).subspan(at, run),
                        ms, std::span(column).subspan(i, run));
      i += run;
    } else {
      if (Select(at, "samples")) accept_.AddSample(At(at), ms, column[i]);
      ++i;
    }
  }
}

Status PushDecoder::Message::AddSamples(pbf_reader message) {
  uint32_t ref = 0;
  int64_t ms = 0;
  std::string_view values;
  Signed32Range ref_deltas;
  SignedRange time_deltas;
  UnsignedRange starts;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        ref = message.get_uint32();
        break;
      case tag_and_type(2, kBytes):
        ref_deltas = message.get_packed_sint32();
        break;
      case tag_and_type(3, kVarint):
        ms = message.get_sint64();
        break;
      case tag_and_type(4, kBytes):
        time_deltas = message.get_packed_sint64();
        break;
      case tag_and_type(5, kBytes):
        values = View(message.get_view());
        break;
      case tag_and_type(6, kBytes):
        starts = message.get_packed_uint64();
        break;
      default:
        message.skip();
    }
  }
  if (values.size() % 8 != 0) {
    return InvalidArgument("samples.values: " + std::to_string(values.size()) +
                           " bytes are no whole doubles");
  }
  const size_t n = values.size() / 8;
  const auto expect = [n](const char* name, auto count, size_t wanted) {
    return count == 0 || static_cast<size_t>(count) == wanted
               ? OkStatus()
               : InvalidArgument(std::string("samples.") + name + ": " + std::to_string(count) +
                                 " for " + std::to_string(n) + " values");
  };
  if (n == 0) return OkStatus();
  const bool has_refs = !ref_deltas.empty();
  const bool has_times = !time_deltas.empty();
  const bool has_starts = !starts.empty();
  BASALT_TRY(expect("ref_delta", ref_deltas.size(), n - 1));
  BASALT_TRY(expect("time_delta_ms", time_deltas.size(), n - 1));
  BASALT_TRY(expect("start_before_ms", starts.size(), n));
  if (!has_refs && !has_times && !has_starts) {
    AddScrape(ref, ms, values);
    return OkStatus();
  }
  auto next_ref = ref_deltas.begin();
  auto next_time = time_deltas.begin();
  auto next_start = starts.begin();
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) {
      ref += has_refs ? static_cast<uint32_t>(*next_ref++) : 1U;
      if (has_times)
        ms = static_cast<int64_t>(static_cast<uint64_t>(ms) + static_cast<uint64_t>(*next_time++));
    }
    int64_t start_ms = storage::kNoStartMs;
    if (has_starts) {
      const uint64_t before = *next_start++;
      if (before != 0 && before < static_cast<uint64_t>(std::max<int64_t>(ms, 0))) {
        start_ms = ms - static_cast<int64_t>(before);
      } else if (before != 0) {
        report_.Reject(Reason::kTimestamp, 0, [&] {
          return At(ref).Text() + ".start_before_ms: " + std::to_string(before) +
                 " reaches before 1970; the sample is stored without a start";
        });
      }
    }
    if (!Select(ref, "samples")) continue;
    accept_.AddSample(At(ref), ms, std::bit_cast<double>(LoadLittle64(values.data() + i * 8)),
                      start_ms);
  }
  return OkStatus();
}

Status PushDecoder::Message::AddHistogram(pbf_reader message) {
  uint32_t ref = 0;
  int64_t ms = 0;
  int64_t start_ms = storage::kNoStartMs;
  NativeHistogram h;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        ref = message.get_uint32();
        break;
      case tag_and_type(2, kVarint):
        ms = message.get_sint64();
        break;
      case tag_and_type(3, kVarint):
        start_ms = message.get_sint64();
        break;
      case tag_and_type(4, kVarint):
        h.is_float = wire::ReadBool(message);
        break;
      case tag_and_type(5, kVarint):
        h.count = message.get_uint64();
        break;
      case tag_and_type(6, kFixed64):
        h.count_float = message.get_double();
        break;
      case tag_and_type(7, kFixed64):
        h.sum = message.get_double();
        break;
      case tag_and_type(8, kVarint):
        h.schema = message.get_sint32();
        break;
      case tag_and_type(9, kFixed64):
        h.zero_threshold = message.get_double();
        break;
      case tag_and_type(10, kVarint):
        h.zero_count = message.get_uint64();
        break;
      case tag_and_type(11, kFixed64):
        h.zero_count_float = message.get_double();
        break;
      case tag_and_type(12, kBytes):
        h.positive_spans.push_back(wire::ReadSpan(message.get_message()));
        break;
      case tag_and_type(13, kBytes):
        AppendBounded(message.get_packed_sint64(), h.positive_deltas);
        break;
      case tag_and_type(14, kBytes):
        AppendBounded(message.get_packed_double(), h.positive_counts);
        break;
      case tag_and_type(15, kBytes):
        h.negative_spans.push_back(wire::ReadSpan(message.get_message()));
        break;
      case tag_and_type(16, kBytes):
        AppendBounded(message.get_packed_sint64(), h.negative_deltas);
        break;
      case tag_and_type(17, kBytes):
        AppendBounded(message.get_packed_double(), h.negative_counts);
        break;
      case tag_and_type(18, kBytes):
        AppendBounded(message.get_packed_double(), h.custom_values);
        break;
      case tag_and_type(19, kVarint): {
        h.reset_hint = wire::ReadResetHint(message.get_enum());
        break;
      }
      default:
        message.skip();
    }
  }
  if (Select(ref, "histograms")) accept_.AddHistogram(At(ref), ms, std::move(h), start_ms);
  return OkStatus();
}

Status PushDecoder::Message::AddExemplar(pbf_reader message) {
  uint32_t ref = 0;
  int64_t ms = 0;
  double value = 0;
  std::vector<LabelView> labels;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        ref = message.get_uint32();
        break;
      case tag_and_type(2, kVarint):
        ms = message.get_sint64();
        break;
      case tag_and_type(3, kFixed64):
        value = message.get_double();
        break;
      case tag_and_type(4, kBytes):
        BASALT_TRY(ReadLabels(message, labels));
        break;
      default:
        message.skip();
    }
  }
  if (Select(ref, "exemplars")) accept_.AddExemplar(At(ref), ms, value, labels);
  return OkStatus();
}

Status PushDecoder::Message::AddMetadata(pbf_reader message) {
  storage::MetadataEntry entry;
  uint32_t metric = 0;
  uint32_t unit = 0;
  uint32_t help = 0;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        metric = message.get_uint32();
        break;
      case tag_and_type(2, kVarint): {
        entry.type = wire::ReadMetricType(message.get_enum());
        break;
      }
      case tag_and_type(3, kVarint):
        unit = message.get_uint32();
        break;
      case tag_and_type(4, kVarint):
        help = message.get_uint32();
        break;
      default:
        message.skip();
    }
  }
  std::string_view text;
  BASALT_TRY(Symbol(metric, "metadata.metric", text));
  entry.metric = text;
  if (unit != 0) {
    BASALT_TRY(Symbol(unit, "metadata.unit", text));
    entry.unit = text;
  }
  if (help != 0) {
    BASALT_TRY(Symbol(help, "metadata.help", text));
    entry.help = text;
  }
  if (accept_.CheckMetadataEntry({.list = "metadata", .word = "symbol ", .index = metric}, entry))
    builder_.AddMetadata(std::move(entry));
  return OkStatus();
}

Status PushDecoder::Message::Define(pbf_reader fields, PushHeader& header) {
  decoder_.symbols_.clear();
  pbf_reader first = fields;
  while (first.next()) {
    switch (first.tag_and_type()) {
      case tag_and_type(1, kBytes): {
        header.is_hello = true;
        pbf_reader hello = first.get_message();
        while (hello.next(1, kBytes)) header.writer = View(hello.get_view());
        break;
      }
      case tag_and_type(2, kVarint):
        header.seq = first.get_uint64();
        break;
      case tag_and_type(3, kBytes):
        decoder_.symbols_.push_back(View(first.get_view()));
        break;
      default:
        first.skip();
    }
  }
  while (fields.next(4, kBytes)) BASALT_TRY(DefineSeries(fields.get_message()));
  return OkStatus();
}

Status PushDecoder::Message::Add(pbf_reader fields) {
  while (fields.next()) {
    switch (fields.tag_and_type()) {
      case tag_and_type(5, kBytes):
        BASALT_TRY(AddSamples(fields.get_message()));
        break;
      case tag_and_type(6, kBytes):
        BASALT_TRY(AddHistogram(fields.get_message()));
        break;
      case tag_and_type(7, kBytes):
        BASALT_TRY(AddExemplar(fields.get_message()));
        break;
      case tag_and_type(8, kBytes):
        BASALT_TRY(AddMetadata(fields.get_message()));
        break;
      default:
        fields.skip();
    }
  }
  return OkStatus();
}

Result<PushHeader> PushDecoder::Decode(std::string_view message, Timestamp now,
                                       storage::BatchBuilder& builder, Report& report) {
  PushHeader header;
  try {
    const pbf_reader fields(message.data(), message.size());
    Message one(*this, now, builder, report);
    BASALT_TRY(
        one.Define(fields, header).WithContext("push message " + std::to_string(header.seq)));
    BASALT_TRY(one.Add(fields).WithContext("push message " + std::to_string(header.seq)));
  } catch (const protozero::exception& e) {
    return InvalidArgument("push message " + std::to_string(header.seq) + ": " + e.what());
  }
  return header;
}

}  // namespace basalt::ingest
