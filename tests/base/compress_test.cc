#include "engine/base/compress.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "engine/base/varint.h"

namespace basalt {
namespace {

constexpr size_t kLimit = 1 << 20;
const ContentCoding kAll[] = {ContentCoding::kIdentity, ContentCoding::kSnappy,
                              ContentCoding::kZstd, ContentCoding::kGzip, ContentCoding::kDeflate};

RC_GTEST_PROP(Compress, DecompressInvertsIt, (const std::string& body)) {
  for (const ContentCoding coding : kAll) {
    std::string packed;
    std::string back;
    RC_ASSERT(Compress(coding, body, packed).ok());
    RC_ASSERT(Decompress(coding, packed, kLimit, back).ok());
    RC_ASSERT(back == body);
  }
}

TEST(Decompress, StopsAtItsLimitAndOneBelowIsFine) {
  const std::string body(100'000, 'x');
  for (const ContentCoding coding : kAll) {
    std::string packed;
    std::string back;
    ASSERT_TRUE(Compress(coding, body, packed).ok());
    EXPECT_TRUE(Decompress(coding, packed, body.size(), back).ok()) << static_cast<int>(coding);
    EXPECT_EQ(Decompress(coding, packed, body.size() - 1, back).code(),
              StatusCode::kResourceExhausted)
        << static_cast<int>(coding);
  }
}

TEST(Decompress, RejectsCutAndForeignBytes) {
  const std::string body(5000, 'y');
  for (const ContentCoding coding : kAll) {
    if (coding == ContentCoding::kIdentity) continue;
    std::string packed;
    std::string back;
    ASSERT_TRUE(Compress(coding, body, packed).ok());
    for (size_t n = 0; n < packed.size(); ++n) {
      const Status status = Decompress(coding, packed.substr(0, n), kLimit, back);
      // Nothing at all is an empty zstd stream; everything else that is cut must be noticed.
      if (n == 0 && coding == ContentCoding::kZstd) continue;
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument)
          << static_cast<int>(coding) << " cut at " << n;
    }
    EXPECT_EQ(Decompress(coding, "\xff\xff\xff\xff not it", kLimit, back).code(),
              StatusCode::kInvalidArgument);
  }
}

TEST(Decompress, DoesNotBelieveASnappyHeader) {
  std::string back;
  // Claims 1 MiB - 1 in three bytes, followed by one literal.
  EXPECT_EQ(
      Decompress(ContentCoding::kSnappy, std::string("\xff\xff\x3f\x00z", 5), kLimit, back).code(),
      StatusCode::kInvalidArgument);
}

TEST(ContentCoding, KnowsItsNames) {
  EXPECT_EQ(ParseContentCoding("Snappy").value(), ContentCoding::kSnappy);
  EXPECT_EQ(ParseContentCoding("").value(), ContentCoding::kIdentity);
  EXPECT_EQ(ParseContentCoding("br").status().code(), StatusCode::kInvalidArgument);
}

// Snappy's elements a byte at a time, as the format's description says; the kernel's measure.
bool PlainUnsnap(std::string_view in, size_t bytes, std::string& out) {
  out.clear();
  size_t at = 0;
  const auto little = [&](size_t n, size_t& v) {
    v = 0;
    if (in.size() - at < n) return false;
    for (size_t i = 0; i < n; ++i) v |= size_t{static_cast<unsigned char>(in[at++])} << (8 * i);
    return true;
  };
  while (at < in.size()) {
    const auto tag = static_cast<unsigned char>(in[at++]);
    size_t length = (tag >> 2U) + 1;
    size_t offset = 0;
    if ((tag & 3U) == 0) {
      if (length > 60) {
        if (!little(length - 60, length)) return false;
        ++length;
      }
      if (in.size() - at < length || bytes - out.size() < length) return false;
      out.append(in.substr(at, length));
      at += length;
      continue;
    }
    if (!little((tag & 3U) == 3 ? 4 : tag & 3U, offset)) return false;
    if ((tag & 3U) == 1) {
      offset |= static_cast<size_t>(tag >> 5U) << 8;
      length = 4 + ((tag >> 2U) & 7U);
    }
    if (offset == 0 || offset > out.size() || bytes - out.size() < length) return false;
    for (; length > 0; --length) out += out[out.size() - offset];
  }
  return out.size() == bytes;
}

// Elements of every kind, lengths and distances as they fall.
std::string AnyElements(std::mt19937_64& random, size_t count, size_t& makes) {
  std::string in;
  makes = 0;
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t i = 0; i < count; ++i) {
    const size_t kind = makes == 0 ? 0 : below(4);
    if (kind == 0) {
      const size_t length = 1 + (below(8) == 0 ? below(300) : below(60));
      if (length <= 60) {
        in += static_cast<char>((length - 1) << 2);
      } else {
        in += static_cast<char>(61 << 2);
        in += static_cast<char>(length - 1);
        in += static_cast<char>((length - 1) >> 8);
      }
      for (size_t b = 0; b < length; ++b) in += static_cast<char>(random());
      makes += length;
      continue;
    }
    const size_t far = std::min<size_t>(makes, kind == 1 ? 2047 : 65535);
    const size_t offset = 1 + (below(2) == 0 ? below(std::min<size_t>(far, 24)) : below(far));
    const size_t length = kind == 1 ? 4 + below(8) : 1 + below(64);
    if (kind == 1) {
      in += static_cast<char>(1 | (length - 4) << 2 | offset >> 8 << 5);
    } else {
      in += static_cast<char>(kind | (length - 1) << 2);
    }
    for (size_t b = 0; b < (kind == 3 ? 4 : kind); ++b) in += static_cast<char>(offset >> (8 * b));
    makes += length;
  }
  return in;
}

std::string WithLength(size_t bytes, std::string_view elements) {
  std::string body;
  AppendVarint(bytes, body);
  return body.append(elements);
}

TEST(Unsnap, MakesOfAnyElementsWhatTheirDescriptionSays) {
  std::mt19937_64 random(1);
  std::string plain;
  std::string out;
  for (int round = 0; round < 3000; ++round) {
    size_t makes = 0;
    const std::string elements = AnyElements(random, 1 + random() % 60, makes);
    ASSERT_TRUE(PlainUnsnap(elements, makes, plain));
    ASSERT_TRUE(Decompress(ContentCoding::kSnappy, WithLength(makes, elements), kLimit, out).ok());
    ASSERT_EQ(out, plain) << "round " << round;
    for (const size_t wrong : {makes - 1, makes + 1}) {
      EXPECT_EQ(Decompress(ContentCoding::kSnappy, WithLength(wrong, elements), kLimit, out).code(),
                StatusCode::kInvalidArgument);
    }
  }
}

TEST(Unsnap, TakesAndRefusesWhatThePlainDecoderDoes) {
  std::mt19937_64 random(2);
  std::string plain;
  std::string out;
  size_t taken = 0;
  constexpr int kRounds = 20000;
  for (int round = 0; round < kRounds; ++round) {
    size_t makes = 0;
    std::string elements = AnyElements(random, 1 + random() % 20, makes);
    for (uint64_t flips = random() % 4; flips > 0; --flips)
      elements[random() % elements.size()] ^= static_cast<char>(1 << random() % 8);
    if (random() % 8 == 0) elements.resize(random() % elements.size());
    const bool sound = PlainUnsnap(elements, makes, plain);
    const Status status =
        Decompress(ContentCoding::kSnappy, WithLength(makes, elements), kLimit, out);
    // A claim that nothing of this size can make good is refused before that.
    ASSERT_EQ(status.ok(), sound) << "round " << round << ": " << status.ToString();
    if (!sound) continue;
    ASSERT_EQ(out, plain) << "round " << round;
    ++taken;
  }
  EXPECT_GT(taken, kRounds / 10);
  EXPECT_LT(taken, kRounds * 9 / 10);
}

TEST(Decompress, AZstdBodyOfManyFramesAndOneThatHidesItsSizeAreWhole) {
  const std::string one(70'000, 'a');
  std::string packed;
  ASSERT_TRUE(Compress(ContentCoding::kZstd, one, packed).ok());
  std::string back;
  ASSERT_TRUE(Decompress(ContentCoding::kZstd, packed + packed, kLimit, back).ok());
  EXPECT_EQ(back, one + one);
  // Its size is known and honest, but far beyond the body: unpacked as it comes, up to the limit.
  EXPECT_EQ(Decompress(ContentCoding::kZstd, packed + packed, one.size(), back).code(),
            StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace basalt
