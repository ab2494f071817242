// storage/apply_observer.h -- sees what apply has accepted. engine/slo implements it; storage knows
// nothing of SLOs.
//
// An observer marks the series it wants (a *tap*), and from then on gets their accepted samples, in
// log order inside a partition. A sample of an untapped series costs one predictable branch.
// Observers are no part of apply's state: they cannot refuse a sample, and whatever they keep can
// be rebuilt from storage/reader.h.
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/histogram.h"
#include "engine/base/ids.h"
#include "engine/base/labels.h"

namespace basalt::storage {

// The observer's own number for a series; 0 means untapped.
enum class TapId : uint32_t {};
inline constexpr TapId kNoTap{0};

enum class SampleKind : uint8_t {
  kInOrder,    // newer than every sample of the series before it
  kLate,       // older than the newest, or may be: its series has been read back and has only this
  kOverwrite,  // replaced a sample of the same time whose bits differed
};
// An identical sample at an existing time is a no-op and is not reported.

// Parallel columns, borrowed for the call.
struct TappedSamples {
  PartitionId partition{0};
  LogPosition position;  // of the record that brought them
  std::span<const TapId> taps;
  std::span<const int64_t> time_ms;
  std::span<const double> values;
  std::span<const int64_t> start_ms;  // kNoStartMs where none was sent
  std::span<const SampleKind> kinds;
  // Empty if all samples are floats; else null for those that are. `values` has a native
  // histogram's sum, which is a stale marker in one that ends its series.
  std::span<const NativeHistogram* const> histograms{};
};

// A deletion that touched a tapped series: [start_ms, end_ms] inclusive is gone.
struct TappedDelete {
  PartitionId partition{0};
  LogPosition position;
  TapId tap;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
};

// Calls for one partition come one at a time and in order; calls for different partitions may come
// at once. They run on the apply path: no locks that a sweep holds for long, no I/O.
class ApplyObserver {
 public:
  virtual ~ApplyObserver() = default;
  // A series appears (created, or read back at open or by Store::Observe). Returns its tap.
  virtual TapId OnSeries(PartitionId partition, SeriesOrdinal ordinal, TenantId tenant,
                         const Labels& labels) = 0;
  // The series is idle: the samples of its partition have moved on by two hours since its own (a
  // rule of the records, storage/head/idle.cc). The tap may be recycled: before its next sample, or
  // a delete of it, OnSeries is called again.
  virtual void OnSeriesGone(PartitionId partition, TapId tap) = 0;
  virtual void OnSamples(const TappedSamples& samples) = 0;
  virtual void OnDelete(const TappedDelete& deletion) = 0;
};

}  // namespace basalt::storage
