#include "storage/codec/superblock_format.h"

#include <bit>

#include "engine/base/hash.h"
#include "storage/codec/bit_pack.h"

namespace basalt::storage {
uint32_t SuperblockChecksum(std::string_view bytes) {
  const auto all = std::as_bytes(std::span(bytes.data(), bytes.size()));
  return Crc32c(all.subspan(kSizeOffset), Crc32c(all.first(kChecksumOffset)));
}

void AppendPresence(std::span<const uint64_t> words, std::string& out) {
  const auto bit = [&](size_t i) { return (words[i / 64] >> (i % 64) & 1) != 0; };
  size_t first = 0;
  while (!bit(first)) ++first;
  size_t end = words.size() * 64;
  while (!bit(end - 1)) --end;
  size_t samples = 0;
  for (const uint64_t word : words) samples += static_cast<size_t>(std::popcount(word));
  const size_t span = end - first;
  AppendVarint(first, out);
  AppendVarint(span << 1 | (samples < span ? 1 : 0), out);
  if (samples == span) return;
  const size_t begin = out.size();
  out.resize(begin + PackedBytes(span, 1));
  for (size_t i = 0; i < span; ++i) {
    if (bit(first + i)) out[begin + i / 8] = static_cast<char>(out[begin + i / 8] | 1 << (i % 8));
  }
}

bool ReadPresence(VarintReader& in, size_t column_samples, Presence& presence) {
  uint64_t first = 0;
  uint64_t head = 0;
  if (!in.Read(first) || !in.Read(head) || first >= column_samples) return false;
  const uint64_t span = head >> 1;
  if (span == 0 || span > column_samples - first) return false;
  presence = {first, span, span, {}};
  if ((head & 1) == 0) return true;
  if (!in.ReadBytes(PackedBytes(span, 1), presence.holes)) return false;
  if (span % 8 != 0 && static_cast<unsigned char>(presence.holes.back()) >> (span % 8) != 0)
    return false;
  presence.samples = 0;
  for (const char byte : presence.holes) {
    presence.samples += static_cast<size_t>(std::popcount(static_cast<unsigned char>(byte)));
  }
  return presence.samples > 0;
}

}  // namespace basalt::storage
