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

BlockArena::Ref BlockArena::Allocate(Size size) {
  const size_t bytes = BlockBytes(size);
  used_bytes_ += bytes;
  Ref ref = free_[size];
  if (ref != kNone) {
    free_[size] = Next(ref);
  } else {
    if (page_used_ + bytes > kPageBytes) {
      if (page_used_ < kPageBytes) {  // room for one small block
        const auto rest =
            static_cast<Ref>((pages_.size() - 1) * kUnitsPerPage + page_used_ / kUnitBytes);
        SetNext(rest, free_[kSmall]);
        free_[kSmall] = rest;
      }
      BASALT_CHECK(pages_.size() < kNone / kUnitsPerPage, "64 GiB of open rows in one partition");
      pages_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPageBytes));
      page_used_ = 0;
    }
    ref = static_cast<Ref>((pages_.size() - 1) * kUnitsPerPage + page_used_ / kUnitBytes);
    page_used_ += bytes;
  }
  SetNext(ref, kNone);
  return ref;
}

void BlockArena::Release(Ref ref, Size size) {
  used_bytes_ -= BlockBytes(size);
  SetNext(ref, free_[size]);
  free_[size] = ref;
}

void BlockArena::Append(Chain& chain, size_t used, std::span<const std::byte> bytes) {
  if (chain.first == kNone) chain.first = chain.last = Allocate(kSmall);
  size_t fill = used == 0 ? 0 : LastFill(used);
  size_t room = (used <= kFirstData ? kFirstData : kNextData) - fill;
  while (!bytes.empty()) {
    if (room == 0) {
      const Ref next = Allocate(kLarge);
      SetNext(chain.last, next);
      chain.last = next;
      fill = 0;
      room = kNextData;
    }
    const size_t n = std::min(room, bytes.size());
    std::memcpy(block(chain.last) + kLinkBytes + fill, bytes.data(), n);
    bytes = bytes.subspan(n);
    fill += n;
    room -= n;
  }
}

std::byte& BlockArena::Last(const Chain& chain, size_t used) {
  return block(chain.last)[kLinkBytes + LastFill(used) - 1];
}

void BlockArena::CopyTo(const Chain& chain, size_t used, std::string& out) const {
  size_t data = kFirstData;
  for (Ref ref = chain.first; used > 0; ref = Next(ref), data = kNextData) {
    const size_t n = std::min(used, data);
    out.append(reinterpret_cast<const char*>(block(ref)) + kLinkBytes, n);
    used -= n;
  }
}

void BlockArena::Free(Chain& chain, size_t used) {
  Size size = kSmall;
  size_t data = kFirstData;
  for (Ref ref = chain.first; ref != kNone;) {
    const Ref next = Next(ref);
    Release(ref, size);
    used -= std::min(used, data);
    ref = next;
    size = kLarge;
    data = kNextData;
  }
  BASALT_CHECK(used == 0, "a chain has fewer blocks than its bytes need");
  chain = {};
}

}  // namespace basalt::storage
