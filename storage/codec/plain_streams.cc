#include "storage/codec/plain_streams.h"

#include <algorithm>
#include <array>
#include <bit>

#include "storage/codec/bit_pack.h"
#include "storage/codec/row.h"

namespace basalt::storage {

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

bool ReadPacked(VarintReader& in, std::span<uint64_t> out) {
  for (size_t i = 0; i < out.size(); i += kPackBlock) {
    const size_t size = std::min(kPackBlock, out.size() - i);
    std::string_view head;
    if (!in.ReadBytes(1, head)) return false;
    const auto width = static_cast<unsigned char>(head[0]);
    std::string_view bits;
    if (width > 64 || !in.ReadBytes(PackedBytes(size, width), bits)) return false;
    UnpackBits(bits, width, out.subspan(i, size));
  }
  return true;
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
  if (!ReadPacked(in, std::span(present).first(count))) return false;
  std::fill(out.begin(), out.end(), 0);
  size_t next = 0;
  for (size_t at = 0; at < mask.size(); ++at) {
    for (unsigned bits = static_cast<unsigned char>(mask[at]); bits != 0; bits &= bits - 1) {
      out[at * 8 + static_cast<size_t>(std::countr_zero(bits))] = present[next++] + 1;
    }
  }
  return true;
}

}  // namespace basalt::storage
