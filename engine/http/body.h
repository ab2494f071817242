// engine/http/body.h -- bytes of request bodies: pooled, uninitialised, and counted while anybody
// holds them.
//
// A body is read from the socket straight into its buffer. What all bodies hold together is
// bounded, so that any number of connections cannot take more memory than the operator gave (DESIGN
// decision 15).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/mutex.h"

namespace basalt::http {

class BodyPool;

// Owns a buffer of a pool; gives it back when destroyed, on any thread. Whoever decodes a body
// keeps it until it is done with the bytes and no longer: it counts against
// BodyPool::Limits::max_in_flight_bytes. Thread-compatible.
class Body {
 public:
  Body() = default;
  ~Body() { Release(); }
  Body(Body&& other) noexcept;
  Body& operator=(Body&& other) noexcept;

  [[nodiscard]] std::string_view view() const { return {data_.get(), size_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // For whoever fills it: the bytes after size(), and "n of them are written now".
  [[nodiscard]] std::span<char> spare() { return {data_.get() + size_, capacity_ - size_}; }
  void Advance(size_t n);
  void Release();

 private:
  friend class BodyPool;
  std::shared_ptr<BodyPool> pool_;
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Thread-safe. Bodies keep it alive.
class BodyPool : public std::enable_shared_from_this<BodyPool> {
 public:
  struct Limits {
    // What bodies may hold together, counted by capacity.
    size_t max_in_flight_bytes = 256u << 20;
    // Buffers kept for reuse. Larger than any one body would be a waste, zero means none.
    size_t max_idle_bytes = 16u << 20;
  };
  // Smallest buffer; every capacity is this times a power of two, so that buffers fit one another's
  // requests.
  static constexpr size_t kMinCapacity = 16u << 10;

  explicit BodyPool(Limits limits) : limits_(limits) {}

  // Makes room in `body` for at least `capacity` bytes in all, keeping what is in it. False, and
  // nothing has changed, if that would exceed max_in_flight_bytes.
  [[nodiscard]] bool Reserve(Body& body, size_t capacity) BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t in_flight_bytes() const BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t idle_bytes() const BASALT_EXCLUDES(mu_);

 private:
  friend class Body;
  struct Idle {
    std::unique_ptr<char[]> data;
    size_t capacity;
  };
  void GiveBack(std::unique_ptr<char[]> data, size_t capacity) BASALT_EXCLUDES(mu_);

  const Limits limits_;
  mutable Mutex mu_;
  size_t in_flight_ BASALT_GUARDED_BY(mu_) = 0;
  size_t idle_bytes_ BASALT_GUARDED_BY(mu_) = 0;
  std::vector<Idle> idle_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::http
