// storage/codec/entropy_table.h -- the built-in tables of the entropy coder (tANS). Format page,
// "Entropy".
//
// Tables are part of the format: a set of 64 is trained once (bench/codec/train_tables), checked in
// as normalised counts, and never edited. A later set goes on numbering where the one before ends,
// so that rows of both can stand in one superblock; its header says how many sets a reader must
// know.
//
// Asymmetric numeral systems in their table form: J. Duda, "Asymmetric numeral systems" (2013).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/codec/kernels.h"

namespace basalt::storage {

// Numbers are coded as tokens: 0..15 are themselves; above, a token says how many bits follow the
// leading one, and these are stored as they are.
inline constexpr unsigned kDirectTokens = 16;
inline constexpr unsigned kTokens = kDirectTokens + 60;

struct Token {
  unsigned token = 0;
  unsigned extra_bits = 0;  // the low bits of the value that follow
};
constexpr Token TokenOf(uint64_t value) {
  if (value < kDirectTokens) return {static_cast<unsigned>(value), 0};
  const auto bits = static_cast<unsigned>(std::bit_width(value)) - 1;
  return {kDirectTokens - 4 + bits, bits};
}

inline constexpr unsigned kEntropyLog = 11;
inline constexpr size_t kEntropyStates = size_t{1} << kEntropyLog;

// Counts of a table's tokens; they add up to kEntropyStates. A token of count 0 cannot be coded.
using TokenCounts = std::array<uint16_t, kTokens>;

// How often each token occurs in a list.
using TokenHistogram = std::array<uint16_t, kTokens>;

class EntropyTable {
 public:
  explicit EntropyTable(const TokenCounts& counts);

  // What a state means to a reader: its token, and that the next state is next + `bits` bits.
  struct Entry {
    uint8_t token;
    uint8_t bits;
    uint16_t next;
  };
  [[nodiscard]] const Entry* entries() const { return entries_.data(); }

  // For a writer: coding `token` in state x (kEntropyStates..2 * kEntropyStates - 1) writes the low
  // (x + bits) >> 16 bits of x, and goes to states()[(x >> those) + offset].
  struct Step {
    uint32_t bits = 0;
    int32_t offset = 0;
    uint16_t first = 0;  // a state that the token leads to: to begin with
  };
  [[nodiscard]] const Step& step(unsigned token) const { return steps_[token]; }
  [[nodiscard]] const uint16_t* states() const { return states_.data(); }

 private:
  std::array<Entry, kEntropyStates> entries_;
  std::array<uint16_t, kEntropyStates> states_;
  std::array<Step, kTokens> steps_;
};

// A set of tables. Immutable; thread-safe.
class EntropyTables {
 public:
  static constexpr size_t kCount = 64;
  static constexpr size_t kUniversal = kCount - 1;  // this one can code every token
  // Costs are in 1/256 bit.
  static constexpr uint32_t kCostOne = 256;

  // `first` is the number of the set's first table.
  EntropyTables(std::span<const TokenCounts, kCount> counts, uint8_t first);

  struct Choice {
    uint8_t table = 0;  // its number
    uint64_t cost = 0;  // extra bits apart
  };
  // The table that codes tokens of this histogram (at most 2048 in all) in the fewest bits.
  [[nodiscard]] Choice Cheapest(const TokenHistogram& histogram) const;

  [[nodiscard]] const EntropyTable& operator[](size_t i) const { return tables_[i]; }

 private:
  // A price above all others; a histogram's sum fits 32 bits.
  static constexpr int16_t kImpossible = INT16_MAX;
  static constexpr size_t kPairs = kTokens / 2;
  static_assert(kTokens % 2 == 0 && kCount == kPricedTables);

  uint8_t first_;
  std::vector<EntropyTable> tables_;
  std::array<std::array<std::array<int16_t, 2>, kCount>, kPairs> prices_;  // of pairs of tokens
};

// How many sets there are; the last one is what new rows are written with.
inline constexpr uint8_t kEntropySets = 1;
const EntropyTables& CurrentEntropyTables();  // built on first use: a millisecond

// Null for a number that this program does not know.
const EntropyTable* FindEntropyTable(uint8_t number);

}  // namespace basalt::storage
