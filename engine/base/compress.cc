#include "engine/base/compress.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

#include "engine/base/snappy_block.h"
#include "engine/base/varint.h"

namespace basalt {
namespace {

// Bodies grow by pieces of this size while their length is unknown.
constexpr size_t kPiece = 64 << 10;

// Metrics pack to a twentieth; what claims more is unpacked as it comes.
constexpr size_t kUsualZstdRatio = 64;

Status TooLarge(const char* coding, size_t max_bytes) {
  return ResourceExhausted(std::string(coding) + " body: more than " + std::to_string(max_bytes) +
                           " bytes when decompressed");
}

Status Unsnap(std::string_view body, size_t max_bytes, std::string& out) {
  VarintReader reader(body);
  uint64_t n = 0;
  if (!reader.Read(n) || n > UINT32_MAX)
    return InvalidArgument("snappy body: no valid length at its start");
  if (n > max_bytes) return TooLarge("snappy", max_bytes);
  // Snappy cannot grow a byte to more than ~21 (a 3-byte copy yields 64): a claim beyond that is a
  // lie, and is refused before it makes us allocate.
  if (n > body.size() * 22 + 64)
    return InvalidArgument("snappy body: claims " + std::to_string(n) + " bytes, has " +
                           std::to_string(body.size()));
  out.resize(n);
  if (!DecodeSnappyElements(body.substr(body.size() - reader.remaining()), out)) {
    out.clear();
    return InvalidArgument("snappy body: corrupt");
  }
  return OkStatus();
}

Status Unzstd(std::string_view body, size_t max_bytes, std::string& out) {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  thread_local const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  // The window bounds what the decoder itself allocates.
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, 27);
  // Senders say how much it will be: then it is made in one go, without the stream's window. A
  // claim far beyond the body may be true, but has to prove itself piece by piece.
  const unsigned long long claimed = ZSTD_getFrameContentSize(body.data(), body.size());
  if (claimed <= std::min(max_bytes, std::max(kPiece, body.size() * kUsualZstdRatio)) &&
      ZSTD_findFrameCompressedSize(body.data(), body.size()) == body.size()) {
    out.resize(claimed);
    const size_t made =
        ZSTD_decompressDCtx(context.get(), out.data(), out.size(), body.data(), body.size());
    if (ZSTD_isError(made) == 0 && made == claimed) return OkStatus();
    out.clear();
    return InvalidArgument(std::string("zstd body: ") +
                           (ZSTD_isError(made) != 0 ? ZSTD_getErrorName(made) : "cut short"));
  }
  out.clear();
  ZSTD_inBuffer in{body.data(), body.size(), 0};
  size_t left = 1;  // 0 at the end of a frame
  while (in.pos < in.size) {
    const size_t old = out.size();
    out.resize(std::min(old + std::max(kPiece, body.size() * 2), max_bytes + 1));
    ZSTD_outBuffer piece{out.data() + old, out.size() - old, 0};
    left = ZSTD_decompressStream(context.get(), &piece, &in);
    out.resize(old + piece.pos);
    if (ZSTD_isError(left) != 0) {
      out.clear();
      return InvalidArgument(std::string("zstd body: ") + ZSTD_getErrorName(left));
    }
    if (out.size() > max_bytes) {
      out.clear();
      return TooLarge("zstd", max_bytes);
    }
  }
  if (left != 0) {
    out.clear();
    return InvalidArgument("zstd body: cut short");
  }
  return OkStatus();
}

// gzip, or deflate in zlib's wrapping as HTTP means it.
Status Inflate(const char* name, int window_bits, std::string_view body, size_t max_bytes,
               std::string& out) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK)
    return Internal(std::string(name) + " body: no decoder");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  out.clear();
  stream.next_in = reinterpret_cast<Bytef*>(
      const_cast<char*>(body.data()));  // zlib's signature; it does not write
  stream.avail_in = static_cast<uInt>(body.size());
  int rc = Z_OK;
  while (rc != Z_STREAM_END) {
    const size_t old = out.size();
    out.resize(std::min(old + std::max(kPiece, body.size() * 2), max_bytes + 1));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + old);
    stream.avail_out = static_cast<uInt>(out.size() - old);
    rc = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() > max_bytes) {
      out.clear();
      return TooLarge(name, max_bytes);
    }
    // Without progress the input has ended before the stream did.
    if ((rc != Z_OK && rc != Z_STREAM_END) ||
        (rc == Z_OK && out.size() == old && stream.avail_in == 0)) {
      const std::string why = stream.msg == nullptr ? "cut short" : stream.msg;
      out.clear();
      return InvalidArgument(std::string(name) + " body: " + why);
    }
  }
  return OkStatus();
}

}  // namespace

Result<ContentCoding> ParseContentCoding(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.empty() || lower == "identity") return ContentCoding::kIdentity;
  if (lower == "snappy") return ContentCoding::kSnappy;
  if (lower == "zstd") return ContentCoding::kZstd;
  if (lower == "gzip" || lower == "x-gzip") return ContentCoding::kGzip;
  if (lower == "deflate") return ContentCoding::kDeflate;
  return InvalidArgument("Content-Encoding: unknown coding \"" + std::string(name) +
                         "\"; known are snappy, zstd, gzip, deflate, identity");
}

Status Decompress(ContentCoding coding, std::string_view body, size_t max_bytes, std::string& out) {
  switch (coding) {
    case ContentCoding::kIdentity:
      if (body.size() > max_bytes) return TooLarge("plain", max_bytes);
      out.assign(body);
      return OkStatus();
    case ContentCoding::kSnappy:
      return Unsnap(body, max_bytes, out);
    case ContentCoding::kZstd:
      return Unzstd(body, max_bytes, out);
    case ContentCoding::kGzip:
      return Inflate("gzip", 15 + 16, body, max_bytes, out);
    case ContentCoding::kDeflate:
      return Inflate("deflate", 15, body, max_bytes, out);
  }
  return Internal("unknown content coding");
}

Status Compress(ContentCoding coding, std::string_view body, std::string& out) {
  switch (coding) {
    case ContentCoding::kIdentity:
      out.assign(body);
      return OkStatus();
    case ContentCoding::kSnappy:
      snappy::Compress(body.data(), body.size(), &out);
      return OkStatus();
    case ContentCoding::kZstd: {
      out.resize(ZSTD_compressBound(body.size()));
      const size_t n = ZSTD_compress(out.data(), out.size(), body.data(), body.size(), 1);
      if (ZSTD_isError(n) != 0) return Internal(std::string("zstd: ") + ZSTD_getErrorName(n));
      out.resize(n);
      return OkStatus();
    }
    case ContentCoding::kGzip: {
      out.clear();
      GzipStream stream;
      stream.Write(body, out);
      stream.Finish(out);
      return OkStatus();
    }
    case ContentCoding::kDeflate: {
      uLongf n = compressBound(body.size());
      out.resize(n);
      if (compress2(reinterpret_cast<Bytef*>(out.data()), &n,
                    reinterpret_cast<const Bytef*>(body.data()), body.size(), 1) != Z_OK) {
        return Internal("deflate: failed");
      }
      out.resize(n);
      return OkStatus();
    }
  }
  return Internal("unknown content coding");
}

struct GzipStream::Impl {
  z_stream stream{};
  void Deflate(std::string_view piece, int flush, std::string& out) {
    stream.next_in = reinterpret_cast<Bytef*>(
        const_cast<char*>(piece.data()));  // zlib's signature; it does not write
    stream.avail_in = static_cast<uInt>(piece.size());
    std::array<Bytef, 16 << 10>
        buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by deflate
    do {
      stream.next_out = buffer.data();
      stream.avail_out = buffer.size();
      deflate(&stream, flush);
      out.append(reinterpret_cast<const char*>(buffer.data()), buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
};

GzipStream::GzipStream(int level) : impl_(std::make_unique<Impl>()) {
  const int rc = deflateInit2(&impl_->stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  BASALT_CHECK(rc == Z_OK, "zlib cannot start");
}
GzipStream::~GzipStream() {
  if (impl_ != nullptr) deflateEnd(&impl_->stream);
}
GzipStream::GzipStream(GzipStream&&) noexcept = default;
GzipStream& GzipStream::operator=(GzipStream&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
void GzipStream::Write(std::string_view piece, std::string& out) {
  impl_->Deflate(piece, Z_NO_FLUSH, out);
}
void GzipStream::Finish(std::string& out) { impl_->Deflate({}, Z_FINISH, out); }

}  // namespace basalt
