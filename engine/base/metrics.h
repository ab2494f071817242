// engine/base/metrics.h -- what the process counts about itself, and its exposition text.
//
// Instruments are owned by a Registry and found once, at construction of whoever counts; counting
// is one relaxed atomic. Values that live elsewhere (store statistics, queue depths) are collected
// by a callback at exposition. Names and help follow Prometheus' conventions: base units, _total on
// counters.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/mutex.h"

namespace basalt::metrics {

class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  void Add(double v) { value_.fetch_add(v, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// A classic histogram. Bounds rise; +Inf is added.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double v);
  [[nodiscard]] const std::vector<double>& bounds() const { return bounds_; }
  // Not cumulative; the last one is +Inf's.
  [[nodiscard]] uint64_t bucket(size_t i) const {
    return buckets_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

// 1 ms to 10 s, the usual bounds of request durations in seconds.
std::vector<double> DurationBounds();

enum class Type : uint8_t { kCounter, kGauge, kHistogram };

// A series at the moment of exposition. Histograms come as their _bucket, _sum and _count.
struct Sample {
  Labels labels;  // __name__ included
  double value = 0;
};
struct Family {
  std::string name;
  std::string help;
  Type type = Type::kGauge;
  std::vector<Sample> samples;
};

// Called at exposition; appends families.
using Collector = std::function<void(std::vector<Family>&)>;

// Thread-safe. Instruments live as long as the registry.
class Registry {
 public:
  // The same name and labels give the same instrument. A name must keep its type (our own mistake
  // otherwise).
  Counter& AddCounter(std::string_view name, std::string_view help, const Labels& labels = {})
      BASALT_EXCLUDES(mu_);
  Gauge& AddGauge(std::string_view name, std::string_view help, const Labels& labels = {})
      BASALT_EXCLUDES(mu_);
  Histogram& AddHistogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                          const Labels& labels = {}) BASALT_EXCLUDES(mu_);
  void AddCollector(Collector collector) BASALT_EXCLUDES(mu_);

  // All families by name, samples in the order they were made.
  [[nodiscard]] std::vector<Family> Collect() const BASALT_EXCLUDES(mu_);

 private:
  struct Instrument {
    Labels labels;
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Entry {
    std::string name;
    std::string help;
    Type type;
    std::vector<std::unique_ptr<Instrument>> instruments;
  };
  Instrument& Find(std::string_view name, std::string_view help, Type type, const Labels& labels)
      BASALT_REQUIRES(mu_);

  mutable Mutex mu_;
  std::vector<std::unique_ptr<Entry>> entries_ BASALT_GUARDED_BY(mu_);
  std::vector<Collector> collectors_ BASALT_GUARDED_BY(mu_);
};

// For collectors: appends a family of one sample.
void AppendValue(std::vector<Family>& families, std::string_view name, std::string_view help,
                 Type type, double value, const Labels& labels = {});

// Prometheus' text exposition format 0.0.4.
std::string RenderText(const std::vector<Family>& families);

}  // namespace basalt::metrics
