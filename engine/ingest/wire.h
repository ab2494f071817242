// engine/ingest/wire.h -- pieces of Prometheus' protobuf that remote write 1.0 and 2.0 share.
// Private to this folder: the only header that sees protozero.
#pragma once

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

// {1 offset, 2 length}, in both.
HistogramSpan ReadSpan(protozero::pbf_reader message);
// Unknown numbers become kUnknown: a newer sender is not refused for them.
ResetHint ReadResetHint(int32_t hint);
storage::MetricType ReadMetricType(int32_t type);

}  // namespace basalt::ingest::wire
