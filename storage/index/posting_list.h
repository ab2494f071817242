// storage/index/posting_list.h -- the ordinals of the series that carry one label.
//
// Most labels of a churning fleet belong to a handful of series, where a roaring bitmap costs 100+
// bytes; up to three ordinals stand in the 16 bytes of the list itself.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <roaring/roaring.hh>

namespace basalt::storage::index_internal {

// One appender under the index's lock, readers under its shared lock.
class PostingList {
 public:
  PostingList() = default;
  ~PostingList() {
    if (count_ == kBitmap) delete bitmap();
  }
  PostingList(const PostingList&) = delete;
  PostingList& operator=(const PostingList&) = delete;

  // `ordinal` is above all that are in it.
  void Append(uint32_t ordinal) {
    if (count_ < few_.size()) {
      few_[count_++] = ordinal;
      return;
    }
    if (count_ != kBitmap) {
      auto made = std::make_unique<Roaring>(few_.size(), few_.data());
      Roaring* const raw = made.release();
      // NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself is what is kept
      std::memcpy(few_.data(), &raw, sizeof raw);
      count_ = kBitmap;
    }
    bitmap()->add(ordinal);
  }

  [[nodiscard]] uint64_t cardinality() const {
    return count_ == kBitmap ? bitmap()->cardinality() : count_;
  }
  // The list as a bitmap: its own, or made in `scratch`.
  [[nodiscard]] const Roaring& AsBitmap(Roaring& scratch) const {
    if (count_ == kBitmap) return *bitmap();
    scratch = Roaring(count_, few_.data());
    return scratch;
  }
  void AddTo(Roaring& out) const {
    if (count_ == kBitmap) {
      out |= *bitmap();
    } else {
      for (uint32_t i = 0; i < count_; ++i) out.add(few_[i]);
    }
  }
  [[nodiscard]] bool Intersects(const Roaring& other) const {
    if (count_ == kBitmap) return bitmap()->intersect(other);
    for (uint32_t i = 0; i < count_; ++i) {
      if (other.contains(few_[i])) return true;
    }
    return false;
  }
  [[nodiscard]] bool is_bitmap() const { return count_ == kBitmap; }
  [[nodiscard]] Roaring* bitmap() const {
    Roaring* p = nullptr;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself is what is kept
    std::memcpy(&p, few_.data(), sizeof p);
    return p;
  }
  [[nodiscard]] size_t heap_bytes() const {
    return count_ == kBitmap ? sizeof(Roaring) + 32 + bitmap()->getSizeInBytes() : 0;
  }

 private:
  static constexpr uint32_t kBitmap = 0xFFFF'FFFF;
  uint32_t count_ = 0;  // of few_, or kBitmap: then few_ holds a Roaring*
  std::array<uint32_t, 3> few_{};
};

}  // namespace basalt::storage::index_internal
