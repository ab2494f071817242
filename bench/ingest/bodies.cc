#include "bench/ingest/bodies.h"

#include <bit>
#include <random>

#include "engine/base/compress.h"
#include "engine/base/status.h"
#include "engine/base/varint.h"

namespace basalt::bench {
namespace {

void AppendBytesField(char tag, std::string_view bytes, std::string& out) {
  out += tag;
  AppendVarint(bytes.size(), out);
  out += bytes;
}

// TimeSeries{labels, one sample}, as gogo's marshaller writes it: fields that are zero are left
// out.
void AppendSeries(const Labels& labels, int64_t ms, double value, std::string& out) {
  std::string series;
  std::string field;
  for (const Label& label : labels) {
    field.clear();
    AppendBytesField('\x0A', label.name, field);
    AppendBytesField('\x12', label.value, field);
    AppendBytesField('\x0A', field, series);
  }
  field.clear();
  if (const auto bits = std::bit_cast<uint64_t>(value); bits != 0) {
    field += '\x09';
    for (int i = 0; i < 8; ++i) field += static_cast<char>(bits >> 8 * i);
  }
  field += '\x10';
  AppendVarint(static_cast<uint64_t>(ms), field);
  AppendBytesField('\x12', field, series);
  AppendBytesField('\x0A', series, out);
}

// One queue of the sender.
struct Shard {
  std::string message;
  size_t samples = 0;
};

void Send(Shard& shard, std::vector<Body>& out) {
  if (shard.samples == 0) return;
  Body body{.packed = {}, .bytes = shard.message.size(), .samples = shard.samples};
  BASALT_CHECK(Compress(ContentCoding::kSnappy, shard.message, body.packed).ok());
  out.push_back(std::move(body));
  shard = Shard();
}

}  // namespace

std::vector<Body> MakeBodies(const ExporterFleet& fleet, size_t scrape, size_t shards) {
  std::mt19937_64 random(scrape + 1);
  std::vector<Body> out;
  std::vector<Shard> queues(shards);
  const size_t targets = fleet.targets().size();
  for (size_t t = 0; t < targets; ++t) {
    const auto& target = fleet.targets()[t];
    const int64_t offset =
        kScrapeIntervalMs * static_cast<int64_t>(t) / static_cast<int64_t>(targets);
    const int64_t ms = kFirstScrapeMs + static_cast<int64_t>(scrape) * kScrapeIntervalMs + offset +
                       static_cast<int64_t>(random() % 3);
    for (size_t i = 0; i < target.count; ++i) {
      Shard& shard = queues[i % shards];
      // Each host is elsewhere in the recording.
      const double value = ValueOf(target.exporter->rows[i], scrape + t);
      AppendSeries(ExporterFleet::LabelsOf(target, i), ms, value, shard.message);
      if (++shard.samples == kSamplesPerRequest) Send(shard, out);
    }
  }
  for (Shard& shard : queues) Send(shard, out);
  return out;
}

}  // namespace basalt::bench
