// engine/base/executor.h -- threads that run other people's work.
//
// I/O threads never decode, query or touch RocksDB (DESIGN decision 17): ingest, query and
// background work each have an executor of their own, so that none can starve another.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"

namespace basalt {

using Task = std::function<void()>;

// Thread-safe. A task must not throw: an exception that reaches an executor stops the process with
// its text.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` later on some thread. False, and `task` is dropped, if the queue is full or the
  // executor is stopping.
  [[nodiscard]] virtual bool Post(Task task) = 0;
};

// A fixed number of threads over one bounded queue. The destructor runs what is queued, then joins.
class ThreadPool final : public Executor {
 public:
  // `name` shows in debuggers (15 characters). `max_queued` bounds waiting tasks; beyond it Post()
  // refuses.
  ThreadPool(const std::string& name, size_t threads, size_t max_queued);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] bool Post(Task task) override BASALT_EXCLUDES(mu_);
  // Refuses new tasks, runs the queued ones and joins. Idempotent. Not from one of its own threads.
  void Stop() BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t threads() const { return threads_.size(); }
  [[nodiscard]] size_t queued() const BASALT_EXCLUDES(mu_);

 private:
  void Run();

  const size_t max_queued_;
  mutable Mutex mu_;
  CondVar wake_;
  std::deque<Task> queue_ BASALT_GUARDED_BY(mu_);
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

// Runs its tasks one after another, in the order of Post(), on threads borrowed from `pool`: a lock
// that nobody waits on. Its queue is bounded by whoever posts. `pool` must outlive it. The
// destructor waits until it is idle. When the pool refuses (full or stopping), the posting thread
// runs the queue itself, so a task posted here always runs; post without holding a lock that a task
// takes.
class Strand final : public Executor {
 public:
  explicit Strand(Executor& pool) : pool_(pool) {}
  ~Strand() override { Drain(); }
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  [[nodiscard]] bool Post(Task task) override BASALT_EXCLUDES(mu_);
  // Waits until nothing is queued or running.
  void Drain() BASALT_EXCLUDES(mu_);

 private:
  void RunSome();

  Executor& pool_;
  Mutex mu_;
  CondVar idle_;
  std::deque<Task> queue_ BASALT_GUARDED_BY(mu_);
  bool running_ BASALT_GUARDED_BY(mu_) = false;
};

}  // namespace basalt
