// storage/index/stable_vector.h -- a vector that never moves its elements: one thread appends, any
// number read.
//
// Segments double in size, so 27 pointers reach 2^32 elements and an index costs two shifts. Memory
// beyond the last element is untouched, so the operating system has not given it yet.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "engine/base/status.h"

namespace basalt::storage::index_internal {

// One appender at a time. A reader may touch element i once it knows of it: from size(), or from
// anything that the appender published after appending i.
template <typename T>
class StableVector {
 public:
  StableVector() = default;
  ~StableVector() {
    const size_t n = size();
    for (size_t s = 0; s < kSegments; ++s) {
      T* const segment = segments_[s].load(std::memory_order_relaxed);
      if (segment == nullptr) break;
      if constexpr (!std::is_trivially_destructible_v<T>) {
        const size_t first = SegmentSize(s) - kFirst;
        for (size_t i = first; i < n && i < first + SegmentSize(s); ++i) {
          std::destroy_at(segment + (i - first));
        }
      }
      std::allocator<T>().deallocate(segment, SegmentSize(s));
    }
  }
  StableVector(const StableVector&) = delete;
  StableVector& operator=(const StableVector&) = delete;

  [[nodiscard]] size_t size() const { return size_.load(std::memory_order_acquire); }
  [[nodiscard]] bool empty() const { return size() == 0; }

  T& operator[](size_t i) { return *At(i); }
  const T& operator[](size_t i) const { return *At(i); }

  template <typename... Args>
  T& Append(Args&&... args) {
    const size_t i = size_.load(std::memory_order_relaxed);
    const size_t s = SegmentOf(i);
    BASALT_CHECK(s < kSegments, "StableVector is full");
    T* segment = segments_[s].load(std::memory_order_relaxed);
    if (segment == nullptr) {
      segment = std::allocator<T>().allocate(SegmentSize(s));
      segments_[s].store(segment, std::memory_order_release);
    }
    T* const slot =
        std::construct_at(segment + (i + kFirst - SegmentSize(s)), std::forward<Args>(args)...);
    size_.store(i + 1, std::memory_order_release);
    return *slot;
  }

 private:
  static constexpr size_t kFirstBits = 4;
  static constexpr size_t kFirst = size_t{1} << kFirstBits;
  static constexpr size_t kSegments = 33 - kFirstBits;

  static size_t SegmentOf(size_t i) {
    return static_cast<size_t>(std::bit_width(i + kFirst)) - 1 - kFirstBits;
  }
  static size_t SegmentSize(size_t s) { return kFirst << s; }
  T* At(size_t i) const {
    const size_t s = SegmentOf(i);
    return segments_[s].load(std::memory_order_acquire) + (i + kFirst - SegmentSize(s));
  }

  std::array<std::atomic<T*>, kSegments> segments_{};
  std::atomic<size_t> size_{0};
};

// Runs of trivially copyable elements, each run contiguous and never moved. As StableVector:
// one appender, many readers.
template <typename T>
class RunArena {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Where the run begins; valid as long as the arena.
  const T* Append(const T* data, size_t n) {
    if (n > free_) Grow(n);
    T* const out = next_;
    for (size_t i = 0; i < n; ++i) out[i] = data[i];
    next_ += n;
    free_ -= n;
    return out;
  }
  [[nodiscard]] size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  // Chunks grow with the arena, so that a small index stays small.
  void Grow(size_t n) {
    const size_t want = std::min(kMaxChunk, std::max(kMinChunk, bytes() / sizeof(T) / 4));
    free_ = std::max(n, want);
    T* const chunk = chunks_.emplace_back(std::make_unique_for_overwrite<T[]>(free_)).get();
    next_ = chunk;
    bytes_.fetch_add(free_ * sizeof(T), std::memory_order_relaxed);
  }
  static constexpr size_t kMinChunk = 1024;
  static constexpr size_t kMaxChunk = size_t{1} << 18;

  std::vector<std::unique_ptr<T[]>> chunks_;
  T* next_ = nullptr;
  size_t free_ = 0;
  std::atomic<size_t> bytes_{0};
};

}  // namespace basalt::storage::index_internal
