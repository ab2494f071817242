#include "storage/head/block_arena.h"

#include <algorithm>
#include <cstring>

#include "engine/base/status.h"

namespace basalt::storage {
namespace {

constexpr size_t kLinkBytes = sizeof(BlockArena::Ref);

}  // namespace

BlockArena::Ref BlockArena::Next(Ref ref) const {
  Ref next = kNone;
  std::memcpy(&next, block(ref), kLinkBytes);
  return next;
}

void BlockArena::SetNext(Ref ref, Ref next) { std::memcpy(block(ref), &next, kLinkBytes); }

BlockArena::Ref BlockArena::Allocate() {
  if (blocks_ == chunk_blocks_) {
    BASALT_CHECK(blocks_ < kNone - kLargestChunk, "128 GiB of open rows in one group");
    const uint32_t blocks = std::min(kLargestChunk, blocks_ + 1);
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(blocks * kBlockBytes));
    chunk_blocks_ += blocks;
  }
  const Ref ref = blocks_++;
  SetNext(ref, kNone);
  return ref;
}

void BlockArena::Append(Chain& chain, size_t used, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (chain.first == kNone) chain.first = chain.last = Allocate();
  size_t fill = LastFill(used);
  while (!bytes.empty()) {
    if (fill == kDataBytes) {
      const Ref next = Allocate();
      SetNext(chain.last, next);
      chain.last = next;
      fill = 0;
    }
    const size_t n = std::min(kDataBytes - fill, bytes.size());
    std::memcpy(block(chain.last) + kLinkBytes + fill, bytes.data(), n);
    bytes = bytes.subspan(n);
    fill += n;
  }
}

void BlockArena::CopyTo(const Chain& chain, size_t used, std::string& out) const {
  for (Ref ref = chain.first; used > 0; ref = Next(ref)) {
    const size_t n = std::min(used, kDataBytes);
    out.append(reinterpret_cast<const char*>(block(ref)) + kLinkBytes, n);
    used -= n;
  }
}

void BlockArena::Clear() {
  chunks_.clear();
  chunks_.shrink_to_fit();
  blocks_ = chunk_blocks_ = 0;
}

}  // namespace basalt::storage
