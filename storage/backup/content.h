// storage/backup/content.h -- the content of a file: copied, and hashed while it is read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "storage/log/files.h"

namespace basalt::storage {

// The hash of a content: XXH3-128 over the XXH3-128 of each of its pieces of this size. So it is
// computed with one buffer, and in any order or in parallel should that ever pay.
inline constexpr size_t kPieceBytes = 1u << 20;

class ContentHash {
 public:
  // Pieces in order, all but the last of kPieceBytes.
  void Add(std::string_view piece);
  [[nodiscard]] Hash128 Finish() const { return HashBytes128(pieces_); }

 private:
  std::string pieces_;  // big-endian
};

// Called for each piece that was read; an error ends the work and is its result.
using PieceRead = std::function<Status(size_t bytes)>;

struct Content {
  Hash128 hash;
  uint64_t bytes = 0;
};

// Reads `from` to its end as it is now; with `to`, writes the same bytes there. `to` is not synced.
Result<Content> ReadContent(const File& from, File* to, const PieceRead& on_piece);

// Hash of the last kTailBytes of a file, for telling whether it has changed.
inline constexpr size_t kTailBytes = 64u << 10;
Result<uint64_t> TailHash(const File& file, uint64_t bytes);

// Everything below `root` that is a file, as paths relative to it, sorted. `skip(path)`: leave it
// out, with all that is below it.
Result<std::vector<std::string>> ListTree(Files& files, const std::string& root,
                                          const std::function<bool(const std::string&)>& skip);

}  // namespace basalt::storage
