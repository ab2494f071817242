#include <algorithm>
#include <array>
#include <cstdint>

#include "storage/codec/integer_column.h"
#include "storage/codec/kernels.h"
#include "storage/codec/raw_row.h"
#include "storage/codec/row.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/row_mapping.h"

namespace basalt::storage {
namespace {

// Below this many bytes a sample nothing dearer is tried: ordered bits and corrections do not get
// there.
constexpr size_t kGoodBytesASample = 2;
// A raw row must save this part (DESIGN decision 13).
constexpr size_t kRawGain = 10;

// A row as integers, and the samples that are none.
struct MappedRow {
  MappingByte mapping;
  std::array<int64_t, kMaxSamplesPerRow> integers;
  std::array<int64_t, kMaxSamplesPerRow> corrections;  // kCorrected only
  std::string exceptions;                              // encoded list; empty if there are none
  IntegerPlan plan;
  IntegerPlan correction_plan;
  size_t bytes = SIZE_MAX;
};

// The mappings tried for a row: the smallest so far, and one being made. Two buffers, since copying
// one costs as much as coding a short row.
class Trials {
 public:
  Trials(size_t samples, std::span<const int64_t> reference, const RowOptions& options)
      : samples_(samples), reference_(reference), options_(options) {}

  MappedRow& trial() { return rows_[1 - best_]; }
  [[nodiscard]] const MappedRow& best() const { return rows_[best_]; }
  [[nodiscard]] bool found() const { return best().bytes != SIZE_MAX; }

  // Plans the trial, whose integers and exceptions stand, and keeps it if it is the smallest.
  void Consider() {
    MappedRow& row = trial();
    // Bits and corrected decimals are noise: a neighbour says nothing about them.
    const bool leans =
        row.mapping.mapping == Mapping::kInteger || row.mapping.mapping == Mapping::kDecimal;
    row.plan = PlanIntegers(std::span(row.integers).first(samples_),
                            {EntryPoints::kEvery256,
                             leans ? reference_ : std::span<const int64_t>(), options_.entropy});
    row.plan.method.mapped = row.mapping.mapping != Mapping::kInteger || row.mapping.exceptions;
    row.bytes = row.plan.bytes + (row.plan.method.mapped ? 1 : 0) + row.exceptions.size();
    if (row.mapping.mapping == Mapping::kCorrected) {
      row.correction_plan = PlanIntegers(std::span(row.corrections).first(samples_),
                                         {EntryPoints::kEvery256, {}, options_.entropy});
      row.bytes += row.correction_plan.bytes;
    }
    if (row.bytes < best().bytes) best_ = 1 - best_;
  }

 private:
  std::array<MappedRow, 2> rows_;
  size_t best_ = 0;
  size_t samples_;
  std::span<const int64_t> reference_;
  RowOptions options_;
};

// Maps by `map(value, integer) -> bool`; what it refuses becomes an exception. False if that is
// most of the row.
template <typename Map>
bool MapWithExceptions(std::span<const double> values, Map map, MappedRow& row) {
  ExceptionList exceptions;
  const size_t bearable = values.size() / 2;  // beyond it ordered bits are smaller for certain
  size_t leading = 0;                         // exceptions before the first integer
  int64_t last = 0;
  bool last_refused = false;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && !last_refused && SameBits(values[i], values[i - 1])) {
      row.integers[i] = last;  // most samples repeat
      continue;
    }
    int64_t integer = 0;
    last_refused = !map(values[i], integer);
    if (!last_refused) {
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

void AttemptDecimal(std::span<const double> values, int power, Trials& trials) {
  trials.trial().mapping = {Mapping::kDecimal, power, false};
  const auto map = [power](double value, int64_t& integer) {
    return AsDecimal(value, power, integer);
  };
  if (MapWithExceptions(values, map, trials.trial())) trials.Consider();
}

void AttemptCorrected(std::span<const double> values, Trials& trials) {
  const int power = ChooseCorrectedPower(values);
  if (power == 0) return;
  MappedRow& row = trials.trial();
  row.mapping = {Mapping::kCorrected, power, false};
  const auto map = [power](double value, int64_t& integer) {
    return AsNearDecimal(value, power, integer);
  };
  if (!MapWithExceptions(values, map, row)) return;
  int64_t last = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t integer = 0;
    if (AsNearDecimal(values[i], power, integer)) last = Correction(values[i], integer, power);
    row.corrections[i] = last;
  }
  trials.Consider();
}

void AttemptOrderedBits(std::span<const double> values, Trials& trials) {
  MappedRow& row = trials.trial();
  row.mapping = {Mapping::kOrderedBits, 0, false};
  row.exceptions.clear();
  std::transform(values.begin(), values.end(), row.integers.begin(), AsOrdered);
  trials.Consider();
}

// Finds the smallest mapping of a row that is not constant.
void MapRow(std::span<const double> values, Trials& trials) {
  trials.trial().mapping = {};
  trials.trial().exceptions.clear();
  if (ActiveKernels().to_integers(values.data(), values.size(), trials.trial().integers.data()) ||
      MapWithExceptions(values, AsInteger, trials.trial())) {
    trials.Consider();
  }
  if (trials.found() && !trials.best().mapping.exceptions)
    return;  // all integers: nothing is smaller

  const Powers powers = ChoosePowers(values);
  if (powers.all > 0) AttemptDecimal(values, powers.all, trials);
  if (powers.most > 0 && powers.most != powers.all) AttemptDecimal(values, powers.most, trials);
  if (trials.found() && trials.best().bytes <= kGoodBytesASample * values.size()) return;
  AttemptCorrected(values, trials);
  AttemptOrderedBits(values, trials);
}

void EncodeConstant(double value, std::string& out, std::span<int64_t> integers) {
  IntegerPlan plan;
  MappingByte mapping;
  if (!AsInteger(value, plan.base)) {
    plan.method.mapped = true;
    mapping.power = std::max(0, PowerOf(value));
    mapping.mapping = mapping.power > 0 ? Mapping::kDecimal : Mapping::kOrderedBits;
    if (mapping.power > 0) {
      BASALT_CHECK(AsDecimal(value, mapping.power, plan.base));
    } else {
      plan.base = AsOrdered(value);
    }
  }
  out += static_cast<char>(MethodByte(plan.method));
  if (plan.method.mapped) out += static_cast<char>(Pack(mapping));
  AppendIntegers({}, plan, {}, out);
  std::fill(integers.begin(), integers.end(), plan.base);
}

}  // namespace

Result<bool> EncodeRowAgainst(std::span<const double> values, std::span<const int64_t> reference,
                              const RowOptions& options, std::string& out,
                              std::span<int64_t> integers) {
  if (values.empty() || values.size() > kMaxSamplesPerRow) {
    return InvalidArgument("row: " + std::to_string(values.size()) + " samples, 1.." +
                           std::to_string(kMaxSamplesPerRow) + " are possible");
  }
  if (ActiveKernels().count_changes(values.data(), values.size()) == 0) {
    EncodeConstant(values[0], out, integers);
    return false;
  }
  Trials trials(values.size(), reference, options);
  MapRow(values, trials);
  const MappedRow& best = trials.best();
  // Noise: if no mapping helped, zstd may.
  if (options.entropy && best.mapping.mapping == Mapping::kOrderedBits &&
      AppendRawRow(values, best.bytes - best.bytes / kRawGain, out)) {
    std::transform(values.begin(), values.begin() + static_cast<ptrdiff_t>(integers.size()),
                   integers.begin(), AsOrdered);
    return false;
  }
  out += static_cast<char>(MethodByte(best.plan.method));
  if (best.plan.method.mapped) out += static_cast<char>(Pack(best.mapping));
  out += best.exceptions;
  AppendIntegers(std::span(best.integers).first(values.size()), best.plan, reference, out);
  if (best.mapping.mapping == Mapping::kCorrected) {
    out += static_cast<char>(MethodByte(best.correction_plan.method));
    AppendIntegers(std::span(best.corrections).first(values.size()), best.correction_plan, {}, out);
  }
  std::copy_n(best.integers.begin(), integers.size(), integers.begin());
  return best.plan.method.predictor == Predictor::kNeighbour;
}

Status EncodeRow(std::span<const double> values, std::string& out, const RowOptions& options) {
  return EncodeRowAgainst(values, {}, options, out, {}).status();
}

}  // namespace basalt::storage
