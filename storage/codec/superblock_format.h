// storage/codec/superblock_format.h -- the numbers that builder and reader of superblocks share.
// Format: storage/docs/superblock-format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/varint.h"

namespace basalt::storage {

inline constexpr char kSuperblockMagic[3] = {'B', 'S', 'B'};
inline constexpr uint8_t kSuperblockVersion = 1;

// magic 3 | version 1 | crc32c 4 | bytes 4 | rows 2 | columns 2 | first ms 8 | last ms 8 | tables 1
inline constexpr size_t kSuperblockHeaderBytes = 33;
inline constexpr size_t kVersionOffset = 3;
inline constexpr size_t kChecksumOffset = 4;
inline constexpr size_t kSizeOffset = 8;
inline constexpr size_t kRowsOffset = 12;
inline constexpr size_t kColumnsOffset = 14;
inline constexpr size_t kFirstOffset = 16;
inline constexpr size_t kLastOffset = 24;
inline constexpr size_t kTablesOffset = 32;  // how many sets of entropy tables a reader must know

// CRC32C of all bytes but the checksum's own four. `bytes` is at least a header long.
uint32_t SuperblockChecksum(std::string_view bytes);

// A row's shape.
enum RowShape : uint32_t {
  kShapeHistogram = 1,
  kShapeDuplicate = 2,  // the values are those of an earlier row
  kShapePresence = 4,
  kShapeStarts = 8,
  kShapeSummary = 16,
  kShapeAll = 31,
};

// Which samples of its time column a row has.
struct Presence {
  size_t first = 0;  // nothing before it
  size_t span = 0;   // nothing from first + span on
  size_t samples = 0;
  std::string_view holes;  // a bit for each of `span`; empty: all
  // Calls visit(index in the column) for each sample.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t i = 0; i < span; ++i) {
      if (holes.empty() || (static_cast<unsigned char>(holes[i / 8]) >> (i % 8) & 1) != 0)
        visit(first + i);
    }
  }
};

// `words`: bit i % 64 of word i / 64. At least one bit is set.
void AppendPresence(std::span<const uint64_t> words, std::string& out);
// False if the bytes do not fit a column of `column_samples`, or no sample is left.
bool ReadPresence(VarintReader& in, size_t column_samples, Presence& presence);

}  // namespace basalt::storage
