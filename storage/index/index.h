// storage/index/index.h -- the series of one partition: registry, label dictionary, postings,
// activity by day.
//
// Everything is decided by the sequence of Insert and MarkActive calls alone, so replaying a log
// gives the same ordinals, ids and order on every machine (DESIGN decisions 4 and 5). The whole
// index is in memory; what is new since the last commit is handed to storage/parts as keys and
// values (persist.h) and read back by Load.
//
// *Series order* (DESIGN decision 10): (tenant, metric, group, own labels, le).
// - metric: the dictionary number of the metric's name. Numbers are given to strings as Insert
// meets
//   them, label by label in the order of the names, name before value; 1 stands for no name.
// - group: the number of the placement key (storage/resolver.h), given when it is first met, and a
//   new one for the same key once kMaxSeriesPerGroup series have it.
// - own labels: those that are neither the name, nor in the placement key, nor le; as lists of
//   (name, value) compared by bytes, a shorter list before its continuations.
// - le: absent first, then numbers by value, then what is no number by bytes.
// All of it is decided by the calls so far, is the same after Load, and never changes for a series.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/index/persist.h"
#include "storage/index/series_set.h"
#include "storage/reader.h"

namespace basalt::storage {

// A group is split beyond this, so that its directory entries fit 16 bits with room to spare
// (DESIGN decision 1).
inline constexpr uint32_t kMaxSeriesPerGroup = 16'384;
// Series of one partition; ordinals are 32 bits and the last is kUnknownOrdinal.
inline constexpr uint32_t kMaxSeriesPerPartition = 0xFFFF'FFF0;

struct IndexStats {
  uint64_t series = 0;
  uint64_t groups = 0;
  uint64_t strings = 0;
  uint64_t label_pairs = 0;
  uint64_t shapes = 0;              // label sets without the target's labels
  uint64_t bytes = 0;               // estimate of the memory held
  uint64_t regex_values_asked = 0;  // label values held against an expression, ever
};

// Apply-side calls (Insert, MarkActive, DropDay) come one at a time; every other call may come from
// any thread at any time, apply included.
class PartitionIndex {
 public:
  explicit PartitionIndex(PartitionId partition);
  ~PartitionIndex();
  PartitionIndex(const PartitionIndex&) = delete;
  PartitionIndex& operator=(const PartitionIndex&) = delete;

  // ---- apply side ----

  // kUnknownOrdinal if there is none.
  [[nodiscard]] SeriesOrdinal Find(const SeriesId& id) const;
  // The ordinal of the series with these canonical labels (engine/base/labels.h); a new one gets
  // the next ordinal. `id` must be MakeSeriesId(tenant, canonical). Errors: kInvalidArgument if
  // `canonical` does not parse, is unsorted or empty; kAlreadyExists if another label set has this
  // id (a hash collision: refused, nothing is mixed up); kResourceExhausted beyond
  // kMaxSeriesPerPartition.
  Result<SeriesOrdinal> Insert(TenantId tenant, const SeriesId& id, std::string_view canonical);
  // The series has, or may have, a sample on this UTC day (days since 1970-01-01). Idempotent,
  // cheap when repeated.
  void MarkActive(SeriesOrdinal ordinal, uint16_t day);
  // Retention: forgets the activity of days before `first_kept`.
  void DropDaysBefore(uint16_t first_kept);

  // Ordinals below this exist.
  [[nodiscard]] uint32_t series_count() const;

  // Immutable facts of a series. `ordinal` must have come from here.
  [[nodiscard]] SeriesId id(SeriesOrdinal ordinal) const;
  [[nodiscard]] SeriesPlace place(SeriesOrdinal ordinal) const;
  [[nodiscard]] Labels labels(SeriesOrdinal ordinal) const;
  // What a metric's number stands for; empty for no name and for a number that was never given.
  [[nodiscard]] std::string metric_name(MetricId metric) const;
  // True if `a` comes before `b` in series order.
  [[nodiscard]] bool Before(SeriesOrdinal a, SeriesOrdinal b) const;
  // Sorts by series order.
  void SortBySeriesOrder(std::vector<SeriesOrdinal>& ordinals) const;

  // ---- read side ----

  // The series of `tenant` for which all matchers hold and that are active on a day of `range` (a
  // superset by whole days), in series order. An empty set of matchers, or matchers that an absent
  // label satisfies, select everything; the query layer decides whether that is wanted. Errors:
  // kInvalidArgument for a regular expression that does not compile; kResourceExhausted beyond
  // `max_series`.
  Result<std::shared_ptr<const SeriesSet>> Select(TenantId tenant, const MatcherSet& matchers,
                                                  TimeRange range, size_t max_series) const;

  // Appends label names / values of `name` that any active series of `tenant` matching any set has;
  // no sets: everything. Unsorted, unique inside this call. The caller merges partitions, sorts and
  // cuts. `limit` 0: none; otherwise the smallest `limit` + 1 strings are enough and no more are
  // appended, so that the caller sees a cut. The views live as long as the index.
  Status LabelNames(TenantId tenant, const std::vector<MatcherSet>& any_of, TimeRange range,
                    size_t limit, std::vector<std::string_view>& out) const;
  Status LabelValues(TenantId tenant, std::string_view name, const std::vector<MatcherSet>& any_of,
                     TimeRange range, size_t limit, std::vector<std::string_view>& out) const;
  // The series that match any set, in series order, each once.
  Result<std::shared_ptr<const SeriesSet>> Series(TenantId tenant,
                                                  const std::vector<MatcherSet>& any_of,
                                                  TimeRange range, size_t max_series) const;

  // Calls `fn` with every label that series of `tenant` matching any set have, and how many of
  // them; returns how many series there are in all. Counts lists instead of reading series. Views
  // live as long as the index; `fn` must not call it.
  Result<uint64_t> CountLabels(TenantId tenant, const std::vector<MatcherSet>& any_of,
                               TimeRange range,
                               const std::function<void(const LabelView&, uint64_t)>& fn) const;
  // Days that have activity, newest first, `days` of them at most.
  [[nodiscard]] std::vector<DaySeries> SeriesByDay(size_t days) const;
  [[nodiscard]] IndexStats Stats() const;
  [[nodiscard]] uint64_t ActiveCount(TimeRange range) const;  // all tenants

  // ---- persistence (persist.h) ----

  // Everything not yet handed over and committed; one flush at a time. The counts in it are one
  // consistent cut.
  [[nodiscard]] IndexFlush PrepareFlush() const;
  // The flush is durable: the next one starts after it.
  void FlushCommitted(const IndexFlush& flush);
  // Fills an empty index with what was committed. kDataLoss naming the key that does not parse.
  Status Load(const IndexSource& source, const IndexCounts& committed);

 private:
  friend class SeriesSet;
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the SeriesSets, whose strings live in it
};

}  // namespace basalt::storage
