#include "storage/codec/superblock.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "storage/codec/row_coding.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/superblock_format.h"
#include "tests/storage/codec/histogram_shapes.h"
#include "tests/support/same_bits.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::kShapeCount;
using ::basalt::testing::MakeHistograms;
using ::basalt::testing::MakeTimes;
using ::basalt::testing::MakeValues;
using ::basalt::testing::SameBits;
using ::basalt::testing::SameHistogram;
using ::basalt::testing::Shape;

// What a row went in as.
struct ModelRow {
  SeriesOrdinal ordinal;
  GroupId group;
  std::vector<int64_t> column;  // of its group
  std::vector<int64_t> times;
  std::vector<double> values;
  std::vector<HistogramPoint> histograms;
  std::vector<int64_t> starts;
  bool summarized = false;
  uint32_t index = 0;  // its time column, as the builder numbered it
};

void MustAdd(SuperblockBuilder& builder, ModelRow& row, bool shared, uint32_t shared_number) {
  const auto column =
      shared ? builder.AddSharedColumn(shared_number, row.column) : builder.AddColumn(row.column);
  ASSERT_TRUE(column.ok()) << column.status().ToString();
  const auto placed = builder.PlaceTimes(row.times, *column);
  ASSERT_TRUE(placed.ok()) << placed.status().ToString();
  RowInput in{.ordinal = row.ordinal, .group = row.group, .time_column = placed->time_column};
  in.presence = placed->presence;
  in.values = row.values;
  in.histograms = row.histograms;
  if (row.histograms.empty()) in.start_ms = row.starts;
  RowSummary summary;
  if (row.summarized) {
    summary = SummarizeRow(row.times, row.values, row.starts);
    in.summary = &summary;
  }
  const Status added = builder.AddRow(in);
  ASSERT_TRUE(added.ok()) << added.ToString();
  row.index = placed->time_column;
}

// Decodes a row in every way and compares.
void Check(const Superblock& block, RowDecoder& decoder, uint32_t number, const ModelRow& model) {
  const auto info = block.row(number);
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(info->ordinal, model.ordinal);
  EXPECT_EQ(block.ordinal(number), model.ordinal);
  EXPECT_EQ(info->group, model.group);
  EXPECT_EQ(info->time_column, model.index);
  ASSERT_EQ(info->samples, model.times.size());
  EXPECT_LE(info->min_ms, model.times.front());
  EXPECT_GE(info->max_ms, model.times.back());
  if (!info->has_presence) {
    EXPECT_EQ(info->min_ms, model.times.front());
    EXPECT_EQ(info->max_ms, model.times.back());
  }

  // Beside any other row it is the same.
  for (uint32_t other = 0; other < block.row_count(); ++other) {
    const auto like = block.row(other);
    const auto again = block.row(number, &*like);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->samples, info->samples);
    EXPECT_EQ(again->min_ms, info->min_ms);
    EXPECT_EQ(again->max_ms, info->max_ms);
    EXPECT_EQ(again->time_column, info->time_column);
  }

  const auto column = block.column(info->time_column);
  ASSERT_TRUE(column.ok());
  std::vector<int64_t> column_times = model.column;
  if (!column->shared) {
    column_times.resize(column->samples);
    ASSERT_TRUE(block.DecodeTimeColumn(info->time_column, column_times).ok());
  } else {
    EXPECT_EQ(block.DecodeTimeColumn(info->time_column, column_times).code(),
              StatusCode::kFailedPrecondition);
  }
  std::vector<int64_t> times(info->samples);
  ASSERT_TRUE(block.SelectTimes(number, column_times, times).ok());
  EXPECT_EQ(times, model.times);

  if (info->kind == RowKind::kHistogram) {
    std::vector<HistogramPoint> points;
    const Status decoded = decoder.Histograms(number, column_times, points);
    ASSERT_TRUE(decoded.ok()) << decoded.ToString();
    ASSERT_EQ(points.size(), model.histograms.size());
    for (size_t i = 0; i < points.size(); ++i) {
      EXPECT_EQ(points[i].time_ms, model.histograms[i].time_ms);
      EXPECT_EQ(points[i].start_ms, model.histograms[i].start_ms);
      EXPECT_TRUE(SameHistogram(points[i].histogram, model.histograms[i].histogram));
    }
    std::vector<double> values(info->samples);
    EXPECT_EQ(decoder.Values(number, values).code(), StatusCode::kFailedPrecondition);
    return;
  }
  std::vector<double> values(info->samples);
  const Status decoded = decoder.Values(number, values);
  ASSERT_TRUE(decoded.ok()) << decoded.ToString();
  EXPECT_TRUE(SameBits(values, model.values)) << "row " << number;
  std::vector<int64_t> starts(info->samples, kNoStartMs);
  if (info->has_starts) {
    ASSERT_TRUE(block.DecodeStarts(number, starts).ok());
  } else {
    EXPECT_EQ(block.DecodeStarts(number, starts).code(), StatusCode::kNotFound);
  }
  EXPECT_EQ(starts,
            model.starts.empty() ? std::vector<int64_t>(info->samples, kNoStartMs) : model.starts);
  const auto summary = block.Summary(number);
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  ASSERT_EQ(summary->has_value(), model.summarized);
  const auto quick = block.Summary(number, *info);
  ASSERT_TRUE(quick.ok()) << quick.status().ToString();
  ASSERT_EQ(quick->has_value(), model.summarized);
  if (!model.summarized) return;
  const RowSummary expected = SummarizeRow(model.times, model.values, model.starts);
  const RowSummary& got = **summary;
  const auto numbers = [](const RowSummary& s) {
    std::vector<double> all = {s.first, s.last, s.min, s.max, s.sum};
    all.insert(all.end(), s.before_reset.begin(), s.before_reset.end());
    return all;
  };
  EXPECT_TRUE(SameBits(numbers(got), numbers(expected)));
  EXPECT_TRUE(SameBits(numbers(**quick), numbers(expected)));
  EXPECT_EQ((*quick)->count, expected.count);
  EXPECT_EQ(got.resets, expected.resets);
  EXPECT_EQ(std::tie(got.first_ms, got.last_ms, got.count, got.exact_sum, got.has_resets,
                     got.has_nan, got.has_stale),
            std::tie(expected.first_ms, expected.last_ms, expected.count, expected.exact_sum,
                     expected.has_resets, expected.has_nan, expected.has_stale));
}

std::vector<ModelRow> MakeRows(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<int64_t>> columns;
  for (uint64_t i = 0; i < 4; ++i) {
    columns.push_back(
        MakeTimes(1 + random() % 300, 15'000, static_cast<int64_t>(random() % 5), 0, i));
  }
  std::vector<ModelRow> rows(count);
  for (size_t i = 0; i < count; ++i) {
    ModelRow& row = rows[i];
    const uint64_t group = random() % columns.size();
    row.group = GroupId{static_cast<uint32_t>(group)};
    row.ordinal =
        SeriesOrdinal{static_cast<uint32_t>(random() % 5 == 0 ? random() : i * 100 + group)};
    row.column = columns[group];
    row.times = row.column;
    if (random() % 4 == 0) {  // some scrapes missed it
      std::erase_if(row.times, [&](int64_t) { return random() % 5 == 0; });
    } else if (random() % 8 == 0) {  // it came late and left early
      const size_t cut = row.times.size() / 3;
      row.times = {row.times.begin() + static_cast<ptrdiff_t>(cut),
                   row.times.end() - static_cast<ptrdiff_t>(cut)};
    } else if (random() % 8 == 0) {  // it has times of its own
      row.times = MakeTimes(1 + random() % 50, 7000, 100, 0, random());
    }
    if (row.times.empty()) row.times = {row.column.front()};
    if (random() % 8 == 0) {
      row.histograms = MakeHistograms(row.times.size(), random() % 2 == 0, false, random());
      for (size_t k = 0; k < row.times.size(); ++k) row.histograms[k].time_ms = row.times[k];
      continue;
    }
    if (i > 0 && random() % 6 == 0 && rows[i - 1].values.size() == row.times.size()) {
      row.values = rows[i - 1].values;
    } else {
      row.values =
          MakeValues(static_cast<Shape>(random() % kShapeCount), row.times.size(), random());
    }
    if (random() % 3 == 0) row.starts.assign(row.times.size(), 1'799'999'999'000);
    row.summarized = random() % 2 == 0;
  }
  return rows;
}

RC_GTEST_PROP(Superblock, GivesBackWhatTheBuilderWasGiven, ()) {
  auto rows = MakeRows(*rc::gen::inRange<size_t>(0, 60), *rc::gen::arbitrary<uint64_t>());
  const bool shared = *rc::gen::arbitrary<bool>();
  SuperblockBuilder builder;
  for (ModelRow& row : rows) MustAdd(builder, row, shared, 1000 + static_cast<uint32_t>(row.group));
  const size_t estimate = builder.EstimatedBytes();
  const std::string bytes = builder.Finish();
  RC_ASSERT(builder.empty());
  RC_ASSERT(bytes.size() < estimate + estimate / 4 + 200);
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const auto block = Superblock::Open({exact.data(), exact.size()});
  RC_ASSERT(block.ok());
  RC_ASSERT(block->row_count() == rows.size());
  RowDecoder decoder(*block);
  for (uint32_t i = 0; i < rows.size(); ++i) Check(*block, decoder, i, rows[i]);
  for (auto i = static_cast<uint32_t>(rows.size()); i-- > 0;) Check(*block, decoder, i, rows[i]);
}

std::string MustBuild(uint64_t seed, size_t count = 30) {
  auto rows = MakeRows(count, seed);
  SuperblockBuilder builder;
  for (ModelRow& row : rows) MustAdd(builder, row, seed % 2 == 0, static_cast<uint32_t>(row.group));
  return builder.Finish();
}

// Touches everything that a reader of hostile bytes could touch.
void ReadAll(std::string_view bytes) {
  const auto block = Superblock::Open(bytes);
  if (!block.ok()) return;
  RowDecoder decoder(*block);
  std::vector<SeriesOrdinal> wanted;
  for (uint32_t i = 0; i < block->row_count(); ++i) wanted.push_back(block->ordinal(i));
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::vector<RowMatch> matches;
  block->FindRows(wanted, matches);
  EXPECT_EQ(matches.size(), block->row_count());
  for (uint32_t i = 0; i < block->column_count(); ++i) {
    if (const auto column = block->column(i); column.ok()) {
      std::vector<int64_t> times(column->samples);
      (void)block->DecodeTimeColumn(i, times);
    }
  }
  for (uint32_t i = 0; i < block->row_count(); ++i) {
    const auto row = block->row(i);
    if (!row.ok()) continue;
    std::vector<double> values(row->samples);
    std::vector<int64_t> starts(row->samples);
    std::vector<int64_t> column_times(block->column(row->time_column)->samples);
    std::vector<HistogramPoint> points;
    (void)decoder.Values(i, values);
    (void)block->DecodeStarts(i, starts);
    (void)block->Summary(i);
    (void)block->SelectTimes(i, column_times, starts);
    (void)decoder.Histograms(i, column_times, points);
  }
}

TEST(Superblock, EveryFlippedBitIsSeen) {
  const std::string good = MustBuild(1);
  ASSERT_TRUE(Superblock::Open(good).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      ASSERT_EQ(Superblock::Open(bad).status().code(), StatusCode::kDataLoss) << i << " " << bit;
    }
  }
}

TEST(Superblock, EveryCutIsSeen) {
  const std::string good = MustBuild(2, 10);
  for (size_t n = 0; n < good.size(); ++n) {
    ASSERT_EQ(Superblock::Open(std::string_view(good).substr(0, n)).status().code(),
              StatusCode::kDataLoss)
        << n;
  }
  EXPECT_EQ(Superblock::Open(good + "x").status().code(), StatusCode::kDataLoss);
}

// Somebody who can write a checksum can write anything; it must still be no more than an error or
// wrong numbers.
TEST(Superblock, HostileBytesWithAGoodChecksumStayInside) {
  std::mt19937_64 random(5);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const std::string good = MustBuild(seed);
    for (int round = 0; round < 3000; ++round) {
      std::vector<char> bad(good.begin(), good.end());
      // The directory is where it hurts; it is in front.
      const size_t within = round % 2 == 0 ? std::min<size_t>(bad.size(), 200) : bad.size();
      for (uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
        bad[random() % within] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
      }
      const uint32_t checksum = SuperblockChecksum({bad.data(), bad.size()});
      std::memcpy(bad.data() + kChecksumOffset, &checksum, 4);
      ReadAll({bad.data(), bad.size()});
    }
  }
}

TEST(Superblock, SaysThatItsVersionIsUnknown) {
  std::string bytes = MustBuild(1);
  bytes[kVersionOffset] = 77;
  const uint32_t checksum = SuperblockChecksum(bytes);
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, 4);
  const Status status = Superblock::Open(bytes).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("77"), std::string_view::npos);
}

TEST(Superblock, SaysThatItsEntropyTablesAreUnknown) {
  std::string bytes = MustBuild(1);
  bytes[kTablesOffset] = 9;
  const uint32_t checksum = SuperblockChecksum(bytes);
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, 4);
  const Status status = Superblock::Open(bytes).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("entropy tables"), std::string_view::npos);
}

TEST(Superblock, ARowOfEqualSamplesIsItsOwnSummary) {
  const auto times = MakeTimes(512, 15'000, 0, 0, 1);
  const std::vector<double> values(512, 1234.5);
  SuperblockBuilder builder;
  const uint32_t column = builder.AddColumn(times).value();
  const RowSummary summary = SummarizeRow(times, values, {});
  for (uint32_t i = 0; i < 2; ++i) {  // the second one repeats the first
    ASSERT_TRUE(builder
                    .AddRow({.ordinal = SeriesOrdinal{i},
                             .time_column = column,
                             .values = values,
                             .summary = &summary})
                    .ok());
  }
  const std::string bytes = builder.Finish();
  const Superblock block = Superblock::Open(bytes).value();
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(block.Parts(i)->summary.size(), 1U);
    const RowSummary got = **block.Summary(i);
    EXPECT_EQ(got.sum, summary.sum);
    EXPECT_EQ(got.last, 1234.5);
    EXPECT_EQ(got.count, 512U);
  }
}

RC_GTEST_PROP(Superblock, FindsTheRowsOfAList, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  const std::vector<int64_t> times = {1000};
  const std::vector<double> values = {1};
  SuperblockBuilder builder;
  const uint32_t column = builder.AddColumn(times).value();
  std::vector<SeriesOrdinal> ordinals;
  for (size_t i = 0; i < random() % 200; ++i) {
    ordinals.push_back(
        SeriesOrdinal{static_cast<uint32_t>(random() % 7 == 0 ? random() % 1000 : i * 5)});
    ASSERT_TRUE(
        builder.AddRow({.ordinal = ordinals.back(), .time_column = column, .values = values}).ok());
  }
  std::vector<SeriesOrdinal> wanted;
  for (uint32_t o = 0; o < 1100; ++o) {
    if (random() % 10 < 3) wanted.push_back(SeriesOrdinal{o});
  }
  const std::string bytes = builder.Finish();
  std::vector<RowMatch> matches;
  Superblock::Open(bytes)->FindRows(wanted, matches);
  size_t next = 0;
  for (uint32_t row = 0; row < ordinals.size(); ++row) {
    const auto it = std::lower_bound(wanted.begin(), wanted.end(), ordinals[row]);
    if (it == wanted.end() || *it != ordinals[row]) continue;
    RC_ASSERT(next < matches.size());
    RC_ASSERT(matches[next].row == row);
    RC_ASSERT(matches[next].wanted == static_cast<uint32_t>(it - wanted.begin()));
    ++next;
  }
  RC_ASSERT(next == matches.size());
}

TEST(Superblock, KeepsTimeColumnsWithoutRows) {
  SuperblockBuilder builder;
  std::vector<std::vector<int64_t>> columns;
  for (uint64_t i = 0; i < 100; ++i) columns.push_back(MakeTimes(120, 15'000, 3, 0, i));
  for (uint32_t i = 0; i < columns.size(); ++i) EXPECT_EQ(builder.AddColumn(columns[i]).value(), i);
  EXPECT_EQ(builder.AddColumn(columns[7]).value(), 7U) << "equal columns are one";
  const std::string bytes = builder.Finish();
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok());
  ASSERT_EQ(block->column_count(), columns.size());
  for (uint32_t i = 0; i < columns.size(); ++i) {
    std::vector<int64_t> times(block->column(i)->samples);
    ASSERT_TRUE(block->DecodeTimeColumn(i, times).ok());
    EXPECT_EQ(times, columns[i]);
    EXPECT_EQ(block->column(i)->first_ms, columns[i].front());
    EXPECT_EQ(block->column(i)->last_ms, columns[i].back());
  }
}

TEST(Superblock, AnEmptyOneOpens) {
  const std::string bytes = SuperblockBuilder().Finish();
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok()) << block.status().ToString();
  EXPECT_EQ(block->row_count() + block->column_count(), 0U);
}

TEST(Superblock, ARepeatedRowCostsAFewBytes) {
  const auto times = MakeTimes(120, 15'000, 0, 0, 1);
  const auto values = MakeValues(Shape::kNoise, times.size(), 1);
  const auto build = [&](size_t rows) {
    SuperblockBuilder builder;
    const uint32_t column = builder.AddColumn(times).value();
    for (size_t i = 0; i < rows; ++i) {
      EXPECT_TRUE(builder
                      .AddRow({.ordinal = SeriesOrdinal{static_cast<uint32_t>(i)},
                               .time_column = column,
                               .values = values})
                      .ok());
    }
    return builder.Finish().size();
  };
  EXPECT_LE(build(101) - build(1), 100U * 4);
}

}  // namespace
}  // namespace basalt::storage
