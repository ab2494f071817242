#include "engine/base/executor.h"

#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace basalt {
namespace {

void RunGuarded(const Task& task) {
  try {
    task();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "executor: a task threw: %s\n", e.what());
    std::abort();
  }
}

}  // namespace

ThreadPool::ThreadPool(const std::string& name, size_t threads, size_t max_queued)
    : max_queued_(max_queued) {
  threads_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
    pthread_setname_np(threads_.back().native_handle(), name.substr(0, 15).c_str());
  }
}

ThreadPool::~ThreadPool() { Stop(); }

bool ThreadPool::Post(Task task) {
  {
    const MutexLock lock(mu_);
    if (stopping_ || queue_.size() >= max_queued_) return false;
    queue_.push_back(std::move(task));
  }
  wake_.NotifyOne();
  return true;
}

void ThreadPool::Stop() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

size_t ThreadPool::queued() const {
  const MutexLock lock(mu_);
  return queue_.size();
}

void ThreadPool::Run() {
  MutexLock lock(mu_);
  for (;;) {
    while (queue_.empty() && !stopping_) wake_.Wait(lock);
    if (queue_.empty()) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    RunGuarded(task);
    task = nullptr;  // what it holds is let go outside the lock
    lock.Lock();
  }
}

bool Strand::Post(Task task) {
  {
    const MutexLock lock(mu_);
    queue_.push_back(std::move(task));
    if (running_) return true;
    running_ = true;
  }
  if (!pool_.Post([this] { RunSome(); })) RunSome();
  return true;
}

void Strand::Drain() {
  MutexLock lock(mu_);
  while (running_) idle_.Wait(lock);
}

void Strand::RunSome() {
  // A bound on one visit, so that one busy strand cannot keep a pool thread for ever.
  constexpr int kTasksPerVisit = 64;
  MutexLock lock(mu_);
  for (int i = 0; i < kTasksPerVisit || !pool_.Post([this] { RunSome(); }); ++i) {
    if (queue_.empty()) {
      running_ = false;
      idle_.NotifyAll();
      return;
    }
    const Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    RunGuarded(task);
    lock.Lock();
  }
}

}  // namespace basalt
