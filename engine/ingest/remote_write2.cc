#include "engine/ingest/remote_write2.h"

#include <algorithm>
#include <cstring>
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
using wire::TakeField;
using wire::TakeVarint;

namespace {

// Field numbers of the request and of a series.
constexpr uint32_t kSymbols = 4;
constexpr uint32_t kTimeseries = 5;
constexpr uint32_t kLabels = 1;
constexpr uint32_t kSamples = 2;
constexpr uint32_t kHistograms = 3;
constexpr uint32_t kExemplars = 4;
constexpr uint32_t kMetadata = 5;

// The hash of a list of symbols: the sum of their hashes, each times an odd number of its place.
// The hashes are uniform and independent, so lists that differ agree with a probability of 2^-61 a
// half (what the factors of two places have in common is a small power of two); and the sum costs
// two multiplications a symbol that wait for nothing.
class SymbolsHash {
 public:
  void Add(const Hash128& symbol) {
    sum_.low += symbol.low * factor_;
    sum_.high += symbol.high * factor_;
    factor_ += 0xD1B5'4A32'D192'ED02U;  // even: stays odd
  }
  [[nodiscard]] const Hash128& hash() const { return sum_; }

 private:
  Hash128 sum_;
  uint64_t factor_ = 0x9E37'79B9'7F4A'7C15U;
};

// A TimeSeries whose fields stand as every known sender writes them: one list of labels, then the
// rest. Found by looking at tags and lengths alone.
struct PlainSeries {
  std::string_view labels;  // packed
  std::string_view rest;
};

// False: some field is elsewhere or something else, and protozero is to look at it.
bool TakePlain(std::string_view message, PlainSeries& out) {
  const char* p = message.data();
  const char* const end = p + message.size();
  if (p == end || *p != '\x0A' || !TakeField(p, end, out.labels)) return false;
  out.rest = {p, static_cast<size_t>(end - p)};
  std::string_view field;
  while (p != end) {
    if (*p != '\x12' && *p != '\x1A' && *p != '\x22' && *p != '\x2A') return false;
    if (!TakeField(p, end, field)) return false;
  }
  return true;
}

struct SentSample {
  double value = 0;
  int64_t ms = 0;
  int64_t start_ms = storage::kNoStartMs;
};

// A Sample in the order of its fields; zeros are left out by gogo's marshaller.
bool TakePlainSample(std::string_view message, SentSample& out) {
  const char* p = message.data();
  const char* const end = p + message.size();
  if (end - p >= 9 && *p == '\x09') {
    std::memcpy(&out.value, p + 1, sizeof out.value);  // little-endian, as x86-64 and arm64 are
    p += 9;
  }
  uint64_t v = 0;
  if (p == end || *p++ != '\x10' || !TakeVarint(p, end, v)) return false;
  out.ms = static_cast<int64_t>(v);
  if (p == end) return true;
  if (*p++ != '\x18' || !TakeVarint(p, end, v)) return false;
  out.start_ms = static_cast<int64_t>(v);
  return p == end;
}

SentSample ReadSample(std::string_view field) {
  SentSample sample;
  if (TakePlainSample(field, sample)) return sample;
  sample = {};
  pbf_reader message(field.data(), field.size());
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kFixed64):
        sample.value = message.get_double();
        break;
      case tag_and_type(2, kVarint):
        sample.ms = message.get_int64();
        break;
      case tag_and_type(3, kVarint):
        sample.start_ms = message.get_int64();
        break;
      default:
        message.skip();
    }
  }
  return sample;
}

// Metadata as sent: texts are symbols.
struct SentMetadata {
  uint32_t metric = 0;
  storage::MetricType type = storage::MetricType::kUnknown;
  uint32_t help = 0;
  uint32_t unit = 0;
  friend bool operator==(const SentMetadata&, const SentMetadata&) = default;
};

SentMetadata ReadMetadata(std::string_view field) {
  SentMetadata sent;
  pbf_reader message(field.data(), field.size());
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        sent.type = wire::ReadMetricType(message.get_enum());
        break;
      case tag_and_type(3, kVarint):
        sent.help = message.get_uint32();
        break;
      case tag_and_type(4, kVarint):
        sent.unit = message.get_uint32();
        break;
      default:
        message.skip();
    }
  }
  return sent;
}

}  // namespace

// The series of one request on their way into the builder, one after another.
class RemoteWrite2Decoder::Series {
 public:
  Series(RemoteWrite2Decoder& decoder, Acceptor& accept, TenantId tenant,
         storage::BatchBuilder& builder, Report& report)
      : decoder_(decoder), accept_(accept), tenant_(tenant), builder_(builder), report_(report) {}

  void Decode(size_t index, std::string_view message) {
    place_.index = index;
    PlainSeries plain;
    const bool is_plain = TakePlain(message, plain);
    decoder_.refs_.clear();
    if (is_plain) {
      AddRefs(plain.labels);
    } else {
      plain.rest = message;
      for (pbf_reader fields(message.data(), message.size()); fields.next();) {
        if (fields.tag_and_type() == tag_and_type(kLabels, kBytes)) {
          AddRefs(wire::View(fields.get_view()));
        } else if (fields.tag_and_type() == tag_and_type(kLabels, kVarint)) {
          decoder_.refs_.push_back(fields.get_uint32());
        } else {
          fields.skip();
        }
      }
    }
    if (index == 0) decoder_.first_refs_ = decoder_.refs_;
    if (!Select(message)) return;
    has_samples_ = false;
    if (is_plain) {
      AddPlain(plain.rest);
    } else {
      AddFields(pbf_reader(message.data(), message.size()));
    }
    if (!has_samples_) {
      report_.Reject(Reason::kLabels, 0,
                     [&] { return place_.Text() + ": holds neither samples nor histograms"; });
    }
  }

 private:
  void AddRefs(std::string_view packed) {
    const char* p = packed.data();
    const char* const end = p + packed.size();
    while (p != end) {
      decoder_.refs_.push_back(static_cast<uint32_t>(protozero::decode_varint(&p, end)));
    }
  }

  [[nodiscard]] const Hash128& HashOf(uint32_t symbol) {
    Hash128& hash = decoder_.hashes_[symbol];
    if (hash == Hash128{}) hash = HashBytes128(decoder_.symbols_[symbol]);
    return hash;
  }

  // Pairs of symbols.
  Status ReadLabels(std::span<const uint32_t> refs, std::vector<LabelView>& labels) const {
    for (const uint32_t symbol : refs) {
      if (symbol >= decoder_.symbols_.size()) {
        return InvalidArgument("symbol " + std::to_string(symbol) + " of " +
                               std::to_string(decoder_.symbols_.size()));
      }
    }
    if (refs.size() % 2 != 0) return InvalidArgument("an odd number of symbols");
    for (size_t i = 0; i < refs.size(); i += 2)
      labels.push_back({decoder_.symbols_[refs[i]], decoder_.symbols_[refs[i + 1]]});
    return OkStatus();
  }

  // The labels as they were sent: what has been seen before has been checked before.
  bool Select(std::string_view message) {
    SymbolsHash fingerprint;
    const auto& refs = decoder_.refs_;
    bool sound = refs.size() % 2 == 0;
    for (const uint32_t symbol : refs) {
      if (symbol >= decoder_.symbols_.size()) [[unlikely]] {
        sound = false;
        break;
      }
      fingerprint.Add(HashOf(symbol));
    }
    if (sound && builder_.SelectKnown(fingerprint.hash())) return true;
    std::vector<LabelView>& labels = decoder_.labels_;
    labels.clear();
    Reason reason = Reason::kLabels;
    Status status = ReadLabels(refs, labels);
    DropReplica(decoder_.limits_.ha, labels);
    if (status.ok()) status = NormalizeSeriesLabels(decoder_.limits_, labels, reason);
    if (status.ok()) {
      builder_.SelectLabels(fingerprint.hash(), labels);
      return true;
    }
    uint64_t items = 0;
    for (pbf_reader fields(message.data(), message.size()); fields.next(); fields.skip()) {
      if (fields.tag() == kSamples || fields.tag() == kHistograms) ++items;
    }
    report_.Reject(reason, items, [&] {
      return place_.Text() + ".labels_refs: " + std::string(status.message());
    });
    return false;
  }

  // What TakePlain has gone over.
  void AddPlain(std::string_view rest) {
    const char* p = rest.data();
    const char* const end = p + rest.size();
    while (p != end) {
      const char* const begin = p;
      std::string_view field;
      TakeField(p, end, field);
      if (*begin == '\x12') {
        AddSample(field);
      } else if (*begin == '\x2A') {
        AddMetadata(field);
      } else {
        AddFields(pbf_reader(begin, static_cast<size_t>(p - begin)));
      }
    }
  }

  void AddFields(pbf_reader fields) {
    while (fields.next()) {
      switch (fields.tag_and_type()) {
        case tag_and_type(kSamples, kBytes):
          AddSample(wire::View(fields.get_view()));
          break;
        case tag_and_type(kHistograms, kBytes):
          AddHistogram(fields.get_message());
          break;
        case tag_and_type(kExemplars, kBytes):
          AddExemplar(fields.get_message());
          break;
        case tag_and_type(kMetadata, kBytes):
          AddMetadata(wire::View(fields.get_view()));
          break;
        default:
          fields.skip();
      }
    }
  }

  void AddSample(std::string_view field) {
    const SentSample sample = ReadSample(field);
    accept_.AddSample(place_, sample.ms, sample.value, sample.start_ms);
    has_samples_ = true;
  }

  void AddHistogram(pbf_reader message) {
    wire::TimedHistogram timed = wire::ReadHistogram(message);
    accept_.AddHistogram(place_, timed.time_ms, std::move(timed.histogram), timed.start_ms);
    has_samples_ = true;
  }

  void AddExemplar(pbf_reader message) {
    std::vector<uint32_t> refs;
    double value = 0;
    int64_t ms = 0;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kBytes): {
          for (const uint32_t symbol : message.get_packed_uint32()) refs.push_back(symbol);
          break;
        }
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
    std::vector<LabelView> labels;
    if (const Status status = ReadLabels(refs, labels); !status.ok()) {
      return report_.Reject(Reason::kExemplar, 1, [&] {
        return place_.Text() + ".exemplars: " + std::string(status.message());
      });
    }
    accept_.AddExemplar(place_, ms, value, labels);
  }

  // The symbol of the series' metric name; 0, which is empty, without one.
  [[nodiscard]] uint32_t MetricSymbol() {
    const auto& refs = decoder_.refs_;
    for (size_t i = 0; i < refs.size(); i += 2) {
      if (refs[i] == name_symbol_) return refs[i + 1];
      if (decoder_.symbols_[refs[i]] == kMetricName) {
        name_symbol_ = refs[i];
        return refs[i + 1];
      }
    }
    return 0;
  }

  // Of the series' metric name; the sender repeats it with every series of the family.
  void AddMetadata(std::string_view field) {
    SentMetadata sent = ReadMetadata(field);
    if (sent.type == storage::MetricType::kUnknown && sent.help == 0 && sent.unit == 0)
      return;  // nothing was said
    const auto& symbols = decoder_.symbols_;
    if (sent.help >= symbols.size() || sent.unit >= symbols.size()) {
      return report_.Reject(Reason::kMetadata, 1, [&] {
        return place_.Text() + ".metadata: symbol " +
               std::to_string(std::max(sent.help, sent.unit)) + " of " +
               std::to_string(symbols.size());
      });
    }
    sent.metric = MetricSymbol();
    SymbolsHash fingerprint;
    if (sent != known_metadata_) {
      for (const uint32_t symbol : {sent.metric, sent.help, sent.unit})
        fingerprint.Add(HashOf(symbol));
      fingerprint.Add({0, static_cast<uint64_t>(sent.type)});
    }
    if (sent == known_metadata_ || decoder_.metadata_.WasPassedOn(tenant_, fingerprint.hash())) {
      known_metadata_ = sent;
      ++report_.metadata;
      return;
    }
    storage::MetadataEntry entry{.metric = std::string(symbols[sent.metric]),
                                 .type = sent.type,
                                 .unit = std::string(symbols[sent.unit]),
                                 .help = std::string(symbols[sent.help])};
    if (!accept_.CheckMetadataEntry(place_, entry)) return;
    known_metadata_ = sent;
    decoder_.metadata_.PassOn(tenant_, fingerprint.hash());
    builder_.AddMetadata(std::move(entry));
  }

  RemoteWrite2Decoder& decoder_;
  Place place_;
  Acceptor& accept_;
  const TenantId tenant_;
  storage::BatchBuilder& builder_;
  Report& report_;
  bool has_samples_ = false;
  uint32_t name_symbol_ = 0;     // of "__name__", once it was met; 0 is the empty string
  SentMetadata known_metadata_;  // the last that was passed on before
};

bool RemoteWrite2Decoder::FirstLabels(std::vector<LabelView>& labels) const {
  labels.clear();
  for (size_t i = 0; i + 1 < first_refs_.size(); i += 2) {
    if (std::max(first_refs_[i], first_refs_[i + 1]) >= symbols_.size()) return false;
    labels.push_back({symbols_[first_refs_[i]], symbols_[first_refs_[i + 1]]});
  }
  return !labels.empty();
}

Status RemoteWrite2Decoder::Decode(std::string_view message, Timestamp now,
                                   storage::BatchBuilder& builder, Report& report,
                                   TenantId tenant) {
  metadata_.BeginRequest(now);
  symbols_.clear();
  first_refs_.clear();
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
    hashes_.assign(symbols_.size(), Hash128{});
    Acceptor accept(limits_, now, builder, report);
    Series series(*this, accept, tenant, builder, report);
    for (pbf_reader fields = request; fields.next(kTimeseries, kBytes); ++index)
      series.Decode(index, wire::View(fields.get_view()));
  } catch (const protozero::exception& e) {
    return InvalidArgument("remote write 2.0 request: timeseries[" + std::to_string(index) +
                           "]: " + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest
