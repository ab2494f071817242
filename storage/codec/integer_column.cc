#include "storage/codec/integer_column.h"

#include <algorithm>
#include <array>

#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/kernels.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

using Residuals =
    std::array<uint64_t, kMaxSamplesPerRow>;  // left uninitialised where it is declared

// What the samples in front of a range come to.
struct EntryState {
  uint64_t position = 0;  // from the base, divided
  uint64_t step = 0;
};

// The residuals of samples from `begin` on become values; out[0] is that of sample `first`, not
// before `begin`. Residuals are overwritten. `state` is what stood before `begin`; `reference` is
// there with kNeighbour.
void Integrate(const IntegerPlan& plan, EntryState state, size_t begin, size_t first,
               std::span<uint64_t> residuals, std::span<const int64_t> reference,
               std::span<int64_t> out) {
  const Kernels& kernels = ActiveKernels();
  const auto base = static_cast<uint64_t>(plan.base);
  const auto step = static_cast<uint64_t>(plan.step);
  if (begin == 0 && plan.method.predictor != Predictor::kFrame) {
    // The first sample is the base, whatever its residual.
    residuals[0] = 0;
    state = {0 - step, step};
  }
  const bool direct = plan.divisor == 1 && first == begin;
  // Where the distances from the base go; or, directly, the values.
  const size_t n = first - begin + out.size();
  int64_t* const to = direct ? out.data() : reinterpret_cast<int64_t*>(residuals.data());
  const uint64_t start = state.position + (direct ? base : 0);
  switch (plan.method.predictor) {
    case Predictor::kConstant:
      break;
    case Predictor::kFrame:
      for (size_t k = 0; k < out.size(); ++k)
        out[k] = static_cast<int64_t>(base + plan.divisor * residuals[first - begin + k]);
      return;
    case Predictor::kDelta:
    case Predictor::kNeighbour:
      kernels.sum_signed(residuals.data(), n, start, 0, to);
      break;
    case Predictor::kRising:
      kernels.sum(residuals.data(), n, start, step, to);
      break;
    case Predictor::kSecondDelta: {
      auto* const steps = reinterpret_cast<int64_t*>(residuals.data());
      kernels.sum_signed(residuals.data(), n, state.step, 0, steps);
      kernels.sum(residuals.data(), n, start, 0, to);
      break;
    }
  }
  if (plan.method.predictor == Predictor::kNeighbour) {
    for (size_t k = 0; k < out.size(); ++k)
      out[k] = static_cast<int64_t>(static_cast<uint64_t>(out[k]) +
                                    Difference(reference[k], reference[0]));
  }
  if (direct) return;
  for (size_t k = 0; k < out.size(); ++k)
    out[k] = static_cast<int64_t>(base + plan.divisor * residuals[first - begin + k]);
}

}  // namespace

uint8_t MethodByte(const IntegerMethod& method) {
  return static_cast<uint8_t>(static_cast<unsigned>(method.predictor) |
                              static_cast<unsigned>(method.coder) << 3 |
                              (method.divided ? 0x40U : 0) | (method.mapped ? 0x80U : 0));
}

std::optional<IntegerMethod> ParseMethod(uint8_t byte) {
  IntegerMethod method;
  if ((byte & 7) > static_cast<unsigned>(Predictor::kNeighbour)) return std::nullopt;
  if ((byte >> 3 & 7U) >= kStreamCoders) return std::nullopt;
  method.predictor = static_cast<Predictor>(byte & 7);
  method.coder = static_cast<StreamCoder>(byte >> 3 & 7);
  method.divided = (byte & 0x40) != 0;
  method.mapped = (byte & 0x80) != 0;
  if (method.predictor == Predictor::kNeighbour && method.divided) return std::nullopt;
  if (method.predictor == Predictor::kConstant &&
      (method.divided || method.coder != StreamCoder::kPacked)) {
    return std::nullopt;
  }
  return method;
}

bool ReadIntegers(VarintReader& in, const IntegerMethod& method, const IntegerRange& range,
                  std::span<int64_t> out, std::span<const int64_t> reference) {
  IntegerPlan plan;
  plan.method = method;
  if (!in.ReadSigned(plan.base)) return false;
  if (method.predictor == Predictor::kConstant) {
    std::fill(out.begin(), out.end(), plan.base);
    return true;
  }
  Residuals buffer;
  const size_t total = range.total;
  if (method.predictor == Predictor::kNeighbour) {
    if (range.first != 0 || out.size() != total || reference.size() != total) return false;
    const auto residuals = std::span(buffer).first(total);
    if (!ReadStream(in, method.coder, false, total, 0, residuals)) return false;
    Integrate(plan, {}, 0, 0, residuals, reference, out);
    return true;
  }
  if (method.divided && (!in.Read(plan.divisor) || plan.divisor < 2)) return false;
  if (method.predictor == Predictor::kRising || method.predictor == Predictor::kSecondDelta) {
    if (!in.ReadSigned(plan.step)) return false;
  }
  // Decoding begins at the entry point before the range and ends at the one behind it.
  const bool chunked = IsChunked(method.predictor, total, range.entry_points);
  const size_t begin = chunked ? range.first / kRowEntryInterval * kRowEntryInterval : 0;
  const size_t last = range.first + out.size();
  const size_t end =
      chunked
          ? std::min(total, (last + kRowEntryInterval - 1) / kRowEntryInterval * kRowEntryInterval)
          : total;
  EntryState state;
  if (chunked && Runs(method.predictor)) {
    uint64_t position = 0;
    for (size_t i = kRowEntryInterval; i < total; i += kRowEntryInterval) {
      int64_t moved = 0;
      int64_t step = 0;
      if (!in.ReadSigned(moved)) return false;
      if (method.predictor == Predictor::kSecondDelta && !in.ReadSigned(step)) return false;
      position += static_cast<uint64_t>(moved);
      if (i != begin) continue;
      state = {position, static_cast<uint64_t>(step)};
    }
  }
  const auto residuals = std::span(buffer).first(end - begin);
  if (!ReadStream(in, method.coder, chunked, total, begin, residuals)) return false;
  Integrate(plan, state, begin, range.first, residuals, {}, out);
  return true;
}

void AppendIntegerColumn(std::span<const int64_t> values, std::string& out,
                         std::span<const int64_t> reference) {
  const IntegerPlan plan = PlanIntegers(values, {EntryPoints::kNone, reference});
  out += static_cast<char>(MethodByte(plan.method));
  AppendIntegers(values, plan, reference, out);
}

bool ReadIntegerColumn(VarintReader& in, std::span<int64_t> out,
                       std::span<const int64_t> reference) {
  std::string_view head;
  if (!in.ReadBytes(1, head)) return false;
  const auto method = ParseMethod(static_cast<uint8_t>(head[0]));
  return method.has_value() && !method->mapped &&
         ReadIntegers(in, *method, {out.size()}, out, reference);
}

}  // namespace basalt::storage
