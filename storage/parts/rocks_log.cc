#include "storage/parts/rocks_log.h"

#include <rocksdb/env.h>

#include <memory>
#include <span>
#include <string_view>

#include "engine/base/hash.h"
#include "storage/parts/rocks.h"

namespace basalt::storage {
namespace {

constexpr size_t kBlockBytes = 32'768;
constexpr size_t kHeaderBytes = 7;             // CRC, length u16, type
constexpr size_t kRecyclableHeaderBytes = 11;  // and the log's number
constexpr uint8_t kFirstRecyclable = 5;
constexpr uint8_t kLastRecyclable = 8;
constexpr uint32_t kMaskDelta = 0xA282'EAD8;

uint32_t Little32(std::string_view bytes) {
  uint32_t v = 0;
  for (size_t i = 4; i-- > 0;) v = v << 8 | static_cast<unsigned char>(bytes[i]);
  return v;
}

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - kMaskDelta;
  return rotated >> 17 | rotated << 15;
}

// The sound records at the begin of a block.
struct BlockCheck {
  uint64_t records = 0;
  size_t end = 0;      // behind them
  bool whole = false;  // only padding follows, or nothing
};

BlockCheck CheckBlock(std::string_view block) {
  BlockCheck check;
  while (check.end + kHeaderBytes <= block.size()) {
    const std::string_view at = block.substr(check.end);
    const auto type = static_cast<unsigned char>(at[6]);
    const size_t length =
        static_cast<unsigned char>(at[4]) | size_t{static_cast<unsigned char>(at[5])} << 8;
    if (type == 0 && length == 0 && Little32(at) == 0) {
      // Room that was set aside; nothing but zeros can follow in the block.
      check.whole = block.find_first_not_of('\0', check.end) == std::string_view::npos;
      return check;
    }
    const bool recyclable = type >= kFirstRecyclable && type <= kLastRecyclable;
    const size_t header = recyclable ? kRecyclableHeaderBytes : kHeaderBytes;
    if (header + length > at.size()) return check;
    const std::string_view covered = at.substr(6, header - 6 + length);
    if (Unmask(Little32(at)) != Crc32c(std::as_bytes(std::span(covered.data(), covered.size())))) {
      return check;
    }
    check.end += header + length;
    ++check.records;
  }
  // Less than a header: padding with zeros, in all blocks but the last.
  check.whole = block.find_first_not_of('\0', check.end) == std::string_view::npos;
  return check;
}

}  // namespace

Result<RocksLogCheck> CheckRocksLog(rocksdb::Env& env, const std::string& path) {
  std::unique_ptr<rocksdb::SequentialFile> file;
  const rocksdb::Status opened = env.NewSequentialFile(path, &file, rocksdb::EnvOptions());
  if (opened.IsPathNotFound()) return NotFound(path);
  BASALT_TRY(FromRocks(opened, "open " + path));
  RocksLogCheck check;
  std::string buffer(kBlockBytes, '\0');
  std::string suspect;  // where the first record stands that does not check
  while (true) {
    size_t filled = 0;
    while (filled < kBlockBytes) {
      rocksdb::Slice got;
      BASALT_TRY(FromRocks(file->Read(kBlockBytes - filled, &got, buffer.data() + filled),
                           "read " + path));
      if (got.empty()) break;
      if (got.data() != buffer.data() + filled) got.ToString().copy(&buffer[filled], got.size());
      filled += got.size();
    }
    const BlockCheck block = CheckBlock(std::string_view(buffer).substr(0, filled));
    if (block.records != 0 && !suspect.empty()) {
      check.damage = suspect + " does not check, and sound ones follow";
      suspect.clear();
    }
    if (!block.whole && suspect.empty() && check.damage.empty()) {
      suspect = "offset " + std::to_string(check.bytes + block.end) + ": a record";
    }
    check.records += block.records;
    check.bytes += filled;
    if (filled < kBlockBytes) break;
  }
  check.torn = suspect;
  return check;
}

}  // namespace basalt::storage
