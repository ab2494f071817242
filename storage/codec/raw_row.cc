#include "storage/codec/raw_row.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/base/status.h"
#include "engine/base/varint.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

constexpr int kLevel = 3;  // higher ones gain nothing over 2 KiB
constexpr size_t kPlanes = sizeof(double);
constexpr size_t kMaxChunkBytes = kRowEntryInterval * kPlanes;

// zstd's working memory, once a thread: making it costs more than a row.
ZSTD_CCtx* Compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                                  &ZSTD_freeCCtx);
  BASALT_CHECK(context != nullptr, "raw row: no memory for zstd");
  return context.get();
}
ZSTD_DCtx* Decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                                  &ZSTD_freeDCtx);
  BASALT_CHECK(context != nullptr, "raw row: no memory for zstd");
  return context.get();
}

using Planes = std::array<char, kMaxChunkBytes>;

// Byte k of value i stands at k * n + i.
void Split(std::span<const double> values, Planes& planes) {
  for (size_t i = 0; i < values.size(); ++i) {
    std::array<char, kPlanes> bytes;
    std::memcpy(bytes.data(), &values[i], kPlanes);
    for (size_t k = 0; k < kPlanes; ++k) planes[k * values.size() + i] = bytes[k];
  }
}
void Join(const Planes& planes, std::span<double> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    std::array<char, kPlanes> bytes;
    for (size_t k = 0; k < kPlanes; ++k) bytes[k] = planes[k * values.size() + i];
    std::memcpy(&values[i], bytes.data(), kPlanes);
  }
}

}  // namespace

bool AppendRawRow(std::span<const double> values, size_t most_bytes, std::string& out) {
  std::string row(1, static_cast<char>(kRawMethod));
  Planes planes;
  std::array<char, ZSTD_COMPRESSBOUND(kMaxChunkBytes)> packed;
  for (size_t i = 0; i < values.size(); i += kRowEntryInterval) {
    const auto chunk = values.subspan(i, std::min(kRowEntryInterval, values.size() - i));
    Split(chunk, planes);
    const size_t size = ZSTD_compressCCtx(Compressor(), packed.data(), packed.size(), planes.data(),
                                          chunk.size_bytes(), kLevel);
    if (ZSTD_isError(size) != 0 || row.size() + size > most_bytes) return false;
    AppendVarint(size, row);
    row.append(packed.data(), size);
  }
  if (row.size() > most_bytes) return false;
  out += row;
  return true;
}

bool ReadRawRow(std::string_view in, size_t samples, size_t first, std::span<double> out) {
  VarintReader reader(in);
  Planes planes;
  std::array<double, kRowEntryInterval> values;
  for (size_t i = 0; i < samples; i += kRowEntryInterval) {
    std::string_view packed;
    if (!reader.ReadString(packed)) return false;
    const size_t n = std::min(kRowEntryInterval, samples - i);
    if (i + n <= first || i >= first + out.size()) continue;
    const size_t size = ZSTD_decompressDCtx(Decompressor(), planes.data(), n * kPlanes,
                                            packed.data(), packed.size());
    if (size != n * kPlanes) return false;
    Join(planes, std::span(values).first(n));
    const size_t begin = std::max(i, first);
    const size_t end = std::min(i + n, first + out.size());
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(begin - i), end - begin,
                out.begin() + static_cast<ptrdiff_t>(begin - first));
  }
  return reader.done();
}

}  // namespace basalt::storage
