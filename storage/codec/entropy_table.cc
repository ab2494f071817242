#include "storage/codec/entropy_table.h"

#include <algorithm>
#include <cmath>

#include "engine/base/status.h"
#include "storage/codec/entropy_tables_1.h"

namespace basalt::storage {
namespace {

// Tokens are spread over the states with a stride that visits each once; the usual one of table
// coders.
constexpr size_t kSpreadStep = (kEntropyStates >> 1) + (kEntropyStates >> 3) + 3;

unsigned FloorLog2(unsigned v) { return static_cast<unsigned>(std::bit_width(v)) - 1; }

}  // namespace

EntropyTable::EntropyTable(const TokenCounts& counts) {
  std::array<uint8_t, kEntropyStates> spread;
  std::array<unsigned, kTokens> begin{};  // of a token's states in states_
  size_t at = 0;
  unsigned total = 0;
  for (unsigned token = 0; token < kTokens; ++token) {
    begin[token] = total;
    total += counts[token];
    for (unsigned k = 0; k < counts[token]; ++k) {
      spread[at] = static_cast<uint8_t>(token);
      at = (at + kSpreadStep) % kEntropyStates;
    }
  }
  BASALT_CHECK(total == kEntropyStates, "entropy table: its counts do not add up");

  std::array<unsigned, kTokens> next{};
  std::copy(counts.begin(), counts.end(), next.begin());
  for (unsigned state = 0; state < kEntropyStates; ++state) {
    const unsigned token = spread[state];
    const unsigned x = next[token]++;  // count..2 * count - 1
    const unsigned bits = kEntropyLog - FloorLog2(x);
    entries_[state] = {static_cast<uint8_t>(token), static_cast<uint8_t>(bits),
                       static_cast<uint16_t>((x << bits) - kEntropyStates)};
    states_[begin[token] + x - counts[token]] = static_cast<uint16_t>(kEntropyStates + state);
  }
  for (unsigned token = 0; token < kTokens; ++token) {
    const unsigned count = counts[token];
    if (count == 0) continue;
    // States from `threshold` on give off `most` bits, the others one less.
    const unsigned most = kEntropyLog - FloorLog2(count);
    const unsigned threshold = count << most;
    steps_[token] = {(most << 16) - threshold,
                     static_cast<int32_t>(begin[token]) - static_cast<int32_t>(count),
                     states_[begin[token]]};
  }
}

EntropyTables::EntropyTables(std::span<const TokenCounts, kCount> counts, uint8_t first)
    : first_(first) {
  for (const uint16_t count : counts[kUniversal])
    BASALT_CHECK(count > 0, "entropy tables: the universal one lacks a token");
  tables_.reserve(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    tables_.emplace_back(counts[i]);
    for (unsigned token = 0; token < kTokens; ++token) {
      const double count = counts[i][token];
      prices_[token / 2][i][token % 2] =
          count == 0
              ? kImpossible
              : static_cast<int16_t>(std::lround((kEntropyLog - std::log2(count)) * kCostOne));
    }
  }
}

EntropyTables::Choice EntropyTables::Cheapest(const TokenHistogram& histogram) const {
  std::array<uint32_t, kCount> costs;
  size_t table =
      ActiveKernels().price(histogram.data(), kPairs, prices_[0][0].data(), costs.data());
  // A token that a table lacks is dear enough to rule it out nearly always; this is for the rest.
  const auto lacks = [&](size_t of) {
    if (costs[of] < static_cast<uint32_t>(kImpossible)) return false;
    for (unsigned token = 0; token < kTokens; ++token) {
      if (histogram[token] != 0 && prices_[token / 2][of][token % 2] == kImpossible) return true;
    }
    return false;
  };
  while (table != kUniversal && lacks(table)) {
    costs[table] = UINT32_MAX;
    table = static_cast<size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
  }
  return {static_cast<uint8_t>(first_ + table), costs[table]};
}

const EntropyTables& CurrentEntropyTables() {
  static const EntropyTables tables(kTokenCounts1, 0);
  return tables;
}

const EntropyTable* FindEntropyTable(uint8_t number) {
  return number < EntropyTables::kCount ? &CurrentEntropyTables()[number] : nullptr;
}

}  // namespace basalt::storage
