// The entropy coder and its built-in tables.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <vector>

#include "engine/base/hash.h"
#include "storage/codec/entropy_coder.h"
#include "storage/codec/entropy_table.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

Lanes TwoTables(uint8_t a, uint8_t b) {
  return {2, {FindEntropyTable(a), FindEntropyTable(b), nullptr, nullptr}};
}
Lanes FourOf(uint8_t table) {
  Lanes lanes{4, {}};
  lanes.table.fill(FindEntropyTable(table));
  return lanes;
}

constexpr uint8_t kUniversal = EntropyTables::kUniversal;

std::vector<uint64_t> AnyNumbers(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> numbers(n);
  for (uint64_t& v : numbers) v = random() % 4 == 0 ? 0 : random() >> (random() % 64);
  return numbers;
}

std::vector<uint64_t> Decode(std::string_view bytes, const Lanes& lanes, size_t n) {
  std::vector<uint64_t> out(n);
  VarintReader in(bytes);
  EXPECT_TRUE(ReadEntropy(in, lanes, out));
  EXPECT_TRUE(in.done());
  return out;
}

TEST(Tokens, CoverEveryNumberOnce) {
  unsigned before = 0;
  for (unsigned bits = 0; bits < 64; ++bits) {
    for (const uint64_t v : {uint64_t{1} << bits, (uint64_t{2} << bits) - 1}) {
      const Token token = TokenOf(v);
      EXPECT_LT(token.token, kTokens);
      EXPECT_GE(token.token, before);
      before = token.token;
      if (token.token >= kDirectTokens) {
        EXPECT_EQ(v >> token.extra_bits, 1U);
      }
    }
  }
  EXPECT_EQ(TokenOf(UINT64_MAX).token, kTokens - 1);
}

TEST(EntropyTables, AreTheOnesThatWereWrittenWith) {
  // A changed table makes written data unreadable: add a set, never change one.
  std::string entries;
  for (unsigned number = 0; number < EntropyTables::kCount; ++number) {
    const EntropyTable& table = *FindEntropyTable(static_cast<uint8_t>(number));
    entries.append(reinterpret_cast<const char*>(table.entries()), kEntropyStates * 4);
  }
  EXPECT_EQ(HashBytes64(entries), 16360409751589633014U);
}

TEST(EntropyTables, UnknownNumbersHaveNoTable) {
  EXPECT_NE(FindEntropyTable(EntropyTables::kCount - 1), nullptr);
  EXPECT_EQ(FindEntropyTable(EntropyTables::kCount), nullptr);
  EXPECT_EQ(FindEntropyTable(255), nullptr);
}

TEST(EntropyTables, TheCheapestCanCodeEveryToken) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    TokenHistogram histogram{};
    const auto n = 1 + random() % kMaxSamplesPerRow;
    const auto spread = 1 + random() % kTokens;
    for (uint64_t i = 0; i < n; ++i) ++histogram[random() % spread];
    const auto choice = CurrentEntropyTables().Cheapest(histogram);
    const EntropyTable* table = FindEntropyTable(choice.table);
    ASSERT_NE(table, nullptr);
    for (unsigned token = 0; token < kTokens; ++token) {
      if (histogram[token] > 0) {
        ASSERT_NE(table->step(token).first, 0) << token;
      }
    }
  }
}

RC_GTEST_PROP(Entropy, ReadsWhatItWrote, ()) {
  const auto n = *rc::gen::inRange<size_t>(1, 2 * kMaxSamplesPerRow + 1);
  const auto numbers = AnyNumbers(n, *rc::gen::arbitrary<uint64_t>());
  for (const Lanes& lanes : {TwoTables(kUniversal, kUniversal), FourOf(kUniversal)}) {
    std::string bytes;
    AppendEntropy(numbers, lanes, bytes);
    RC_ASSERT(Decode(bytes, lanes, n) == numbers);
  }
}

TEST(Entropy, EveryLengthComesBack) {
  for (size_t n = 1; n < 300; ++n) {
    const auto numbers = AnyNumbers(n, n);
    for (const Lanes& lanes : {TwoTables(kUniversal, kUniversal), FourOf(kUniversal)}) {
      std::string bytes;
      AppendEntropy(numbers, lanes, bytes);
      ASSERT_EQ(Decode(bytes, lanes, n), numbers) << n;
    }
  }
}

TEST(Entropy, TwoListsAtOnceAreWhatTheyAreAlone) {
  for (size_t n = 1; n < 300; n += 7) {
    const auto first = AnyNumbers(n, n);
    const auto second = AnyNumbers(301 - n, n + 1000);
    for (const Lanes& lanes : {TwoTables(kUniversal, kUniversal), FourOf(kUniversal)}) {
      std::string bytes[2];
      AppendEntropy(first, lanes, bytes[0]);
      AppendEntropy(second, lanes, bytes[1]);
      std::vector<uint64_t> out[2] = {std::vector<uint64_t>(first.size()),
                                      std::vector<uint64_t>(second.size())};
      const EntropyJob jobs[2] = {{bytes[0], out[0]}, {bytes[1], out[1]}};
      ASSERT_TRUE(ReadEntropyTwo(jobs, lanes));
      ASSERT_EQ(out[0], first);
      ASSERT_EQ(out[1], second);
      bytes[1] += '\0';
      const EntropyJob longer[2] = {{bytes[0], out[0]}, {bytes[1], out[1]}};
      EXPECT_FALSE(ReadEntropyTwo(longer, lanes)) << "a byte is left over";
    }
  }
}

TEST(Entropy, EveryCutIsSeen) {
  for (const size_t n : {1U, 5U, 60U, 400U}) {
    const auto numbers = AnyNumbers(n, n);
    for (const Lanes& lanes : {TwoTables(kUniversal, kUniversal), FourOf(kUniversal)}) {
      std::string bytes;
      AppendEntropy(numbers, lanes, bytes);
      for (size_t size = 0; size < bytes.size(); ++size) {
        const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
        VarintReader in({cut.data(), cut.size()});
        std::vector<uint64_t> out(n);
        EXPECT_FALSE(ReadEntropy(in, lanes, out)) << size << " of " << bytes.size();
      }
    }
  }
}

}  // namespace
}  // namespace basalt::storage
