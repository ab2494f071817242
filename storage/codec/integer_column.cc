#include "storage/codec/integer_column.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// Leaning on the row before must save this part of the bytes.
constexpr size_t kNeighbourGain = 16;

using Residuals =
    std::array<uint64_t, kMaxSamplesPerRow>;  // left uninitialised where it is declared

constexpr uint64_t Difference(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) - static_cast<uint64_t>(b);
}

// Divides by the divisor of a column; a power of two, the usual one, by shifting.
class Divider {
 public:
  explicit Divider(uint64_t divisor)
      : divisor_(divisor), shift_(std::has_single_bit(divisor) ? std::countr_zero(divisor) : -1) {}
  [[nodiscard]] int64_t Exact(int64_t multiple) const {
    return shift_ >= 0 ? multiple >> shift_ : multiple / static_cast<int64_t>(divisor_);
  }
  [[nodiscard]] uint64_t ExactUnsigned(uint64_t multiple) const {
    return shift_ >= 0 ? multiple >> shift_ : multiple / divisor_;
  }

 private:
  uint64_t divisor_;
  int shift_;
};

void FillResiduals(std::span<const int64_t> values, const IntegerPlan& plan,
                   std::span<const int64_t> reference, std::span<uint64_t> out) {
  const Divider divider(plan.divisor);
  const auto step = [&](size_t i) {
    return divider.Exact(static_cast<int64_t>(Difference(values[i], values[i - 1])));
  };
  out[0] = 0;
  switch (plan.method.predictor) {
    case Predictor::kConstant:
      break;
    case Predictor::kFrame:
      for (size_t i = 0; i < values.size(); ++i) {
        out[i] = divider.ExactUnsigned(Difference(values[i], plan.base));
      }
      break;
    case Predictor::kDelta:
      for (size_t i = 1; i < values.size(); ++i) out[i] = ZigZag(step(i));
      break;
    case Predictor::kRising:
      for (size_t i = 1; i < values.size(); ++i) out[i] = Difference(step(i), plan.step);
      break;
    case Predictor::kSecondDelta: {
      int64_t before = plan.step;
      for (size_t i = 1; i < values.size(); ++i) {
        const int64_t now = step(i);
        out[i] = ZigZag(static_cast<int64_t>(Difference(now, before)));
        before = now;
      }
      break;
    }
    case Predictor::kNeighbour:
      for (size_t i = 1; i < values.size(); ++i) {
        const uint64_t beside = Difference(reference[i], reference[i - 1]);
        out[i] = ZigZag(static_cast<int64_t>(Difference(values[i], values[i - 1]) - beside));
      }
      break;
  }
}

bool NeedsEntries(Predictor predictor) {
  return predictor == Predictor::kDelta || predictor == Predictor::kRising ||
         predictor == Predictor::kSecondDelta;
}

// Calls `entry(position, step_before)` for each sample before an entry point: its distance from the
// base, divided.
template <typename Function>
void ForEachEntry(std::span<const int64_t> values, const IntegerPlan& plan, Function entry) {
  const Divider divider(plan.divisor);
  for (size_t i = kRowEntryInterval; i < values.size(); i += kRowEntryInterval) {
    const auto divided = [&](int64_t a, int64_t b) {
      return divider.Exact(static_cast<int64_t>(Difference(a, b)));
    };
    entry(divided(values[i - 1], plan.base), divided(values[i - 1], values[i - 2]));
  }
}

size_t HeaderBytes(const IntegerPlan& plan) {
  std::string header;  // stays inside the small-string buffer
  AppendVarint(ZigZag(plan.base), header);
  if (plan.method.divided) AppendVarint(plan.divisor, header);
  if (NeedsEntries(plan.method.predictor) && plan.method.predictor != Predictor::kDelta) {
    AppendVarint(ZigZag(plan.step), header);
  }
  return 1 + header.size();
}

// What the samples in front of a range come to.
struct EntryState {
  uint64_t value = 0;
  uint64_t step = 0;
};

// The residuals of samples [begin, begin + residuals.size()) become values; those before `first`
// are only passed through. `state` is what stood before `begin`.
void Integrate(const IntegerPlan& plan, EntryState state, size_t begin, size_t first,
               std::span<const uint64_t> residuals, std::span<int64_t> out) {
  const uint64_t divisor = plan.divisor;
  const auto base = static_cast<uint64_t>(plan.base);
  const auto step = static_cast<uint64_t>(plan.step);
  size_t i = begin;
  if (plan.method.predictor == Predictor::kFrame) {
    const auto wanted = residuals.subspan(first - begin);
    for (size_t k = 0; k < out.size(); ++k)
      out[k] = static_cast<int64_t>(base + divisor * wanted[k]);
    return;
  }
  if (i == 0) {  // the first sample is the base, whatever its residual
    state = {base, step};
    if (first == 0) out[0] = plan.base;
    ++i;
  }
  const auto run = [&](auto next) {
    for (; i < first; ++i) next(residuals[i - begin]);
    for (; i < first + out.size(); ++i)
      out[i - first] = static_cast<int64_t>(next(residuals[i - begin]));
  };
  switch (plan.method.predictor) {
    case Predictor::kDelta:
      run([&, value = state.value](uint64_t r) mutable {
        return value += divisor * static_cast<uint64_t>(UnZigZag(r));
      });
      break;
    case Predictor::kRising:
      run([&, value = state.value](uint64_t r) mutable { return value += divisor * (step + r); });
      break;
    case Predictor::kSecondDelta:
      run([&, value = state.value, last = state.step](uint64_t r) mutable {
        last += static_cast<uint64_t>(UnZigZag(r));
        return value += divisor * last;
      });
      break;
    case Predictor::kConstant:
    case Predictor::kFrame:
    case Predictor::kNeighbour:
      break;
  }
}

void IntegrateBeside(int64_t base, std::span<const uint64_t> residuals,
                     std::span<const int64_t> reference, std::span<int64_t> out) {
  auto value = static_cast<uint64_t>(base);
  out[0] = base;
  for (size_t i = 1; i < out.size(); ++i) {
    value +=
        Difference(reference[i], reference[i - 1]) + static_cast<uint64_t>(UnZigZag(residuals[i]));
    out[i] = static_cast<int64_t>(value);
  }
}

}  // namespace

uint8_t MethodByte(const IntegerMethod& method) {
  return static_cast<uint8_t>(
      static_cast<unsigned>(method.predictor) | static_cast<unsigned>(method.coder) << 3 |
      (method.divided ? 0x20U : 0) | (method.entries ? 0x40U : 0) | (method.mapped ? 0x80U : 0));
}

std::optional<IntegerMethod> ParseMethod(uint8_t byte) {
  IntegerMethod method;
  if ((byte & 7) > static_cast<unsigned>(Predictor::kNeighbour)) return std::nullopt;
  method.predictor = static_cast<Predictor>(byte & 7);
  method.coder = static_cast<StreamCoder>(byte >> 3 & 3);
  method.divided = (byte & 0x20) != 0;
  method.entries = (byte & 0x40) != 0;
  method.mapped = (byte & 0x80) != 0;
  if (method.coder == StreamCoder::kEntropy) return std::nullopt;
  if (method.entries && (!NeedsEntries(method.predictor) || method.coder != StreamCoder::kPacked))
    return std::nullopt;
  if (method.predictor == Predictor::kNeighbour && method.divided) return std::nullopt;
  if (method.predictor == Predictor::kConstant &&
      (method.divided || method.coder != StreamCoder::kPacked)) {
    return std::nullopt;
  }
  return method;
}

IntegerPlan PlanIntegers(std::span<const int64_t> values, const PlanOptions& options) {
  BASALT_CHECK(!values.empty() && values.size() <= kMaxSamplesPerRow, "integer column: count");
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  IntegerPlan best;
  best.base = values[0];
  best.bytes = HeaderBytes(best);
  if (*low == *high) return best;

  // Differences of a range of 2^63 and more wrap, and a divisor of wrapped differences divides
  // nothing else.
  const bool wraps = Difference(*high, *low) > static_cast<uint64_t>(INT64_MAX);
  uint64_t divisor = wraps ? 1 : 0;
  int64_t smallest_step = INT64_MAX;
  for (size_t i = 1; i < values.size(); ++i) {
    const auto step = static_cast<int64_t>(Difference(values[i], values[i - 1]));
    smallest_step = std::min(smallest_step, step);
    if (divisor != 1)
      divisor = std::gcd(divisor,
                         step < 0 ? 0 - static_cast<uint64_t>(step) : static_cast<uint64_t>(step));
  }
  const Divider divider(divisor);
  const int64_t first_step = divider.Exact(static_cast<int64_t>(Difference(values[1], values[0])));

  Residuals residuals;
  best.bytes = SIZE_MAX;
  const auto attempt = [&](Predictor predictor) {
    IntegerPlan plan;
    plan.method.predictor = predictor;
    plan.method.divided = divisor != 1 && predictor != Predictor::kNeighbour;
    if (plan.method.divided) plan.divisor = divisor;
    plan.base = predictor == Predictor::kFrame ? *low : values[0];
    if (predictor == Predictor::kRising) plan.step = divider.Exact(smallest_step);
    if (predictor == Predictor::kSecondDelta) plan.step = first_step;
    const auto used = std::span(residuals).first(values.size());
    FillResiduals(values, plan, options.reference, used);
    const StreamChoice stream = CheapestStream(used);
    plan.method.coder = stream.coder;
    plan.bytes = HeaderBytes(plan) + stream.bytes;
    const size_t handicap = predictor == Predictor::kNeighbour ? best.bytes / kNeighbourGain : 0;
    if (plan.bytes + handicap < best.bytes) best = plan;
  };
  for (const Predictor predictor :
       {Predictor::kFrame, Predictor::kDelta, Predictor::kRising, Predictor::kSecondDelta}) {
    attempt(predictor);
  }
  if (options.reference.size() == values.size()) attempt(Predictor::kNeighbour);
  best.method.entries = options.entry_points && values.size() > kRowEntryInterval &&
                        NeedsEntries(best.method.predictor) &&
                        best.method.coder == StreamCoder::kPacked;
  return best;
}

void AppendIntegers(std::span<const int64_t> values, const IntegerPlan& plan,
                    std::span<const int64_t> reference, std::string& out) {
  AppendVarint(ZigZag(plan.base), out);
  if (plan.method.predictor == Predictor::kConstant) return;
  if (plan.method.divided) AppendVarint(plan.divisor, out);
  if (plan.method.predictor == Predictor::kRising ||
      plan.method.predictor == Predictor::kSecondDelta) {
    AppendVarint(ZigZag(plan.step), out);
  }
  if (plan.method.entries) {
    int64_t before = 0;
    ForEachEntry(values, plan, [&](int64_t position, int64_t step) {
      AppendVarint(ZigZag(static_cast<int64_t>(Difference(position, before))), out);
      before = position;
      if (plan.method.predictor == Predictor::kSecondDelta) AppendVarint(ZigZag(step), out);
    });
  }
  Residuals residuals;
  const auto used = std::span(residuals).first(values.size());
  FillResiduals(values, plan, reference, used);
  AppendStream(used, plan.method.coder, out);
}

bool ReadIntegers(VarintReader& in, const IntegerMethod& method, size_t total, size_t first,
                  std::span<int64_t> out, std::span<const int64_t> reference) {
  IntegerPlan plan;
  plan.method = method;
  if (!in.ReadSigned(plan.base)) return false;
  if (method.predictor == Predictor::kConstant) {
    std::fill(out.begin(), out.end(), plan.base);
    return true;
  }
  if (method.predictor == Predictor::kNeighbour) {
    if (first != 0 || out.size() != total || reference.size() != total) return false;
    Residuals residuals;
    if (!ReadStream(in, method.coder, std::span(residuals).first(total))) return false;
    IntegrateBeside(plan.base, std::span(residuals).first(total), reference, out);
    return true;
  }
  if (method.divided && (!in.Read(plan.divisor) || plan.divisor < 2)) return false;
  if (method.predictor == Predictor::kRising || method.predictor == Predictor::kSecondDelta) {
    if (!in.ReadSigned(plan.step)) return false;
  }
  // Where decoding begins: at the block, at the entry point, or at the start of the row.
  size_t begin = 0;
  EntryState state;
  if (method.predictor == Predictor::kFrame && method.coder == StreamCoder::kPacked) {
    begin = first / kPackBlock * kPackBlock;
  }
  if (method.entries) {
    uint64_t position = 0;
    for (size_t i = kRowEntryInterval; i < total; i += kRowEntryInterval) {
      int64_t moved = 0;
      int64_t step = 0;
      if (!in.ReadSigned(moved)) return false;
      if (method.predictor == Predictor::kSecondDelta && !in.ReadSigned(step)) return false;
      position += static_cast<uint64_t>(moved);
      if (i > first) continue;
      begin = i;
      state = {static_cast<uint64_t>(plan.base) + plan.divisor * position,
               static_cast<uint64_t>(step)};
    }
  }
  Residuals buffer;
  const size_t end = first + out.size();
  if (method.coder == StreamCoder::kPacked) {
    const auto residuals = std::span(buffer).first(end - begin);
    if (!ReadPackedRange(in, total, begin, residuals)) return false;
    Integrate(plan, state, begin, first, residuals, out);
    return true;
  }
  const auto residuals = std::span(buffer).first(total);
  if (!ReadStream(in, method.coder, residuals)) return false;
  Integrate(plan, state, 0, first, residuals, out);
  return true;
}

void AppendIntegerColumn(std::span<const int64_t> values, std::string& out) {
  const IntegerPlan plan = PlanIntegers(values);
  out += static_cast<char>(MethodByte(plan.method));
  AppendIntegers(values, plan, {}, out);
}

bool ReadIntegerColumn(VarintReader& in, std::span<int64_t> out) {
  std::string_view head;
  if (!in.ReadBytes(1, head)) return false;
  const auto method = ParseMethod(static_cast<uint8_t>(head[0]));
  return method.has_value() && !method->mapped && ReadIntegers(in, *method, out.size(), 0, out);
}

}  // namespace basalt::storage
