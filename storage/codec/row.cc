#include "storage/codec/row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "engine/base/varint.h"
#include "storage/codec/decimal.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row_summary.h"

namespace basalt::storage {
namespace {

// Bits 0-1 of the mapping byte. 2 is reserved: decimal and a distance in units of the last place.
enum class Mapping : uint8_t { kInteger = 0, kDecimal = 1, kOrderedBits = 3 };

struct MappingByte {
  Mapping mapping = Mapping::kInteger;
  int power = 0;  // bits 2-5; kDecimal only
  bool exceptions =
      false;  // bit 6: a list of them follows; not with kOrderedBits, which takes every double
};

uint8_t Pack(const MappingByte& m) {
  return static_cast<uint8_t>(static_cast<unsigned>(m.mapping) |
                              static_cast<unsigned>(m.power) << 2 | (m.exceptions ? 0x40U : 0));
}

std::optional<MappingByte> ParseMapping(uint8_t byte) {
  MappingByte m;
  m.mapping = static_cast<Mapping>(byte & 3);
  m.power = byte >> 2 & 15;
  m.exceptions = (byte & 0x40) != 0;
  const bool power_fits =
      m.mapping == Mapping::kDecimal ? m.power >= 1 && m.power <= kMaxDecimalPower : m.power == 0;
  const bool known = m.mapping == Mapping::kInteger || m.mapping == Mapping::kDecimal ||
                     m.mapping == Mapping::kOrderedBits;
  if (!known || !power_fits || (byte & 0x80) != 0) return std::nullopt;
  if (m.exceptions && m.mapping == Mapping::kOrderedBits) return std::nullopt;
  return m;
}

// Samples that a mapping cannot hold, by value: a list of (gap, class). Stale markers and NaN end
// or interrupt rows of ordinary numbers, and the rest comes in runs.
enum class ExceptionClass : uint8_t { kBits = 0, kStale = 1, kNan = 2, kSameAsLast = 3 };
constexpr uint64_t kPlainNanBits = 0x7ff8'0000'0000'0001;  // what Go's math.NaN() is

void AppendBits(uint64_t bits, std::string& out) {
  const auto raw = std::bit_cast<std::array<char, 8>>(bits);
  out.append(raw.data(), raw.size());
}

// A row as integers, and the samples that are none.
struct MappedRow {
  MappingByte mapping;
  std::array<int64_t, kMaxSamplesPerRow> integers;
  std::string exceptions;  // encoded list; empty if there are none
  IntegerPlan plan;
  size_t bytes = SIZE_MAX;
};

// Collects exceptions in rising position.
class ExceptionList {
 public:
  void Add(size_t position, double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    ExceptionClass c = ExceptionClass::kBits;
    if (bits == kStaleMarkerBits) {
      c = ExceptionClass::kStale;
    } else if (bits == kPlainNanBits) {
      c = ExceptionClass::kNan;
    } else if (count_ > 0 && bits == last_) {
      c = ExceptionClass::kSameAsLast;
    }
    AppendVarint((position - next_) << 2 | static_cast<uint64_t>(c), items_);
    if (c == ExceptionClass::kBits) AppendBits(bits, items_);
    next_ = position + 1;
    last_ = bits;
    ++count_;
  }
  [[nodiscard]] size_t count() const { return count_; }
  [[nodiscard]] std::string Encoded() const {
    std::string out;
    AppendVarint(count_, out);
    return out + items_;
  }

 private:
  std::string items_;
  size_t count_ = 0;
  size_t next_ = 0;
  uint64_t last_ = 0;
};

// Walks a list as written by ExceptionList; calls `visit(position, value)`. False if it does not
// fit `samples`.
template <typename Visit>
bool ReadExceptions(VarintReader& in, size_t samples, Visit visit) {
  uint64_t count = 0;
  if (!in.Read(count) || count == 0 || count > samples) return false;
  size_t next = 0;
  uint64_t last = 0;
  for (uint64_t k = 0; k < count; ++k) {
    uint64_t head = 0;
    if (!in.Read(head) || head >> 2 >= samples - next) return false;
    next += head >> 2;
    switch (static_cast<ExceptionClass>(head & 3)) {
      case ExceptionClass::kBits: {
        std::string_view raw;
        if (!in.ReadBytes(8, raw)) return false;
        std::memcpy(&last, raw.data(), 8);
        break;
      }
      case ExceptionClass::kStale:
        last = kStaleMarkerBits;
        break;
      case ExceptionClass::kNan:
        last = kPlainNanBits;
        break;
      case ExceptionClass::kSameAsLast:
        if (k == 0) return false;
        break;
    }
    visit(next, std::bit_cast<double>(last));
    ++next;
  }
  return true;
}

// The mappings tried for a row: the smallest so far, and one being made. Two buffers, since copying
// one costs as much as coding a short row.
class Trials {
 public:
  MappedRow& trial() { return rows_[1 - best_]; }
  [[nodiscard]] const MappedRow& best() const { return rows_[best_]; }
  // Plans the trial, whose integers and exceptions stand, and keeps it if it is the smallest.
  void Consider(size_t samples, const RowOptions& options) {
    MappedRow& row = trial();
    row.plan = PlanIntegers(std::span(row.integers).first(samples), options.entry_points);
    row.plan.method.mapped = row.mapping.mapping != Mapping::kInteger || row.mapping.exceptions;
    row.bytes = row.plan.bytes + (row.plan.method.mapped ? 1 : 0) + row.exceptions.size();
    if (row.bytes < best().bytes) best_ = 1 - best_;
  }

 private:
  std::array<MappedRow, 2> rows_;
  size_t best_ = 0;
};

// Maps by `map(value, integer) -> bool`; what it refuses becomes an exception. False if that is
// most of the row.
template <typename Map>
bool MapWithExceptions(std::span<const double> values, Map map, MappedRow& row) {
  ExceptionList exceptions;
  const size_t bearable = values.size() / 2;  // beyond it ordered bits are smaller for certain
  size_t leading = 0;                         // exceptions before the first integer
  int64_t last = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t integer = 0;
    if (map(values[i], integer)) {
      if (leading == i) std::fill_n(row.integers.begin(), i, integer);
      last = integer;
    } else {
      if (leading == i) ++leading;
      exceptions.Add(i, values[i]);
      if (exceptions.count() > bearable) return false;
    }
    row.integers[i] =
        last;  // an exception repeats its predecessor, so that the predictor sees no jump
  }
  row.mapping.exceptions = exceptions.count() > 0;
  row.exceptions = row.mapping.exceptions ? exceptions.Encoded() : std::string();
  return true;
}

// The smallest power of ten that makes `value` an integer; -1 if none does.
int PowerOf(double value) {
  int64_t integer = 0;
  for (int power = 0; power <= kMaxDecimalPower; ++power) {
    if (AsDecimal(value, power, integer)) return power;
  }
  return -1;
}

// The powers worth trying: one that takes every decimal of the row, and one that leaves a few of
// them out.
struct Powers {
  int all = 0;
  int most = 0;
};
Powers ChoosePowers(std::span<const double> values) {
  std::array<size_t, kMaxDecimalPower + 1> need{};
  size_t decimals = 0;
  Powers powers;
  int64_t integer = 0;
  // A value that the power so far already takes needs no search: 10 times a fitting power fits as
  // well.
  const size_t stride = std::max<size_t>(1, values.size() / 64);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % stride != 0 && AsDecimal(values[i], powers.all, integer)) continue;
    if (!(std::fabs(values[i]) < 0x1p53)) continue;
    const int power = PowerOf(values[i]);
    if (power < 0) continue;
    powers.all = std::max(powers.all, power);
    ++need[static_cast<size_t>(power)];
    ++decimals;
  }
  size_t left_out = 0;
  powers.most = powers.all;
  while (powers.most > 0 && (left_out += need[static_cast<size_t>(powers.most)]) * 16 <= decimals)
    --powers.most;
  return powers;
}

Status EncodeConstant(double value, std::string& out) {
  MappedRow row;
  int64_t integer = 0;
  if (!AsInteger(value, integer)) {
    row.plan.method.mapped = true;
    row.mapping.power = std::max(0, PowerOf(value));
    row.mapping.mapping = row.mapping.power > 0 ? Mapping::kDecimal : Mapping::kOrderedBits;
    if (row.mapping.power > 0) {
      BASALT_CHECK(AsDecimal(value, row.mapping.power, integer));
    } else {
      integer = AsOrdered(value);
    }
  }
  row.plan.base = integer;
  out += static_cast<char>(MethodByte(row.plan.method));
  if (row.plan.method.mapped) out += static_cast<char>(Pack(row.mapping));
  AppendIntegers({}, row.plan, out);
  return OkStatus();
}

// Finds the smallest mapping of a row that is not constant.
void MapRow(std::span<const double> values, const RowOptions& options, Trials& trials) {
  const auto attempt = [&](const MappingByte& mapping, auto map) {
    trials.trial().mapping = mapping;
    if (MapWithExceptions(values, map, trials.trial())) trials.Consider(values.size(), options);
  };
  attempt({}, AsInteger);
  const bool found = trials.best().bytes != SIZE_MAX;
  if (found && !trials.best().mapping.exceptions) return;  // all integers: nothing is smaller

  const Powers powers = ChoosePowers(values);
  const auto attempt_decimal = [&](int power) {
    attempt({Mapping::kDecimal, power, false},
            [power](double value, int64_t& integer) { return AsDecimal(value, power, integer); });
  };
  if (powers.all > 0) attempt_decimal(powers.all);
  if (powers.most > 0 && powers.most != powers.all) attempt_decimal(powers.most);

  // Ordered bits take 4 bytes and more a sample unless the row is odd, so they are tried only where
  // the rest is poor.
  if (trials.best().bytes / 3 < values.size()) return;
  MappedRow& row = trials.trial();
  row.mapping = {Mapping::kOrderedBits, 0, false};
  row.exceptions.clear();
  std::transform(values.begin(), values.end(), row.integers.begin(), AsOrdered);
  trials.Consider(values.size(), options);
}

void IntegersToDoubles(const MappingByte& mapping, std::span<const int64_t> integers,
                       std::span<double> out) {
  switch (mapping.mapping) {
    case Mapping::kInteger:
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(integers[i]);
      break;
    case Mapping::kDecimal: {
      const double divisor = kPowersOfTen[static_cast<size_t>(mapping.power)];
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(integers[i]) / divisor;
      break;
    }
    case Mapping::kOrderedBits:
      for (size_t i = 0; i < out.size(); ++i) out[i] = FromOrdered(integers[i]);
      break;
  }
}

// What stands before the integers.
struct RowHeader {
  IntegerMethod method;
  MappingByte mapping;
};

Status ReadHeader(VarintReader& in, RowHeader& header) {
  std::string_view byte;
  if (!in.ReadBytes(1, byte)) return DataLoss("row: empty");
  const auto method = ParseMethod(static_cast<uint8_t>(byte[0]));
  if (!method)
    return DataLoss("row: unknown method " + std::to_string(static_cast<uint8_t>(byte[0])));
  header.method = *method;
  if (!method->mapped) return OkStatus();
  if (!in.ReadBytes(1, byte)) return DataLoss("row: cut off before the mapping");
  const auto mapping = ParseMapping(static_cast<uint8_t>(byte[0]));
  if (!mapping)
    return DataLoss("row: unknown mapping " + std::to_string(static_cast<uint8_t>(byte[0])));
  header.mapping = *mapping;
  return OkStatus();
}

}  // namespace

Status EncodeRow(std::span<const double> values, std::string& out, const RowOptions& options) {
  if (values.empty() || values.size() > kMaxSamplesPerRow) {
    return InvalidArgument("row: " + std::to_string(values.size()) + " samples, 1.." +
                           std::to_string(kMaxSamplesPerRow) + " are possible");
  }
  if (std::all_of(values.begin(), values.end(), [&](double v) { return SameBits(v, values[0]); })) {
    return EncodeConstant(values[0], out);
  }
  Trials trials;
  MapRow(values, options, trials);
  const MappedRow& best = trials.best();
  out += static_cast<char>(MethodByte(best.plan.method));
  if (best.plan.method.mapped) out += static_cast<char>(Pack(best.mapping));
  out += best.exceptions;
  AppendIntegers(std::span(best.integers).first(values.size()), best.plan, out);
  return OkStatus();
}

Status DecodeRow(std::string_view in, std::span<double> out) {
  return DecodeRowRange(in, out.size(), 0, out);
}

Status DecodeRowRange(std::string_view in, size_t samples, size_t first, std::span<double> out) {
  if (samples == 0 || samples > kMaxSamplesPerRow) {
    return DataLoss("row: " + std::to_string(samples) + " samples are not possible");
  }
  if (out.empty() || first > samples || out.size() > samples - first) {
    return InvalidArgument("row: samples " + std::to_string(first) + " and " +
                           std::to_string(out.size()) + " after it are not all among " +
                           std::to_string(samples));
  }
  VarintReader reader(in);
  RowHeader header;
  BASALT_TRY(ReadHeader(reader, header));
  VarintReader exceptions = reader;  // walked again when the integers stand
  if (header.mapping.exceptions && !ReadExceptions(reader, samples, [](size_t, double) {})) {
    return DataLoss("row: the list of exceptions does not fit");
  }
  std::array<int64_t, kMaxSamplesPerRow> buffer;
  const auto integers = std::span(buffer).first(out.size());
  if (!ReadIntegers(reader, header.method, samples, first, integers)) {
    return DataLoss("row: the integers do not fit " + std::to_string(samples) + " samples");
  }
  if (!reader.done()) return DataLoss("row: bytes are left over");
  IntegersToDoubles(header.mapping, integers, out);
  if (header.mapping.exceptions) {
    ReadExceptions(exceptions, samples, [&](size_t position, double value) {
      if (position >= first && position - first < out.size()) out[position - first] = value;
    });
  }
  return OkStatus();
}

bool IsConstantRow(std::string_view in) {
  VarintReader reader(in);
  RowHeader header;
  return ReadHeader(reader, header).ok() && header.method.predictor == Predictor::kConstant &&
         !header.mapping.exceptions;
}

}  // namespace basalt::storage
