#include "engine/ingest/wire.h"

namespace basalt::ingest::wire {
namespace {

using protozero::pbf_reader;
using protozero::tag_and_type;

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

}  // namespace

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

ResetHint ReadResetHint(int32_t hint) {
  return hint >= 0 && hint <= 3 ? static_cast<ResetHint>(hint) : ResetHint::kUnknown;
}

TimedHistogram ReadHistogram(pbf_reader message) {
  TimedHistogram timed;
  NativeHistogram& h = timed.histogram;
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
        h.reset_hint = ReadResetHint(message.get_enum());
        break;
      }
      case tag_and_type(15, kVarint):
        timed.time_ms = message.get_int64();
        break;
      case tag_and_type(16, kBytes):
      case tag_and_type(16, kFixed64):
        ReadDoubles(message, h.custom_values);
        break;
      case tag_and_type(17, kVarint):
        timed.start_ms = message.get_int64();
        break;
      default:
        message.skip();
    }
  }
  return timed;
}

storage::MetricType ReadMetricType(int32_t type) {
  return type >= 0 && type <= 7 ? static_cast<storage::MetricType>(type)
                                : storage::MetricType::kUnknown;
}

}  // namespace basalt::ingest::wire
