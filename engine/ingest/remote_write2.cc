#include "engine/ingest/remote_write2.h"

#include <algorithm>
#include <protozero/pbf_reader.hpp>

#include "engine/ingest/acceptor.h"
#include "engine/ingest/series_labels.h"
#include "engine/ingest/wire.h"

namespace basalt::ingest {

using protozero::pbf_reader;
using protozero::tag_and_type;
using wire::kBytes;
using wire::kFixed64;
using wire::kVarint;

namespace {

// Field numbers of the request and of a series.
constexpr uint32_t kSymbols = 4;
constexpr uint32_t kTimeseries = 5;
constexpr uint32_t kLabels = 1;
constexpr uint32_t kSamples = 2;
constexpr uint32_t kHistograms = 3;
constexpr uint32_t kExemplars = 4;
constexpr uint32_t kMetadata = 5;

}  // namespace

// One TimeSeries on its way into the builder.
class RemoteWrite2Decoder::Series {
 public:
  Series(RemoteWrite2Decoder& decoder, const Place& place, Acceptor& accept, TenantId tenant,
         storage::BatchBuilder& builder, Report& report)
      : decoder_(decoder),
        place_(place),
        accept_(accept),
        tenant_(tenant),
        builder_(builder),
        report_(report) {}

  void Decode(pbf_reader message) {
    if (!Select(message)) return;
    bool has_samples = false;
    for (pbf_reader fields = message; fields.next();) {
      switch (fields.tag_and_type()) {
        case tag_and_type(kSamples, kBytes):
          AddSample(fields.get_message());
          has_samples = true;
          break;
        case tag_and_type(kHistograms, kBytes):
          AddHistogram(fields.get_message());
          has_samples = true;
          break;
        case tag_and_type(kExemplars, kBytes):
          AddExemplar(fields.get_message());
          break;
        case tag_and_type(kMetadata, kBytes):
          AddMetadata(fields.get_message());
          break;
        default:
          fields.skip();
      }
    }
    if (!has_samples)
      report_.Reject(Reason::kLabels, 0,
                     [&] { return place_.Text() + ": holds neither samples nor histograms"; });
  }

 private:
  // Pairs of symbols.
  Status ReadLabels(pbf_reader& fields, std::vector<LabelView>& labels) const {
    bool is_value = false;
    for (const uint32_t symbol : fields.get_packed_uint32()) {
      if (symbol >= decoder_.symbols_.size()) {
        return InvalidArgument("symbol " + std::to_string(symbol) + " of " +
                               std::to_string(decoder_.symbols_.size()));
      }
      if (is_value) {
        labels.back().value = decoder_.symbols_[symbol];
      } else {
        labels.push_back({decoder_.symbols_[symbol], {}});
      }
      is_value = !is_value;
    }
    return is_value ? InvalidArgument("an odd number of symbols") : OkStatus();
  }

  bool Select(pbf_reader message) {
    std::vector<LabelView>& labels = decoder_.labels_;
    labels.clear();
    Reason reason = Reason::kLabels;
    Status status;
    for (pbf_reader fields = message; fields.next(kLabels, kBytes) && status.ok();)
      status = ReadLabels(fields, labels);
    if (status.ok()) {
      // The bytes as they were sent: what has been seen before has been checked before.
      decoder_.canonical_.clear();
      AppendCanonical(labels, decoder_.canonical_);
      const Hash128 fingerprint = CanonicalFingerprint(decoder_.canonical_);
      if (builder_.SelectKnown(fingerprint)) return true;
      status = NormalizeSeriesLabels(decoder_.limits_, labels, reason);
      if (status.ok()) {
        builder_.SelectLabels(fingerprint, labels);
        return true;
      }
    }
    uint64_t items = 0;
    while (message.next()) {
      if (message.tag() == kSamples || message.tag() == kHistograms) ++items;
      message.skip();
    }
    report_.Reject(reason, items, [&] {
      return place_.Text() + ".labels_refs: " + std::string(status.message());
    });
    return false;
  }

  void AddSample(pbf_reader message) {
    double value = 0;
    int64_t ms = 0;
    int64_t start_ms = storage::kNoStartMs;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kFixed64):
          value = message.get_double();
          break;
        case tag_and_type(2, kVarint):
          ms = message.get_int64();
          break;
        case tag_and_type(3, kVarint):
          start_ms = message.get_int64();
          break;
        default:
          message.skip();
      }
    }
    accept_.AddSample(place_, ms, value, start_ms);
  }

  void AddHistogram(pbf_reader message) {
    wire::TimedHistogram timed = wire::ReadHistogram(message);
    accept_.AddHistogram(place_, timed.time_ms, std::move(timed.histogram), timed.start_ms);
  }

  void AddExemplar(pbf_reader message) {
    std::vector<LabelView> labels;
    double value = 0;
    int64_t ms = 0;
    Status status;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kBytes):
          status = ReadLabels(message, labels);
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
    if (!status.ok()) {
      return report_.Reject(Reason::kExemplar, 1, [&] {
        return place_.Text() + ".exemplars: " + std::string(status.message());
      });
    }
    accept_.AddExemplar(place_, ms, value, labels);
  }

  // Of the series' metric name; the sender repeats it with every series of the family.
  void AddMetadata(pbf_reader message) {
    storage::MetadataEntry entry;
    uint32_t help = 0;
    uint32_t unit = 0;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kVarint):
          entry.type = wire::ReadMetricType(message.get_enum());
          break;
        case tag_and_type(3, kVarint):
          help = message.get_uint32();
          break;
        case tag_and_type(4, kVarint):
          unit = message.get_uint32();
          break;
        default:
          message.skip();
      }
    }
    if (entry.type == storage::MetricType::kUnknown && help == 0 && unit == 0)
      return;  // nothing was said
    for (const LabelView& label : decoder_.labels_) {
      if (label.name == kMetricName) entry.metric = label.value;
    }
    if (help >= decoder_.symbols_.size() || unit >= decoder_.symbols_.size()) {
      return report_.Reject(Reason::kMetadata, 1, [&] {
        return place_.Text() + ".metadata: symbol " + std::to_string(std::max(help, unit)) +
               " of " + std::to_string(decoder_.symbols_.size());
      });
    }
    entry.help = decoder_.symbols_[help];
    entry.unit = decoder_.symbols_[unit];
    if (!accept_.CheckMetadataEntry(place_, entry)) return;
    if (decoder_.metadata_.IsNews(tenant_, entry)) builder_.AddMetadata(std::move(entry));
  }

  RemoteWrite2Decoder& decoder_;
  const Place place_;
  Acceptor& accept_;
  const TenantId tenant_;
  storage::BatchBuilder& builder_;
  Report& report_;
};

Status RemoteWrite2Decoder::Decode(std::string_view message, Timestamp now,
                                   storage::BatchBuilder& builder, Report& report,
                                   TenantId tenant) {
  metadata_.BeginRequest(now);
  symbols_.clear();
  size_t index = 0;
  try {
    const pbf_reader request(message.data(), message.size());
    for (pbf_reader fields = request; fields.next();) {
      if (fields.tag_and_type() == tag_and_type(kSymbols, kBytes)) {
        symbols_.push_back(wire::View(fields.get_view()));
      } else {
        fields.skip();
      }
    }
    if (!symbols_.empty() && !symbols_[0].empty()) {
      return InvalidArgument("remote write 2.0 request: symbols[0] must be the empty string");
    }
    Acceptor accept(limits_, now, builder, report);
    for (pbf_reader fields = request; fields.next(kTimeseries, kBytes); ++index) {
      Series(*this, {.index = index}, accept, tenant, builder, report).Decode(fields.get_message());
    }
  } catch (const protozero::exception& e) {
    return InvalidArgument("remote write 2.0 request: timeseries[" + std::to_string(index) +
                           "]: " + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest
