// engine/base/mutex.h -- std::mutex with clang's thread-safety annotations.
//
// A wrapper of our own because absl's mutex is invisible to the thread sanitizer when it comes from
// a package that was built without it, and std::mutex carries no annotations under libstdc++.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define BASALT_ATTRIBUTE(x) __attribute__((x))
#else
#define BASALT_ATTRIBUTE(x)
#endif
#define BASALT_CAPABILITY(x) BASALT_ATTRIBUTE(capability(x))
#define BASALT_SCOPED_CAPABILITY BASALT_ATTRIBUTE(scoped_lockable)
#define BASALT_GUARDED_BY(x) BASALT_ATTRIBUTE(guarded_by(x))
#define BASALT_PT_GUARDED_BY(x) BASALT_ATTRIBUTE(pt_guarded_by(x))
#define BASALT_REQUIRES(...) BASALT_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define BASALT_REQUIRES_SHARED(...) BASALT_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define BASALT_ACQUIRE(...) BASALT_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define BASALT_ACQUIRE_SHARED(...) BASALT_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define BASALT_RELEASE(...) BASALT_ATTRIBUTE(release_capability(__VA_ARGS__))
#define BASALT_RELEASE_SHARED(...) BASALT_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define BASALT_RELEASE_GENERIC(...) BASALT_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define BASALT_EXCLUDES(...) BASALT_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define BASALT_NO_THREAD_SAFETY_ANALYSIS BASALT_ATTRIBUTE(no_thread_safety_analysis)

namespace basalt {

class BASALT_CAPABILITY("mutex") Mutex {
 public:
  void Lock() BASALT_ACQUIRE() { mu_.lock(); }
  void Unlock() BASALT_RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  friend class MutexLock;
  std::mutex mu_;
};

class BASALT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mu) BASALT_ACQUIRE(mu) : lock_(mu.mu_) {}
  ~MutexLock() BASALT_RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  // For leaving the critical section early and coming back.
  void Unlock() BASALT_RELEASE() { lock_.unlock(); }
  void Lock() BASALT_ACQUIRE() { lock_.lock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

// Wait() releases the lock while it waits, as std::condition_variable does; wake-ups may be
// spurious, so wait in a loop.
class CondVar {
 public:
  void Wait(MutexLock& lock) { cv_.wait(lock.lock_); }
  // False if `timeout` passed first.
  bool WaitFor(MutexLock& lock, std::chrono::nanoseconds timeout) {
    return cv_.wait_for(lock.lock_, timeout) == std::cv_status::no_timeout;
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

// Many readers or one writer.
class BASALT_CAPABILITY("shared_mutex") SharedMutex {
 public:
  void Lock() BASALT_ACQUIRE() { mu_.lock(); }
  void Unlock() BASALT_RELEASE() { mu_.unlock(); }
  void LockShared() BASALT_ACQUIRE_SHARED() { mu_.lock_shared(); }
  void UnlockShared() BASALT_RELEASE_SHARED() { mu_.unlock_shared(); }

 private:
  std::shared_mutex mu_;
};

class BASALT_SCOPED_CAPABILITY WriterLock {
 public:
  explicit WriterLock(SharedMutex& mu) BASALT_ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~WriterLock() BASALT_RELEASE() { mu_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mu_;
};

class BASALT_SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mu) BASALT_ACQUIRE_SHARED(mu) : mu_(mu) { mu_.LockShared(); }
  ~ReaderLock() BASALT_RELEASE_GENERIC() { mu_.UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mu_;
};

}  // namespace basalt
