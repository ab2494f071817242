#include "engine/base/compress.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

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

}  // namespace
}  // namespace basalt
