#include "storage/head/byte_arena.h"

#include <algorithm>

#include "engine/base/status.h"

namespace basalt::storage {

uint8_t ByteArena::ClassFor(size_t bytes) {
  const auto* found = std::lower_bound(kClassBytes.begin(), kClassBytes.end(), bytes);
  BASALT_CHECK(found != kClassBytes.end(), "a buffer beyond the largest size class");
  return static_cast<uint8_t>(found - kClassBytes.begin());
}

ByteArena::Ref ByteArena::Allocate(uint8_t size_class) {
  const size_t bytes = ClassBytes(size_class);
  used_bytes_ += bytes;
  if (std::vector<Ref>& free = free_[size_class]; !free.empty()) {
    const Ref ref = free.back();
    free.pop_back();
    return ref;
  }
  if (page_used_ + bytes > kPageBytes) {
    // The rest of the page serves the smaller classes rather than nobody.
    for (size_t c = size_class; c-- > 0;) {
      while (page_used_ + kClassBytes[c] <= kPageBytes && !pages_.empty()) {
        free_[c].push_back(
            static_cast<Ref>((pages_.size() - 1) * kUnitsPerPage + page_used_ / kUnitBytes));
        page_used_ += kClassBytes[c];
      }
    }
    BASALT_CHECK(pages_.size() < kNone / kUnitsPerPage, "64 GiB of open rows in one partition");
    pages_.push_back(std::make_unique<std::byte[]>(kPageBytes));
    page_used_ = 0;
  }
  const auto ref = static_cast<Ref>((pages_.size() - 1) * kUnitsPerPage + page_used_ / kUnitBytes);
  page_used_ += bytes;
  return ref;
}

void ByteArena::Free(Ref ref, uint8_t size_class) {
  used_bytes_ -= ClassBytes(size_class);
  free_[size_class].push_back(ref);
}

}  // namespace basalt::storage
