#include "engine/ingest/remote_write.h"

#include <cstring>
#include <protozero/pbf_reader.hpp>
#include <string>

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
using wire::TakeField;
using wire::TakeVarint;
using wire::View;

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

// A TimeSeries whose fields stand as every known sender writes them: labels first, then samples,
// exemplars and histograms. Found by looking at tags and lengths alone.
struct PlainSeries {
  std::string_view labels;
  std::string_view rest;
};

// False: some field is elsewhere or something else, and protozero is to look at it.
bool TakePlain(std::string_view message, PlainSeries& out) {
  const char* p = message.data();
  const char* const end = p + message.size();
  std::string_view field;
  while (p != end && *p == '\x0A') {
    if (!TakeField(p, end, field)) return false;
  }
  out.labels = {message.data(), static_cast<size_t>(p - message.data())};
  out.rest = {p, static_cast<size_t>(end - p)};
  while (p != end) {
    if (*p != '\x12' && *p != '\x1A' && *p != '\x22') return false;
    if (!TakeField(p, end, field)) return false;
  }
  return true;
}

// A Sample in the order of its fields; a value of zero is left out by gogo's marshaller.
bool TakePlainSample(std::string_view message, double& value, int64_t& ms) {
  const char* p = message.data();
  const char* const end = p + message.size();
  value = 0;
  if (end - p >= 9 && *p == '\x09') {
    std::memcpy(&value, p + 1, sizeof value);  // little-endian, as x86-64 and arm64 are
    p += 9;
  }
  if (end - p < 2 || *p++ != '\x10') return false;
  uint64_t v = 0;
  if (!TakeVarint(p, end, v)) return false;
  ms = static_cast<int64_t>(v);
  return p == end;
}

}  // namespace

// One request on its way into the builder.
struct RemoteWriteDecoder::Context {
  Acceptor accept;
  storage::BatchBuilder& builder;
  Report& report;
  Place place;  // the series that is being decoded

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
    accept.AddSample(place, ms, value);
  }

  // What TakePlain has gone over.
  void AddPlain(std::string_view rest) {
    const char* p = rest.data();
    const char* const end = p + rest.size();
    while (p != end) {
      const char* const begin = p;
      std::string_view field;
      double value = 0;
      int64_t ms = 0;
      TakeField(p, end, field);
      if (*begin == '\x12' && TakePlainSample(field, value, ms)) {
        accept.AddSample(place, ms, value);
      } else {
        AddFields(pbf_reader(begin, static_cast<size_t>(p - begin)));
      }
    }
  }

  void AddFields(pbf_reader fields) {
    while (fields.next()) {
      switch (fields.tag_and_type()) {
        case tag_and_type(series::kSamples, kBytes):
          AddSample(fields.get_message());
          break;
        case tag_and_type(series::kExemplars, kBytes):
          AddExemplar(fields.get_message());
          break;
        case tag_and_type(series::kHistograms, kBytes):
          AddHistogram(fields.get_message());
          break;
        default:
          fields.skip();
      }
    }
  }

  void AddHistogram(pbf_reader message) {
    wire::TimedHistogram timed = wire::ReadHistogram(message);
    accept.AddHistogram(place, timed.time_ms, std::move(timed.histogram));
  }

  void AddExemplar(pbf_reader message) {
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
    accept.AddExemplar(place, ms, value, labels);
  }

  void AddMetadata(uint64_t index, pbf_reader message) {
    storage::MetadataEntry entry;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kVarint):
          entry.type = wire::ReadMetricType(message.get_enum());
          break;
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
    if (accept.CheckMetadataEntry({.list = "metadata", .index = index}, entry))
      builder.AddMetadata(std::move(entry));
  }

  // The whole series is refused: everything in it counts.
  void RejectSeries(Reason reason, const Status& status, pbf_reader message) {
    uint64_t items = 0;
    while (message.next()) {
      if (message.tag() == series::kSamples || message.tag() == series::kHistograms) ++items;
      message.skip();
    }
    report.Reject(reason, items,
                  [&] { return place.Text() + ".labels: " + std::string(status.message()); });
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

void RemoteWriteDecoder::DecodeSeries(std::string_view message, Context& context) {
  PlainSeries plain;
  const bool is_plain = TakePlain(message, plain);
  const Hash128 fingerprint = HashBytes128(is_plain ? plain.labels : LabelBytes(message, scratch_));
  if (!context.builder.SelectKnown(fingerprint)) {
    labels_.clear();
    pbf_reader all(message.data(), message.size());
    while (all.next(series::kLabels, kBytes)) labels_.push_back(ReadLabel(all.get_message()));
    DropReplica(limits_.ha, labels_);
    Reason reason = Reason::kLabels;
    if (const Status status = NormalizeSeriesLabels(limits_, labels_, reason); !status.ok()) {
      return context.RejectSeries(reason, status, pbf_reader(message.data(), message.size()));
    }
    context.builder.SelectLabels(fingerprint, labels_);
  }
  if (is_plain) return context.AddPlain(plain.rest);
  context.AddFields(pbf_reader(message.data(), message.size()));
}

bool RemoteWriteDecoder::FirstLabels(std::vector<LabelView>& labels) const {
  labels.clear();
  pbf_reader all(first_series_.data(), first_series_.size());
  while (all.next(series::kLabels, kBytes)) labels.push_back(ReadLabel(all.get_message()));
  return !labels.empty();
}

Status RemoteWriteDecoder::Decode(std::string_view message, Timestamp now,
                                  storage::BatchBuilder& builder, Report& report) {
  Context context{Acceptor(limits_, now, builder, report), builder, report, {}};
  uint64_t metadata_index = 0;
  first_series_ = {};
  try {
    pbf_reader body(message.data(), message.size());
    while (body.next()) {
      switch (body.tag_and_type()) {
        case tag_and_type(request::kTimeseries, kBytes): {
          const std::string_view one = View(body.get_view());
          if (context.place.index == 0) first_series_ = one;
          DecodeSeries(one, context);
          ++context.place.index;
          break;
        }
        case tag_and_type(request::kMetadata, kBytes):
          context.AddMetadata(metadata_index++, body.get_message());
          break;
        default:
          body.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return InvalidArgument("remote write 1.0 request: " + context.place.Text() + ": " + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest
