// storage/codec/superblock_builder.h -- writes superblocks.
// Format: storage/docs/superblock-format.md.
//
//   SuperblockBuilder builder;
//   const uint32_t times = builder.AddSharedColumn(run_column_number, time_ms);
//   BASALT_TRY(builder.AddRow({.ordinal = o, .group = g, .time_column = times, .values = values}));
//   if (builder.EstimatedBytes() >= kSuperblockTargetBytes) Put(key, builder.Finish());
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/codec/row.h"
#include "storage/codec/superblock.h"
#include "storage/reader.h"

namespace basalt::storage {

// A row to be written; spans are borrowed for the call. One of `values` and `histograms` is given.
struct RowInput {
  SeriesOrdinal ordinal = kUnknownOrdinal;
  GroupId group{0};
  uint32_t time_column = 0;  // from AddColumn, AddSharedColumn or PlaceTimes
  // Bit i % 64 of word i / 64: the row has a sample at time i of the column. Empty: at all of them.
  std::span<const uint64_t> presence = {};
  std::span<const double> values = {};
  // Their times must be the row's; their start times are kept.
  std::span<const HistogramPoint> histograms = {};
  std::span<const int64_t> start_ms = {};  // float rows: empty, or parallel to `values`
  const RowSummary* summary = nullptr;     // float rows only
  RowOptions options = {};
};

// How a row's times are expressed.
struct RowTimes {
  uint32_t time_column = 0;
  std::vector<uint64_t> presence;  // empty: all of the column
};

// One superblock at a time; Finish leaves the builder empty for the next. One thread.
//
// Rows must come in the run's order: metric, group, remaining labels, numeric `le`. Neighbours in
// that order are coded against each other, and one float row equal to an earlier one of the
// superblock costs a byte; the builder does not know labels and cannot check it.
class SuperblockBuilder {
 public:
  SuperblockBuilder();
  ~SuperblockBuilder();
  SuperblockBuilder(SuperblockBuilder&&) noexcept;
  SuperblockBuilder& operator=(SuperblockBuilder&&) noexcept;

  // Adds a time column to be stored in this superblock; equal contents give the same index.
  // Errors: kInvalidArgument (count, not strictly rising), kResourceExhausted
  // (kMaxColumnsPerSuperblock).
  Result<uint32_t> AddColumn(std::span<const int64_t> time_ms);

  // The same for a column that its run keeps elsewhere under the number `shared` (keys.h,
  // kTimesMetric): only number, count, first and last time are stored. Use this for a target's
  // column: rows of one metric come from many targets, so a column kept in the superblock would be
  // repeated for every metric.
  Result<uint32_t> AddSharedColumn(uint32_t shared, std::span<const int64_t> time_ms);
  // What AddSharedColumn has returned for `shared` in this superblock; nothing before it was
  // called.
  [[nodiscard]] std::optional<uint32_t> FindSharedColumn(uint32_t shared) const;

  // Expresses `time_ms` by `column`: as all of it, as a part of it (presence), or else as a column
  // of its own.
  Result<RowTimes> PlaceTimes(std::span<const int64_t> time_ms, uint32_t column);

  // Adds a row. Errors: kInvalidArgument naming the field; kResourceExhausted beyond
  // kMaxRowsPerSuperblock or kMaxSuperblockBytes (Finish first). The builder is unchanged by an
  // error.
  Status AddRow(const RowInput& row);

  [[nodiscard]] bool empty() const;  // neither rows nor columns
  [[nodiscard]] size_t row_count() const;
  // What Finish would return, within a few per cent; grows with every call.
  [[nodiscard]] size_t EstimatedBytes() const;

  // The superblock's bytes, checksum included; a superblock may have columns only. The builder is
  // then as new.
  std::string Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::storage
