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
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::kShapeCount;
using ::basalt::testing::MakeHistograms;
using ::basalt::testing::MakeTimes;
using ::basalt::testing::MakeValues;
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

bool SameBytes(std::span<const double> a, std::span<const double> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

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
  EXPECT_TRUE(SameBytes(values, model.values)) << "row " << number;
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
  if (!model.summarized) return;
  const RowSummary expected = SummarizeRow(model.times, model.values, model.starts);
  const RowSummary& got = **summary;
  const auto numbers = [](const RowSummary& s) {
    std::vector<double> all = {s.first, s.last, s.min, s.max, s.sum};
    all.insert(all.end(), s.before_reset.begin(), s.before_reset.end());
    return all;
  };
  EXPECT_TRUE(SameBytes(numbers(got), numbers(expected)));
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

// The buckets of one histogram: neighbours that rise together.
std::vector<std::vector<double>> MakeBuckets(size_t buckets, size_t samples) {
  std::mt19937_64 random(1);
  std::vector<std::vector<double>> rows(buckets, std::vector<double>(samples));
  std::vector<double> counts(buckets, 1e6);
  for (size_t i = 0; i < samples; ++i) {
    for (uint64_t observed = random() % 50; observed > 0; --observed) {
      for (size_t b = random() % 4; b < buckets; ++b) counts[b] += 1;
    }
    for (size_t b = 0; b < buckets; ++b) rows[b][i] = counts[b];
  }
  return rows;
}

std::string BuildBuckets(const std::vector<std::vector<double>>& rows,
                         const std::vector<int64_t>& times) {
  SuperblockBuilder builder;
  const uint32_t column = builder.AddColumn(times).value();
  for (uint32_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(
        builder.AddRow({.ordinal = SeriesOrdinal{i}, .time_column = column, .values = rows[i]})
            .ok());
  }
  return builder.Finish();
}

TEST(Neighbours, LeanOnOneAnotherInBoundedChainsAndAreReadInAnyOrder) {
  const auto times = MakeTimes(300, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(60, times.size());
  // From bucket 3 on all are equal; make them differ, with a few repeats and a constant in between.
  std::mt19937_64 random(1);
  for (size_t b = 4; b < rows.size(); ++b) {
    if (b % 11 == 0) {
      rows[b].assign(times.size(), 7);
    } else if (b % 7 != 0) {
      double extra = 0;
      for (double& v : rows[b]) v += extra += random() % 20 == 0 ? 1 : 0;
    }
  }
  const std::string bytes = BuildBuckets(rows, times);
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok());
  size_t leaning = 0;
  size_t chain = 0;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const bool leans = block->row(i)->leans;
    leaning += leans ? 1 : 0;
    chain = leans ? chain + 1 : 0;
    EXPECT_LE(chain, kMaxNeighbourChain);
  }
  EXPECT_GT(leaning, 30U);

  RowDecoder decoder(*block);
  std::vector<double> values(times.size());
  const auto expect_row = [&](uint32_t row) {
    ASSERT_TRUE(decoder.Values(row, values).ok());
    EXPECT_TRUE(SameBytes(values, rows[row])) << row;
  };
  for (uint32_t i = 0; i < rows.size(); ++i) expect_row(i);
  for (auto i = static_cast<uint32_t>(rows.size()); i-- > 0;) expect_row(i);
  for (int round = 0; round < 300; ++round)
    expect_row(static_cast<uint32_t>(random() % rows.size()));
  for (int round = 0; round < 300; ++round) {
    const auto row = static_cast<uint32_t>(random() % rows.size());
    const size_t first = random() % times.size();
    const auto part = std::span(values).first(1 + random() % (times.size() - first));
    ASSERT_TRUE(decoder.ValuesRange(row, first, part).ok());
    EXPECT_TRUE(SameBytes(part, std::span(rows[row]).subspan(first, part.size())));
  }
  EXPECT_EQ(decoder.ValuesRange(5, 299, std::span(values).first(2)).code(),
            StatusCode::kInvalidArgument);

  // Another superblock at another place must not be read against the integers of this one.
  const auto other_rows = MakeBuckets(20, times.size());
  const std::string other_bytes = BuildBuckets(other_rows, times);
  const auto other = Superblock::Open(other_bytes);
  for (uint32_t i = 0; i + 1 < other_rows.size(); ++i) {
    decoder.Reset(*block);
    expect_row(i);
    decoder.Reset(*other);
    ASSERT_TRUE(decoder.Values(i + 1, values).ok());
    EXPECT_TRUE(SameBytes(values, other_rows[i + 1]));
  }
}

TEST(Neighbours, TakeLessThanTwoThirdsOfWhatTheyWouldAlone) {
  const auto times = MakeTimes(512, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(16, times.size());
  std::mt19937_64 random(1);
  for (size_t b = 1; b < rows.size(); ++b) {
    double extra = 0;
    for (size_t i = 0; i < times.size(); ++i)
      rows[b][i] = rows[b - 1][i] + (extra += random() % 20 == 0 ? 1 : 0);
  }
  size_t alone = 0;
  for (const auto& row : rows) {
    std::string bytes;
    ASSERT_TRUE(EncodeRow(row, bytes).ok());
    alone += bytes.size();
  }
  EXPECT_LT(BuildBuckets(rows, times).size() * 3, alone * 2);
}

TEST(Neighbours, ABrokenChainIsDataLoss) {
  const auto times = MakeTimes(100, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(4, times.size());
  std::string bytes = BuildBuckets(rows, times);
  // The first row made to lean on what is not there: its method is the first byte of the bodies.
  std::string alone;
  ASSERT_TRUE(EncodeRow(rows[0], alone).ok());
  const size_t at = bytes.find(alone);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>((bytes[at] & ~0x27) | 5);
  const uint32_t checksum = SuperblockChecksum(bytes);
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, 4);
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok());
  RowDecoder decoder(*block);
  std::vector<double> values(times.size());
  const Status status = decoder.Values(0, values);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "superblock: row 0: it leans on no row");
}

class BuilderRefuses : public ::testing::Test {
 protected:
  BuilderRefuses() { column_ = builder_.AddColumn(times_).value(); }
  // The message of the refusal; the builder must be as it was.
  std::string Refusal(const RowInput& row) {
    const size_t before = builder_.EstimatedBytes();
    const Status status = builder_.AddRow(row);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_EQ(builder_.EstimatedBytes(), before);
    EXPECT_EQ(builder_.row_count(), 0U);
    return std::string(status.message());
  }
  const std::vector<int64_t> times_ = {1000, 2000, 3000};
  const std::vector<double> values_ = {1, 2, 3};
  SuperblockBuilder builder_;
  uint32_t column_ = 0;
};

TEST_F(BuilderRefuses, RowsThatDoNotFitAndNamesTheField) {
  using ::testing::Test;
  EXPECT_NE(Refusal({.time_column = 5, .values = values_}).find("time_column"), std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_}).find("values or histograms"), std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .values = std::span(values_).first(2)})
                .find("samples 2, not 3"),
            std::string::npos);
  const std::vector<uint64_t> none = {0};
  const std::vector<uint64_t> past = {15};
  const std::vector<uint64_t> two_words = {7, 0};
  EXPECT_NE(Refusal({.time_column = column_, .presence = none, .values = values_}).find("presence"),
            std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .presence = past, .values = values_}).find("presence"),
            std::string::npos);
  EXPECT_NE(
      Refusal({.time_column = column_, .presence = two_words, .values = values_}).find("presence"),
      std::string::npos);
  const std::vector<int64_t> starts = {1};
  EXPECT_NE(
      Refusal({.time_column = column_, .values = values_, .start_ms = starts}).find("start_ms"),
      std::string::npos);
  auto histograms = MakeHistograms(3, false, false, 1);
  EXPECT_NE(
      Refusal({.time_column = column_, .histograms = histograms}).find("histograms[0].time_ms"),
      std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .histograms = histograms})
                .find("values or histograms"),
            std::string::npos);
  for (size_t i = 0; i < 3; ++i) histograms[i].time_ms = times_[i];
  RowSummary summary;
  EXPECT_NE(Refusal({.time_column = column_, .histograms = histograms, .summary = &summary})
                .find("summary"),
            std::string::npos);
  summary.count = 4;
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .summary = &summary})
                .find("summary.count"),
            std::string::npos);
  summary = {.first_ms = 1, .last_ms = 3000, .count = 3};
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .summary = &summary})
                .find("summary.first_ms"),
            std::string::npos);
}

TEST_F(BuilderRefuses, ColumnsThatDoNotRiseOrChange) {
  EXPECT_EQ(builder_.AddColumn(std::vector<int64_t>{2, 1}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddColumn({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddSharedColumn(3, std::vector<int64_t>{2, 2}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(builder_.AddSharedColumn(3, times_).ok());
  EXPECT_EQ(builder_.AddSharedColumn(3, std::vector<int64_t>{1}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddSharedColumn(UINT32_MAX, times_).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.PlaceTimes(times_, 99).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.PlaceTimes({}, column_).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(BuilderRefuses, MoreRowsAndColumnsThanItsBounds) {
  for (size_t i = 0; i < kMaxRowsPerSuperblock; ++i) {
    ASSERT_TRUE(builder_.AddRow({.time_column = column_, .values = values_}).ok());
  }
  EXPECT_EQ(builder_.AddRow({.time_column = column_, .values = values_}).code(),
            StatusCode::kResourceExhausted);
  for (int64_t i = 1; i < static_cast<int64_t>(kMaxColumnsPerSuperblock); ++i) {
    ASSERT_TRUE(builder_.AddColumn(std::vector<int64_t>{i}).ok());
  }
  EXPECT_EQ(builder_.AddColumn(std::vector<int64_t>{0}).status().code(),
            StatusCode::kResourceExhausted);
  const std::string bytes = builder_.Finish();
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok()) << block.status().ToString();
  EXPECT_EQ(block->row_count(), kMaxRowsPerSuperblock);
  EXPECT_EQ(block->column_count(), kMaxColumnsPerSuperblock);
}

}  // namespace
}  // namespace basalt::storage
