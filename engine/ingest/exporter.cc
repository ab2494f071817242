#include "engine/ingest/exporter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/base/stale.h"

namespace basalt::ingest {
namespace {

template <typename T>
bool TakeNumber(std::string_view& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// ---- JSON

void AppendText(std::string_view text, std::string& out) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

// The shortest digits that read back as the same bits.
void AppendValue(double v, std::string& out) {
  if (IsStaleMarker(v)) {
    out += R"("stale")";
  } else if (std::isnan(v)) {
    out += R"("NaN")";
  } else if (std::isinf(v)) {
    out += v > 0 ? R"("Infinity")" : R"("-Infinity")";
  } else {
    std::array<char, 32> text{};
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), v);
    const std::string_view digits(text.data(), static_cast<size_t>(end - text.data()));
    out += digits;
    // Without a point or an exponent it would be read as an integer, and -0 as 0.
    if (digits == "-0") out += ".0";
  }
}

void AppendMetric(std::span<const LabelView> labels, std::string& out) {
  out += R"({"metric":{)";
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) out += ',';
    AppendText(labels[i].name, out);
    out += ':';
    AppendText(labels[i].value, out);
  }
  out += '}';
}

void AppendLine(std::span<const LabelView> labels, std::span<const int64_t> times,
                std::span<const double> values, size_t histograms, std::string& out) {
  AppendMetric(labels, out);
  out += R"(,"values":[)";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    AppendValue(values[i], out);
  }
  out += R"(],"timestamps":[)";
  for (size_t i = 0; i < times.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(times[i]);
  }
  out += ']';
  if (histograms > 0) out += R"(,"histogramsLeftOut":)" + std::to_string(histograms);
  out += "}\n";
}

}  // namespace

std::string FormatCursor(const ExportCursor& cursor) {
  std::string out = std::to_string(cursor.partition) + "." + std::to_string(cursor.set);
  if (cursor.after != kUnknownOrdinal)
    out += "." + std::to_string(static_cast<uint32_t>(cursor.after));
  return out;
}

Result<ExportCursor> ParseCursor(std::string_view text) {
  const auto bad = [whole = std::string(text)] {
    return InvalidArgument("cursor: \"" + whole + "\" was not made here");
  };
  ExportCursor out;
  if (!TakeNumber(text, out.partition) || !text.starts_with('.')) return bad();
  text.remove_prefix(1);
  if (!TakeNumber(text, out.set)) return bad();
  if (text.empty()) return out;
  uint32_t ordinal = 0;
  text.remove_prefix(1);
  if (!TakeNumber(text, ordinal) || !text.empty()) return bad();
  out.after = SeriesOrdinal{ordinal};
  return out;
}

Result<std::unique_ptr<Exporter>> Exporter::Open(ExportRequest request) {
  const ExportCursor from = request.from;
  if (from.partition > request.snapshot->partition_count() || from.set >= request.any_of.size())
    return InvalidArgument("cursor: " + FormatCursor(from) + " is of another request");
  std::unique_ptr<Exporter> exporter(new Exporter(std::move(request)));
  exporter->at_ = from;
  BASALT_TRY(exporter->OpenSelection());
  return exporter;
}

Exporter::~Exporter() = default;

std::optional<ExportCursor> Exporter::cursor() const {
  if (ended_) return std::nullopt;
  return at_;
}

bool Exporter::WasGiven(SeriesOrdinal ordinal) const {
  return std::binary_search(given_.begin(), given_.end(), ordinal);
}

Status Exporter::OpenSelection() {
  selection_ = nullptr;
  samples_of_ = nullptr;
  if (at_.partition == request_.snapshot->partition_count()) return OkStatus();
  const auto select = [&](uint32_t set) {
    return request_.snapshot->Select(request_.tenant,
                                     PartitionId{static_cast<uint16_t>(at_.partition)},
                                     request_.any_of[set], request_.range, SIZE_MAX);
  };
  given_.clear();
  for (uint32_t set = 0; set < at_.set; ++set) {
    BASALT_TRY_ASSIGN(const auto earlier, select(set));
    for (size_t i = 0; i < earlier->size(); ++i) given_.push_back(earlier->ordinal(i));
  }
  std::sort(given_.begin(), given_.end());
  BASALT_TRY_ASSIGN(selection_, select(at_.set));
  size_t begin = 0;
  if (at_.after != kUnknownOrdinal) {
    while (begin < selection_->size() && selection_->ordinal(begin) != at_.after) ++begin;
    if (begin == selection_->size()) {
      return InvalidArgument("cursor: " + FormatCursor(at_) +
                             ": that series is not among the selected ones (any more)");
    }
    ++begin;
  }
  samples_of_ = selection_->Read(
      begin, selection_->size(),
      {.range = request_.range, .summaries = storage::SummaryUse::kNone, .times_only = false});
  return OkStatus();
}

Status Exporter::AddSeries(const storage::SeriesColumns& columns, std::string& out) {
  labels_.clear();
  selection_->AppendLabels(columns.series, labels_);
  ++series_;
  samples_ += columns.time_ms.size() + columns.histograms.size();
  if (request_.format == ExportFormat::kNative) return encoder_.AddSeries(labels_, columns, out);
  size_t histograms = columns.histograms.size();
  size_t begin = 0;
  do {
    const size_t n = std::min(kMaxSamplesPerLine, columns.time_ms.size() - begin);
    AppendLine(labels_, columns.time_ms.subspan(begin, n), columns.values.subspan(begin, n),
               std::exchange(histograms, 0), out);
    begin += n;
  } while (begin < columns.time_ms.size());
  return OkStatus();
}

Status Exporter::AddRest(std::string& out) {
  if (request_.format != ExportFormat::kNative) return OkStatus();
  BASALT_TRY_ASSIGN(const auto exemplars,
                    request_.snapshot->Exemplars(request_.tenant, request_.any_of, request_.range));
  for (const storage::SeriesExemplars& of : exemplars) {
    labels_.clear();
    for (const Label& label : of.series) labels_.push_back({label.name, label.value});
    BASALT_TRY(encoder_.AddExemplars(labels_, of.exemplars, out));
  }
  BASALT_TRY_ASSIGN(const auto metadata, request_.snapshot->Metadata(request_.tenant, ""));
  for (const storage::MetadataEntry& entry : metadata) BASALT_TRY(encoder_.AddMetadata(entry, out));
  return OkStatus();
}

Result<bool> Exporter::Next(size_t bytes, std::string& out) {
  while (!ended_ && out.size() < bytes) {
    if (samples_of_ == nullptr) {
      BASALT_TRY(AddRest(out));
      ended_ = true;
      break;
    }
    storage::SeriesColumns columns;
    BASALT_TRY_ASSIGN(const bool more, samples_of_->Next(columns));
    if (more) {
      const SeriesOrdinal ordinal = selection_->ordinal(columns.series);
      if (!WasGiven(ordinal)) BASALT_TRY(AddSeries(columns, out));
      at_.after = ordinal;
      continue;
    }
    at_.after = kUnknownOrdinal;
    if (++at_.set == request_.any_of.size()) {
      at_.set = 0;
      ++at_.partition;
    }
    BASALT_TRY(OpenSelection());
  }
  // A piece holds whole sections, so that the cursor tells what it holds.
  BASALT_TRY(encoder_.Finish(out));
  return !ended_;
}

}  // namespace basalt::ingest
