// engine/ingest/wire.h -- pieces of Prometheus' protobuf that remote write 1.0 and 2.0 share.
// Private to this folder: the only header that sees protozero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <string_view>

#include "engine/base/histogram.h"
#include "storage/ingest_batch.h"

namespace basalt::ingest::wire {

inline constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;
inline constexpr auto kVarint = protozero::pbf_wire_type::varint;
inline constexpr auto kFixed64 = protozero::pbf_wire_type::fixed64;

inline std::string_view View(const protozero::data_view& view) {
  return {view.data(), view.size()};
}

// A histogram with its times; `start_ms` is 2.0's and stays kNoStartMs in 1.0. Throws protozero's
// exceptions on bytes that do not parse, and on more than kMaxHistogramBuckets buckets.
struct TimedHistogram {
  NativeHistogram histogram;
  int64_t time_ms = 0;
  int64_t start_ms = storage::kNoStartMs;
};
TimedHistogram ReadHistogram(protozero::pbf_reader message);

// Field by field without protozero, for what every known sender writes; `p` moves behind what was
// taken. False, and `p` somewhere: it is written otherwise.

// A bytes field with a one-byte tag and a length of one byte or two.
inline bool TakeField(const char*& p, const char* end, std::string_view& field) {
  if (end - p < 3) return false;
  const char* data = p + 2;
  auto bytes = static_cast<std::ptrdiff_t>(static_cast<unsigned char>(p[1]));
  if (bytes >= 0x80) {
    const auto high = static_cast<unsigned char>(*data++);
    if (high >= 0x80) return false;
    bytes = (bytes & 0x7F) | std::ptrdiff_t{high} << 7;
  }
  if (end - data < bytes) return false;
  field = {data, static_cast<size_t>(bytes)};
  p = data + bytes;
  return true;
}
// A varint of at most nine bytes.
inline bool TakeVarint(const char*& p, const char* end, uint64_t& v) {
  v = 0;
  for (unsigned shift = 0; p != end && shift < 63; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    v |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// A bool. Not protozero's get_bool, which looks at the varint's first byte alone: that lies behind
// the message where a message ends with the tag.
inline bool ReadBool(protozero::pbf_reader& message) { return message.get_uint64() != 0; }

// {1 offset, 2 length}, in both.
HistogramSpan ReadSpan(protozero::pbf_reader message);
// Unknown numbers become kUnknown: a newer sender is not refused for them.
ResetHint ReadResetHint(int32_t hint);
storage::MetricType ReadMetricType(int32_t type);

}  // namespace basalt::ingest::wire
