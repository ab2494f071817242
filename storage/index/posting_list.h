// storage/index/posting_list.h -- a set of numbers that grows one by one: the series of a group or
// shape, the groups and shapes that carry a label.
//
// Most lists of a churning fleet are short, where a roaring bitmap costs 150 bytes and more; up to
// three numbers stand in the 16 bytes of the list itself, up to kMaxArray in an array beside it,
// more in a bitmap.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <roaring/roaring.hh>
#include <span>

namespace basalt::storage::index_internal {

// One appender under the index's lock, readers under its shared lock.
class PostingList {
 public:
  PostingList() = default;
  ~PostingList() {
    if (count_ > kMaxArray) {
      delete static_cast<Roaring*>(pointer());
    } else if (count_ > kMaxInside) {
      delete[] static_cast<uint32_t*>(pointer());
    }
  }
  PostingList(const PostingList&) = delete;
  PostingList& operator=(const PostingList&) = delete;

  // `number` is not in it; in any order, rising is cheapest.
  void Append(uint32_t number) {
    if (count_ < kMaxInside) {
      inside_[count_] = number;
    } else if (count_ < kMaxArray) {
      if (count_ == kMaxInside || CapacityFor(count_ + 1) != CapacityFor(count_)) {
        auto* const bigger = new uint32_t[CapacityFor(count_ + 1)];
        std::memcpy(bigger, numbers(), count_ * sizeof(uint32_t));
        if (count_ > kMaxInside) delete[] static_cast<uint32_t*>(pointer());
        SetPointer(bigger);
      }
      static_cast<uint32_t*>(pointer())[count_] = number;
    } else if (count_ == kMaxArray) {
      auto* const made = new Roaring(count_, numbers());
      delete[] static_cast<uint32_t*>(pointer());
      SetPointer(made);
      made->add(number);
    } else {
      auto* const made = static_cast<Roaring*>(pointer());
      made->add(number);
      // A target's series are neighbours, so its group is a few runs: 4 bytes each instead of 2 a
      // series. Asked at doublings, so that the cost a number is constant.
      if (std::has_single_bit(count_)) made->runOptimize();
    }
    ++count_;
  }

  [[nodiscard]] uint32_t cardinality() const { return count_; }
  [[nodiscard]] bool is_bitmap() const { return count_ > kMaxArray; }
  // Of a bitmap.
  [[nodiscard]] const Roaring& bitmap() const { return *static_cast<const Roaring*>(pointer()); }
  // Of a list that is no bitmap; in the order of Append.
  [[nodiscard]] std::span<const uint32_t> few() const { return {numbers(), count_}; }

  template <typename Fn>
  void ForEach(const Fn& fn) const {
    if (is_bitmap()) {
      for (const uint32_t number : bitmap()) fn(number);
    } else {
      for (const uint32_t number : few()) fn(number);
    }
  }
  [[nodiscard]] bool Intersects(const Roaring& other) const {
    if (is_bitmap()) return bitmap().intersect(other);
    for (const uint32_t number : few()) {
      if (other.contains(number)) return true;
    }
    return false;
  }
  [[nodiscard]] uint64_t CountIn(const Roaring& other) const {
    if (is_bitmap()) return bitmap().and_cardinality(other);
    uint64_t n = 0;
    for (const uint32_t number : few()) n += other.contains(number) ? 1 : 0;
    return n;
  }
  [[nodiscard]] size_t heap_bytes() const {
    constexpr size_t kRoaringOverhead = sizeof(Roaring) + 64;  // its arrays of containers
    if (is_bitmap()) return kRoaringOverhead + bitmap().getSizeInBytes();
    return count_ > kMaxInside ? CapacityFor(count_) * sizeof(uint32_t) : 0;
  }

 private:
  static constexpr uint32_t kMaxInside = 3;
  // Where a bitmap of scattered numbers, 2 bytes each and its overhead, becomes the smaller.
  static constexpr uint32_t kMaxArray = 64;

  // Eight more at a time.
  static size_t CapacityFor(uint32_t count) { return (size_t{count} + 7) / 8 * 8; }
  [[nodiscard]] const uint32_t* numbers() const {
    return count_ <= kMaxInside ? inside_.data() : static_cast<const uint32_t*>(pointer());
  }
  // The pointer stands in the memory of `inside_`.
  [[nodiscard]] void* pointer() const {
    void* p = nullptr;
    std::memcpy(static_cast<void*>(&p), inside_.data(), sizeof p);
    return p;
  }
  void SetPointer(void* p) { std::memcpy(inside_.data(), static_cast<const void*>(&p), sizeof p); }

  uint32_t count_ = 0;
  std::array<uint32_t, kMaxInside> inside_{};
};

}  // namespace basalt::storage::index_internal
