// Bodies of requests in any coding: decoded or refused, and never larger than they may be.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/base/compress.h"

// The first byte chooses the coding, the second the limit.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr basalt::ContentCoding kCodings[] = {
      basalt::ContentCoding::kSnappy, basalt::ContentCoding::kZstd, basalt::ContentCoding::kGzip,
      basalt::ContentCoding::kDeflate};
  const auto coding = kCodings[data[0] % std::size(kCodings)];
  const size_t limit = size_t{data[1]} << 8;
  std::string out;
  const basalt::Status status =
      basalt::Decompress(coding, {reinterpret_cast<const char*>(data) + 2, size - 2}, limit, out);
  if (status.ok() && out.size() > limit) std::abort();
  return 0;
}
