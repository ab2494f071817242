#include "storage/codec/residual_stream.h"

#include <algorithm>
#include <array>
#include <bit>

#include "storage/codec/bit_pack.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// With less than one zero in so many residuals only packing is tried.
constexpr size_t kFewestZeros = 8;

constexpr size_t VarintBytes(uint64_t v) { return (std::max(BitWidth(v), 1U) + 6) / 7; }

void AppendPacked(std::span<const uint64_t> values, std::string& out) {
  for (size_t i = 0; i < values.size(); i += kPackBlock) {
    const auto block = values.subspan(i, std::min(kPackBlock, values.size() - i));
    uint64_t all = 0;
    for (const uint64_t v : block) all |= v;
    const unsigned width = BitWidth(all);
    out += static_cast<char>(width);
    PackBits(block, width, out);
  }
}

void AppendSparse(std::span<const uint64_t> values, std::string& out) {
  AppendVarint(values.size() - static_cast<size_t>(std::count(values.begin(), values.end(), 0)),
               out);
  size_t next = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    AppendVarint(i - next, out);
    AppendVarint(values[i] - 1, out);
    next = i + 1;
  }
}

void AppendMasked(std::span<const uint64_t> values, std::string& out) {
  std::array<uint64_t, kMaxSamplesPerRow> present;
  size_t count = 0;
  std::array<char, (kMaxSamplesPerRow + 7) / 8> mask{};
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    mask[i / 8] = static_cast<char>(mask[i / 8] | 1 << (i % 8));
    present[count++] = values[i] - 1;
  }
  out.append(mask.data(), PackedBytes(values.size(), 1));
  AppendPacked(std::span(present).first(count), out);
}

bool ReadSparse(VarintReader& in, std::span<uint64_t> out) {
  uint64_t count = 0;
  if (!in.Read(count) || count > out.size()) return false;
  std::fill(out.begin(), out.end(), 0);
  size_t next = 0;
  for (uint64_t k = 0; k < count; ++k) {
    uint64_t gap = 0;
    uint64_t value = 0;
    if (!in.Read(gap) || !in.Read(value) || gap >= out.size() - next) return false;
    next += gap;
    out[next++] = value + 1;  // the encoder never wraps here; a hostile wrap to 0 harms nobody
  }
  return true;
}

bool ReadMasked(VarintReader& in, std::span<uint64_t> out) {
  std::string_view mask;
  if (!in.ReadBytes(PackedBytes(out.size(), 1), mask)) return false;
  if (out.size() % 8 != 0 && (static_cast<unsigned char>(mask.back()) >> (out.size() % 8)) != 0)
    return false;
  size_t count = 0;
  for (const char byte : mask)
    count += static_cast<size_t>(std::popcount(static_cast<unsigned char>(byte)));
  std::array<uint64_t, kMaxSamplesPerRow> present;
  if (!ReadPackedRange(in, count, 0, std::span(present).first(count))) return false;
  std::fill(out.begin(), out.end(), 0);
  size_t next = 0;
  for (size_t at = 0; at < mask.size(); ++at) {
    for (unsigned bits = static_cast<unsigned char>(mask[at]); bits != 0; bits &= bits - 1) {
      out[at * 8 + static_cast<size_t>(std::countr_zero(bits))] = present[next++] + 1;
    }
  }
  return true;
}

}  // namespace

const char* StreamCoderName(StreamCoder coder) {
  switch (coder) {
    case StreamCoder::kPacked:
      return "packed";
    case StreamCoder::kSparse:
      return "sparse";
    case StreamCoder::kEntropy:
      return "entropy";
    case StreamCoder::kMasked:
      return "masked";
  }
  return "unknown";
}

StreamChoice CheapestStream(std::span<const uint64_t> residuals) {
  size_t packed = 0;
  size_t zeros = 0;
  for (size_t i = 0; i < residuals.size(); i += kPackBlock) {
    const auto block = residuals.subspan(i, std::min(kPackBlock, residuals.size() - i));
    uint64_t all = 0;
    for (const uint64_t v : block) {
      all |= v;
      zeros += v == 0 ? 1 : 0;
    }
    packed += 1 + PackedBytes(block.size(), BitWidth(all));
  }
  // Ties go to the coder that decodes fastest; without zeros the others have nothing to leave out.
  StreamChoice best{StreamCoder::kPacked, packed};
  if (zeros * kFewestZeros < residuals.size()) return best;

  size_t sparse = VarintBytes(residuals.size() - zeros);
  size_t masked = PackedBytes(residuals.size(), 1);
  uint64_t all = 0;  // of the present values in the open block of the masked coder
  size_t present = 0;
  size_t next = 0;
  for (size_t i = 0; i < residuals.size(); ++i) {
    if (residuals[i] == 0) continue;
    const uint64_t v = residuals[i] - 1;
    sparse += VarintBytes(i - next) + VarintBytes(v);
    next = i + 1;
    all |= v;
    if (++present % kPackBlock == 0) {
      masked += 1 + PackedBytes(kPackBlock, BitWidth(all));
      all = 0;
    }
  }
  if (present % kPackBlock != 0) masked += 1 + PackedBytes(present % kPackBlock, BitWidth(all));
  if (sparse < best.bytes) best = {StreamCoder::kSparse, sparse};
  if (masked < best.bytes) best = {StreamCoder::kMasked, masked};
  return best;
}

void AppendStream(std::span<const uint64_t> residuals, StreamCoder coder, std::string& out) {
  switch (coder) {
    case StreamCoder::kPacked:
      return AppendPacked(residuals, out);
    case StreamCoder::kSparse:
      return AppendSparse(residuals, out);
    case StreamCoder::kMasked:
      return AppendMasked(residuals, out);
    case StreamCoder::kEntropy:
      break;
  }
  BASALT_CHECK(false, "residual stream: no such coder yet");
}

bool ReadPackedRange(VarintReader& in, size_t total, size_t first, std::span<uint64_t> out) {
  size_t written = 0;
  for (size_t i = 0; i < total; i += kPackBlock) {
    const size_t size = std::min(kPackBlock, total - i);
    std::string_view head;
    if (!in.ReadBytes(1, head)) return false;
    const auto width = static_cast<unsigned char>(head[0]);
    std::string_view bits;
    if (width > 64 || !in.ReadBytes(PackedBytes(size, width), bits)) return false;
    if (i < first || written == out.size()) continue;
    const size_t wanted = std::min(size, out.size() - written);
    UnpackBits(bits, width, out.subspan(written, wanted));
    written += wanted;
  }
  return written == out.size();
}

bool ReadStream(VarintReader& in, StreamCoder coder, std::span<uint64_t> out) {
  switch (coder) {
    case StreamCoder::kPacked:
      return ReadPackedRange(in, out.size(), 0, out);
    case StreamCoder::kSparse:
      return ReadSparse(in, out);
    case StreamCoder::kMasked:
      return ReadMasked(in, out);
    case StreamCoder::kEntropy:
      break;
  }
  return false;
}

}  // namespace basalt::storage
