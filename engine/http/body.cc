#include "engine/http/body.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/base/status.h"

namespace basalt::http {

Body::Body(Body&& other) noexcept
    : pool_(std::move(other.pool_)),
      data_(std::move(other.data_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Body& Body::operator=(Body&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::move(other.pool_);
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Body::Advance(size_t n) {
  BASALT_CHECK(n <= capacity_ - size_, "body: more bytes than there is room");
  size_ += n;
}

void Body::Release() {
  if (pool_ != nullptr) pool_->GiveBack(std::move(data_), capacity_);
  pool_ = nullptr;
  size_ = 0;
  capacity_ = 0;
}

bool BodyPool::Reserve(Body& body, size_t capacity) {
  if (capacity <= body.capacity_) return true;
  // Compared before it is rounded: a claim near 2^64 has no next power of two.
  if (capacity > limits_.max_in_flight_bytes) return false;
  const size_t rounded = std::bit_ceil(std::max(capacity, kMinCapacity));
  std::unique_ptr<char[]> data;
  {
    const MutexLock lock(mu_);
    // While bytes are copied from the old buffer to the new one, both exist and both count.
    if (rounded > limits_.max_in_flight_bytes - in_flight_) return false;
    in_flight_ += rounded;
    const auto fits = std::find_if(idle_.begin(), idle_.end(), [rounded](const Idle& idle) {
      return idle.capacity == rounded;
    });
    if (fits != idle_.end()) {
      data = std::move(fits->data);
      idle_bytes_ -= rounded;
      *fits = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (data == nullptr) data = std::make_unique_for_overwrite<char[]>(rounded);
  if (body.size_ > 0) std::memcpy(data.get(), body.data_.get(), body.size_);
  const size_t size = body.size_;
  body.Release();
  body.pool_ = shared_from_this();
  body.data_ = std::move(data);
  body.size_ = size;
  body.capacity_ = rounded;
  return true;
}

void BodyPool::GiveBack(std::unique_ptr<char[]> data, size_t capacity) {
  const MutexLock lock(mu_);
  in_flight_ -= capacity;
  if (capacity > limits_.max_idle_bytes - idle_bytes_) return;
  idle_bytes_ += capacity;
  idle_.push_back({std::move(data), capacity});
}

size_t BodyPool::in_flight_bytes() const {
  const MutexLock lock(mu_);
  return in_flight_;
}

size_t BodyPool::idle_bytes() const {
  const MutexLock lock(mu_);
  return idle_bytes_;
}

}  // namespace basalt::http
