#include "engine/ingest/remote_write.h"

#include <protozero/pbf_reader.hpp>
#include <string>

#include "engine/base/hash.h"
#include "engine/ingest/series_labels.h"

namespace basalt::ingest {
namespace {

using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

// Field numbers of prompb.
namespace request {
constexpr uint32_t kTimeseries = 1;
constexpr uint32_t kMetadata = 3;
}  // namespace request
namespace series {
constexpr uint32_t kLabels = 1;
constexpr uint32_t kSamples = 2;
constexpr uint32_t kExemplars = 3;
constexpr uint32_t kHistograms = 4;
}  // namespace series

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

std::string_view View(const data_view& view) { return {view.data(), view.size()}; }

LabelView ReadLabel(pbf_reader message) {
  LabelView label;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kBytes):
        label.name = View(message.get_view());
        break;
      case tag_and_type(2, kBytes):
        label.value = View(message.get_view());
        break;
      default:
        message.skip();
    }
  }
  return label;
}

// A repeated field comes packed or one by one; parsers must take both.
template <typename T, typename GetRange, typename GetOne>
void ReadRepeated(pbf_reader& message, std::vector<T>& out, GetRange get_range, GetOne get_one) {
  if (message.wire_type() == kBytes) {
    for (const auto value : get_range(message)) out.push_back(static_cast<T>(value));
  } else {
    out.push_back(static_cast<T>(get_one(message)));
  }
  if (out.size() > kMaxHistogramBuckets) throw protozero::end_of_buffer_exception();
}

HistogramSpan ReadSpan(pbf_reader message) {
  HistogramSpan span;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        span.offset = message.get_sint32();
        break;
      case tag_and_type(2, kVarint):
        span.length = message.get_uint32();
        break;
      default:
        message.skip();
    }
  }
  return span;
}

void ReadDeltas(pbf_reader& message, std::vector<int64_t>& out) {
  ReadRepeated(
      message, out, [](pbf_reader& m) { return m.get_packed_sint64(); },
      [](pbf_reader& m) { return m.get_sint64(); });
}

void ReadDoubles(pbf_reader& message, std::vector<double>& out) {
  ReadRepeated(
      message, out, [](pbf_reader& m) { return m.get_packed_double(); },
      [](pbf_reader& m) { return m.get_double(); });
}

// `time_ms` is the histogram's timestamp.
NativeHistogram ReadHistogram(pbf_reader message, int64_t& time_ms) {
  NativeHistogram h;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        h.count = message.get_uint64();
        break;
      case tag_and_type(2, kFixed64):
        h.count_float = message.get_double();
        h.is_float = true;
        break;
      case tag_and_type(3, kFixed64):
        h.sum = message.get_double();
        break;
      case tag_and_type(4, kVarint):
        h.schema = message.get_sint32();
        break;
      case tag_and_type(5, kFixed64):
        h.zero_threshold = message.get_double();
        break;
      case tag_and_type(6, kVarint):
        h.zero_count = message.get_uint64();
        break;
      case tag_and_type(7, kFixed64):
        h.zero_count_float = message.get_double();
        break;
      case tag_and_type(8, kBytes):
        h.negative_spans.push_back(ReadSpan(message.get_message()));
        break;
      case tag_and_type(9, kBytes):
      case tag_and_type(9, kVarint):
        ReadDeltas(message, h.negative_deltas);
        break;
      case tag_and_type(10, kBytes):
      case tag_and_type(10, kFixed64):
        ReadDoubles(message, h.negative_counts);
        break;
      case tag_and_type(11, kBytes):
        h.positive_spans.push_back(ReadSpan(message.get_message()));
        break;
      case tag_and_type(12, kBytes):
      case tag_and_type(12, kVarint):
        ReadDeltas(message, h.positive_deltas);
        break;
      case tag_and_type(13, kBytes):
      case tag_and_type(13, kFixed64):
        ReadDoubles(message, h.positive_counts);
        break;
      case tag_and_type(14, kVarint): {
        const int32_t hint = message.get_enum();
        h.reset_hint = hint >= 0 && hint <= 3 ? static_cast<ResetHint>(hint) : ResetHint::kUnknown;
        break;
      }
      case tag_and_type(15, kVarint):
        time_ms = message.get_int64();
        break;
      case tag_and_type(16, kBytes):
      case tag_and_type(16, kFixed64):
        ReadDoubles(message, h.custom_values);
        break;
      default:
        message.skip();
    }
  }
  return h;
}

}  // namespace

// Where in the request we are, for messages; and what to add to.
struct RemoteWriteDecoder::Context {
  storage::BatchBuilder& builder;
  Report& report;
  int64_t latest_ms;
  size_t series_index = 0;

  [[nodiscard]] std::string Where() const {
    return "timeseries[" + std::to_string(series_index) + "]";
  }

  bool TimeFits(int64_t ms, const char* what) {
    if (ms >= kMinSampleMs && ms <= latest_ms) return true;
    report.Reject(Reason::kTimestamp, 1,
                  Where() + "." + what + ".timestamp: " + std::to_string(ms) +
                      (ms < kMinSampleMs ? " ms is before 1970"
                                         : " ms is too far ahead of the server's clock"));
    return false;
  }

  void AddSample(pbf_reader message) {
    double value = 0;
    int64_t ms = 0;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kFixed64):
          value = message.get_double();
          break;
        case tag_and_type(2, kVarint):
          ms = message.get_int64();
          break;
        default:
          message.skip();
      }
    }
    if (!TimeFits(ms, "samples")) return;
    builder.AddSample(ms, value);
    ++report.samples;
  }

  void AddHistogram(pbf_reader message) {
    int64_t ms = 0;
    NativeHistogram histogram = ReadHistogram(message, ms);
    if (!TimeFits(ms, "histograms")) return;
    if (const Status status = ValidateHistogram(histogram); !status.ok()) {
      report.Reject(Reason::kHistogram, 1,
                    Where() + ".histograms: " + std::string(status.message()));
      return;
    }
    builder.AddHistogram(ms, std::move(histogram));
    ++report.histograms;
  }

  void AddExemplar(const Limits& limits, pbf_reader message) {
    std::vector<LabelView> labels;
    double value = 0;
    int64_t ms = 0;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kBytes):
          labels.push_back(ReadLabel(message.get_message()));
          break;
        case tag_and_type(2, kFixed64):
          value = message.get_double();
          break;
        case tag_and_type(3, kVarint):
          ms = message.get_int64();
          break;
        default:
          message.skip();
      }
    }
    if (!TimeFits(ms, "exemplars")) return;
    if (const Status status = NormalizeExemplarLabels(limits, labels); !status.ok()) {
      report.Reject(Reason::kExemplar, 1, Where() + ".exemplars: " + std::string(status.message()));
      return;
    }
    builder.AddExemplar(ms, value, labels);
    ++report.exemplars;
  }

  void AddMetadata(const Limits& limits, size_t index, pbf_reader message) {
    storage::MetadataEntry entry;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kVarint): {
          const int32_t type = message.get_enum();
          entry.type = type >= 0 && type <= 7 ? static_cast<storage::MetricType>(type)
                                              : storage::MetricType::kUnknown;
          break;
        }
        case tag_and_type(2, kBytes):
          entry.metric = message.get_string();
          break;
        case tag_and_type(4, kBytes):
          entry.help = message.get_string();
          break;
        case tag_and_type(5, kBytes):
          entry.unit = message.get_string();
          break;
        default:
          message.skip();
      }
    }
    if (const Status status = CheckMetadata(limits, entry); !status.ok()) {
      report.Reject(Reason::kMetadata, 1,
                    "metadata[" + std::to_string(index) + "]." + std::string(status.message()));
      return;
    }
    builder.AddMetadata(std::move(entry));
    ++report.metadata;
  }

  // The whole series is refused: everything in it counts.
  void RejectSeries(Reason reason, const Status& status, pbf_reader message) {
    uint64_t items = 0;
    while (message.next()) {
      if (message.tag() == series::kSamples || message.tag() == series::kHistograms) ++items;
      message.skip();
    }
    report.Reject(reason, items, Where() + ".labels: " + std::string(status.message()));
  }
};

namespace {

// The label fields of a TimeSeries, end to end. A view into `message` where nothing stands between
// them, as every known sender writes; otherwise they are gathered in `scratch`, so that the
// fingerprint always covers all of them.
std::string_view LabelBytes(std::string_view message, std::string& scratch) {
  pbf_reader reader(message.data(), message.size());
  const char* at = message.data();
  const char* begin = at;
  const char* end = at;
  bool gathered = false;
  while (reader.next()) {
    const bool is_label = reader.tag() == series::kLabels;
    reader.skip();
    const char* const next = reader.data().data();
    if (is_label) {
      if (gathered) {
        scratch.append(at, next);
      } else if (begin == end) {
        begin = at;
      } else if (end != at) {
        scratch.assign(begin, end);
        scratch.append(at, next);
        gathered = true;
      }
      end = next;
    }
    at = next;
  }
  return gathered ? std::string_view(scratch)
                  : std::string_view(begin, static_cast<size_t>(end - begin));
}

}  // namespace

Status RemoteWriteDecoder::Decode(std::string_view message, Timestamp now,
                                  storage::BatchBuilder& builder, Report& report) {
  Context context{builder, report, ToMs(now + limits_.max_ahead)};
  size_t metadata_index = 0;
  try {
    pbf_reader body(message.data(), message.size());
    while (body.next()) {
      switch (body.tag_and_type()) {
        case tag_and_type(request::kTimeseries, kBytes): {
          const std::string_view one = View(body.get_view());
          const Hash128 fingerprint = HashBytes128(LabelBytes(one, scratch_));
          pbf_reader fields(one.data(), one.size());
          if (!builder.SelectKnown(fingerprint)) {
            labels_.clear();
            pbf_reader all(one.data(), one.size());
            while (all.next(series::kLabels, kBytes))
              labels_.push_back(ReadLabel(all.get_message()));
            Reason reason = Reason::kLabels;
            if (const Status status = NormalizeSeriesLabels(limits_, labels_, reason);
                !status.ok()) {
              context.RejectSeries(reason, status, fields);
              ++context.series_index;
              break;
            }
            builder.SelectLabels(fingerprint, labels_);
          }
          while (fields.next()) {
            switch (fields.tag_and_type()) {
              case tag_and_type(series::kSamples, kBytes):
                context.AddSample(fields.get_message());
                break;
              case tag_and_type(series::kExemplars, kBytes):
                context.AddExemplar(limits_, fields.get_message());
                break;
              case tag_and_type(series::kHistograms, kBytes):
                context.AddHistogram(fields.get_message());
                break;
              default:
                fields.skip();
            }
          }
          ++context.series_index;
          break;
        }
        case tag_and_type(request::kMetadata, kBytes):
          context.AddMetadata(limits_, metadata_index++, body.get_message());
          break;
        default:
          body.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return InvalidArgument("remote write 1.0 request: " + context.Where() + ": " + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest
