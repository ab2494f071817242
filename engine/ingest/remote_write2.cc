#include "engine/ingest/remote_write2.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <protozero/pbf_reader.hpp>
#include <span>
#include <utility>

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

// Stands for "no reference here", and for a number that no table of symbols reaches.
constexpr uint32_t kNoRef = 0xFFFF'FFFF;
constexpr uint32_t kWildRef = kNoRef - 1;

// Odd, and without a pattern: factors at equal distances let lists of equal symbols in mirrored
// places cancel out. (SplitMix64, Steele and others 2014.)
constexpr uint64_t ScatteredOdd(uint64_t n) {
  uint64_t z = n * 0x9E37'79B9'7F4A'7C15U;
  z = (z ^ z >> 30) * 0xBF58'476D'1CE4'E5B9U;
  z = (z ^ z >> 27) * 0x94D0'49BB'1331'11EBU;
  return (z ^ z >> 31) | 1;
}
// Of a place in a list, one a half.
constexpr Hash128 FactorsOf(uint64_t place) {
  return {ScatteredOdd(2 * place + 1), ScatteredOdd(2 * place + 2)};
}
constexpr size_t kUsualPlaces = 64;  // 32 labels
constexpr auto kFactors = [] {
  std::array<Hash128, kUsualPlaces> factors;
  for (size_t i = 0; i < kUsualPlaces; ++i) factors[i] = FactorsOf(i);
  return factors;
}();

// The hash of a list of symbols: the sum of their hashes, each half times a factor of its place.
// Two lists agree only if the sums of factors of each symbol do, or hashes happen to make up for
// it: both by chance, in 2^-60 of pairs a half. Being a sum, the hash of a list that differs from
// another in a few places follows from the other's.
class SymbolsHash {
 public:
  // At `place`, counted from 0, where there is nothing.
  void Add(size_t place, const Hash128& symbol) {
    const Hash128 factors = Factors(place);
    sum_.low += symbol.low * factors.low;
    sum_.high += symbol.high * factors.high;
  }
  void Remove(size_t place, const Hash128& symbol) {
    const Hash128 factors = Factors(place);
    sum_.low -= symbol.low * factors.low;
    sum_.high -= symbol.high * factors.high;
  }
  [[nodiscard]] const Hash128& hash() const { return sum_; }

 private:
  static Hash128 Factors(size_t place) {
    return place < kUsualPlaces ? kFactors[place] : FactorsOf(place);
  }
  Hash128 sum_;
};

// A request in the order in which every known sender writes it, its fields one after another, and
// none longer than 16 KiB. False: protozero is to look at it.
bool TakePlainRequest(std::string_view message, std::vector<std::string_view>& symbols,
                      std::vector<std::string_view>& series) {
  const char* p = message.data();
  const char* const end = p + message.size();
  std::string_view field;
  while (p != end) {
    std::vector<std::string_view>* const list = *p == '\x22'   ? &symbols
                                                : *p == '\x2A' ? &series
                                                               : nullptr;
    if (list == nullptr) return false;
    if (end - p == 2 && p[1] == 0) {  // an empty one at the end
      p = end;
      list->push_back({});
    } else if (TakeField(p, end, field)) {
      list->push_back(field);
    } else {
      return false;
    }
  }
  return true;
}

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
      : decoder_(decoder), accept_(accept), tenant_(tenant), builder_(builder), report_(report) {
    decoder_.refs_.assign(decoder_.refs_.size(), kNoRef);
  }

  void Decode(size_t index, std::string_view message) {
    place_.index = index;
    PlainSeries plain;
    const bool is_plain = TakePlain(message, plain);
    count_ = 0;
    if (is_plain) {
      AddRefs(plain.labels);
    } else {
      plain.rest = message;
      for (pbf_reader fields(message.data(), message.size()); fields.next();) {
        if (fields.tag_and_type() == tag_and_type(kLabels, kBytes)) {
          AddRefs(wire::View(fields.get_view()));
        } else if (fields.tag_and_type() == tag_and_type(kLabels, kVarint)) {
          AddRef(fields.get_uint32());
        } else {
          fields.skip();
        }
      }
    }
    EndRefs();
    if (index == 0) decoder_.first_refs_.assign(refs().begin(), refs().end());
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
  // References of the labels of the series in hand. The list of the series before stays until it is
  // overwritten: neighbours differ in a few places, and only these are hashed anew.
  [[nodiscard]] std::span<const uint32_t> refs() const {
    return std::span(decoder_.refs_).first(count_);
  }
  void AddRefs(std::string_view packed) {
    const char* p = packed.data();
    const char* const end = p + packed.size();
    // Each takes a byte at least.
    if (decoder_.refs_.size() - count_ < packed.size())
      decoder_.refs_.resize(count_ + packed.size(), kNoRef);
    const uint32_t* const known = decoder_.refs_.data();
    while (p != end) {
      uint32_t ref = static_cast<unsigned char>(*p);
      if (ref < 0x80) {
        ++p;
      } else if (end - p > 1 && static_cast<unsigned char>(p[1]) < 0x80) {
        ref = (ref & 0x7F) | uint32_t{static_cast<unsigned char>(p[1])} << 7;
        p += 2;
      } else {
        ref = std::min(static_cast<uint32_t>(protozero::decode_varint(&p, end)), kWildRef);
      }
      if (known[count_] != ref) SetRef(count_, ref);
      ++count_;
    }
  }
  void AddRef(uint32_t ref) {
    if (decoder_.refs_.size() == count_) decoder_.refs_.push_back(kNoRef);
    SetRef(count_++, std::min(ref, kWildRef));
  }
  void EndRefs() {
    for (size_t i = count_; i < last_count_; ++i) SetRef(i, kNoRef);
    last_count_ = count_;
  }
  void SetRef(size_t i, uint32_t ref) {
    const uint32_t before = std::exchange(decoder_.refs_[i], ref);
    if (before < decoder_.symbols_.size()) {
      fingerprint_.Remove(i, HashOf(before));
    } else if (before != kNoRef) {
      --wild_;
    }
    if (ref < decoder_.symbols_.size()) {
      fingerprint_.Add(i, HashOf(ref));
    } else if (ref != kNoRef) {
      ++wild_;
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
    const bool sound = count_ % 2 == 0 && wild_ == 0;
    if (sound && builder_.SelectKnown(fingerprint_.hash())) return true;
    std::vector<LabelView>& labels = decoder_.labels_;
    labels.clear();
    Reason reason = Reason::kLabels;
    Status status = ReadLabels(refs(), labels);
    DropReplica(decoder_.limits_.ha, labels);
    if (status.ok()) status = NormalizeSeriesLabels(decoder_.limits_, labels, reason);
    if (status.ok()) {
      builder_.SelectLabels(fingerprint_.hash(), labels);
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
    const std::span<const uint32_t> list = refs();
    for (size_t i = 0; i < list.size(); i += 2) {
      if (list[i] == name_symbol_) return list[i + 1];
      if (decoder_.symbols_[list[i]] == kMetricName) {
        name_symbol_ = list[i];
        return list[i + 1];
      }
    }
    return 0;
  }

  // Of the series' metric name; the sender repeats it with every series of the family.
  void AddMetadata(std::string_view field) {
    if (!known_field_.empty() && field == known_field_ &&
        MetricSymbol() == known_metadata_.metric) {
      ++report_.metadata;
      return;
    }
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
      size_t place = 0;
      for (const uint32_t symbol : {sent.metric, sent.help, sent.unit})
        fingerprint.Add(place++, HashOf(symbol));
      fingerprint.Add(place, {0, static_cast<uint64_t>(sent.type)});
    }
    if (sent == known_metadata_ || decoder_.metadata_.WasPassedOn(tenant_, fingerprint.hash())) {
      known_metadata_ = sent;
      known_field_ = field;
      ++report_.metadata;
      return;
    }
    storage::MetadataEntry entry{.metric = std::string(symbols[sent.metric]),
                                 .type = sent.type,
                                 .unit = std::string(symbols[sent.unit]),
                                 .help = std::string(symbols[sent.help])};
    if (!accept_.CheckMetadataEntry(place_, entry)) return;
    known_metadata_ = sent;
    known_field_ = field;
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
  uint32_t name_symbol_ = 0;      // of "__name__", once it was met; 0 is the empty string
  SentMetadata known_metadata_;   // the last that was passed on before
  std::string_view known_field_;  // as it was sent
  // Of decoder_.refs_: how many are the series' in hand, and how many were of the one before; the
  // others are kNoRef. Their hash, and how many are of no symbol.
  size_t count_ = 0;
  size_t last_count_ = 0;
  SymbolsHash fingerprint_;
  size_t wild_ = 0;
};

bool RemoteWrite2Decoder::FirstLabels(std::vector<LabelView>& labels) const {
  labels.clear();
  for (size_t i = 0; i + 1 < first_refs_.size(); i += 2) {
    if (std::max(first_refs_[i], first_refs_[i + 1]) >= symbols_.size()) return false;
    labels.push_back({symbols_[first_refs_[i]], symbols_[first_refs_[i + 1]]});
  }
  return !labels.empty();
}

void RemoteWrite2Decoder::ReadFields(std::string_view message) {
  symbols_.clear();
  series_.clear();
  if (TakePlainRequest(message, symbols_, series_)) return;
  symbols_.clear();
  series_.clear();
  for (pbf_reader fields(message.data(), message.size()); fields.next();) {
    if (fields.tag_and_type() == tag_and_type(kSymbols, kBytes)) {
      symbols_.push_back(wire::View(fields.get_view()));
    } else if (fields.tag_and_type() == tag_and_type(kTimeseries, kBytes)) {
      series_.push_back(wire::View(fields.get_view()));
    } else {
      fields.skip();
    }
  }
}

Status RemoteWrite2Decoder::Decode(std::string_view message, Timestamp now,
                                   storage::BatchBuilder& builder, Report& report,
                                   TenantId tenant) {
  metadata_.BeginRequest(now);
  first_refs_.clear();
  size_t index = 0;
  try {
    ReadFields(message);
    if (!symbols_.empty() && !symbols_[0].empty()) {
      return InvalidArgument("remote write 2.0 request: symbols[0] must be the empty string");
    }
    hashes_.assign(symbols_.size(), Hash128{});
    Acceptor accept(limits_, now, builder, report);
    Series series(*this, accept, tenant, builder, report);
    for (; index < series_.size(); ++index) series.Decode(index, series_[index]);
  } catch (const protozero::exception& e) {
    return InvalidArgument("remote write 2.0 request: timeseries[" + std::to_string(index) +
                           "]: " + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest
