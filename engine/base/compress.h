// engine/base/compress.h -- the codecs of request and response bodies: snappy, zstd, gzip, deflate.
//
// Decoders take bytes from the network: the size that a header claims is checked against
// `max_bytes` before anything is allocated, and growth is checked as it happens. Stored bytes have
// codecs of their own, in storage/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt {

enum class ContentCoding : uint8_t { kIdentity, kSnappy, kZstd, kGzip, kDeflate };

// "snappy", "zstd", "gzip", "x-gzip", "deflate", "identity" and "" (case folded). kInvalidArgument
// otherwise.
Result<ContentCoding> ParseContentCoding(std::string_view name);

// Replaces `out` by the decoded body; its capacity is reused. Snappy is the block format, as remote
// write uses. Errors: kInvalidArgument (the bytes are not of that coding), kResourceExhausted (more
// than `max_bytes`).
Status Decompress(ContentCoding coding, std::string_view body, size_t max_bytes, std::string& out);

// One-shot encoders. kIdentity copies.
Status Compress(ContentCoding coding, std::string_view body, std::string& out);

// Gzip piece by piece, for streamed answers. One thread.
class GzipStream {
 public:
  explicit GzipStream(int level = 1);  // 1: bodies are made once and read once
  ~GzipStream();
  GzipStream(GzipStream&&) noexcept;
  GzipStream& operator=(GzipStream&&) noexcept;
  // Appends what is ready to `out`.
  void Write(std::string_view piece, std::string& out);
  // Appends the rest and the trailer. Nothing may follow.
  void Finish(std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt
