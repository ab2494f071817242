// Kernels of storage/codec over the shapes of tests/support/sample_shapes.h. Items are samples.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "storage/codec/bit_pack.h"
#include "storage/codec/row.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/time_column.h"
#include "tests/support/recorded_metrics.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using testing::kShapeCount;
using testing::MakeTimes;
using testing::MakeValues;
using testing::Shape;
using testing::ShapeName;

std::string Encode(const std::vector<double>& values) {
  std::string out;
  BASALT_CHECK(EncodeRow(values, out).ok());
  return out;
}

void Count(benchmark::State& state, size_t samples, size_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(samples));
  state.counters["bytes_per_sample"] = static_cast<double>(bytes) / static_cast<double>(samples);
}

void EveryShape(benchmark::internal::Benchmark* b) {
  for (const int64_t samples : {32, 120, 512}) {
    for (int64_t shape = 0; shape < static_cast<int64_t>(kShapeCount); ++shape)
      b->Args({shape, samples});
  }
}

void BM_EncodeRow(benchmark::State& state) {
  const auto shape = static_cast<Shape>(state.range(0));
  const auto values = MakeValues(shape, static_cast<size_t>(state.range(1)), 1);
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(EncodeRow(values, out));
  }
  state.SetLabel(ShapeName(shape));
  Count(state, values.size(), out.size());
}
BENCHMARK(BM_EncodeRow)->Apply(EveryShape);

void BM_DecodeRow(benchmark::State& state) {
  const auto shape = static_cast<Shape>(state.range(0));
  const auto values = MakeValues(shape, static_cast<size_t>(state.range(1)), 1);
  const std::string bytes = Encode(values);
  std::vector<double> out(values.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeRow(bytes, out));
    benchmark::ClobberMemory();
  }
  state.SetLabel(ShapeName(shape));
  Count(state, values.size(), bytes.size());
}
BENCHMARK(BM_DecodeRow)->Apply(EveryShape);

void BM_UnpackBits(benchmark::State& state) {
  const auto width = static_cast<unsigned>(state.range(0));
  std::mt19937_64 random(1);
  std::vector<uint64_t> values(512);
  for (uint64_t& v : values) v = random() & LowMask(width);
  std::string bytes;
  PackBits(values, width, bytes);
  for (auto _ : state) {
    UnpackBits(bytes, width, values);
    benchmark::ClobberMemory();
  }
  Count(state, values.size(), bytes.size());
}
BENCHMARK(BM_UnpackBits)->Arg(1)->Arg(5)->Arg(8)->Arg(13)->Arg(27)->Arg(52);

void BM_DecodeTimes(benchmark::State& state) {
  const auto times = MakeTimes(512, 15'000, state.range(0), 0, 1);
  std::string bytes;
  BASALT_CHECK(EncodeTimes(times, bytes).ok());
  std::vector<int64_t> out(times.size());
  for (auto _ : state) benchmark::DoNotOptimize(DecodeTimes(bytes, out));
  Count(state, times.size(), bytes.size());
}
BENCHMARK(BM_DecodeTimes)->Arg(0)->Arg(3);

void BM_SummarizeRow(benchmark::State& state) {
  const auto times = MakeTimes(512, 15'000, 0, 0, 1);
  const auto values = MakeValues(Shape::kCounter, times.size(), 1);
  for (auto _ : state) benchmark::DoNotOptimize(SummarizeRow(times, values, {}));
  Count(state, values.size(), 0);
}
BENCHMARK(BM_SummarizeRow);

// A superblock of one metric on many targets, as a seal writes it.
std::string MakeSuperblock(size_t rows, size_t samples) {
  SuperblockBuilder builder;
  for (uint32_t i = 0; i < rows; ++i) {
    const auto column = builder.AddSharedColumn(i, MakeTimes(samples, 15'000, 3, 0, i));
    const auto shape = i % 3 == 0 ? Shape::kCounter : Shape::kConstant;
    const auto values = MakeValues(shape, samples, i);
    BASALT_CHECK(builder
                     .AddRow({.ordinal = SeriesOrdinal{i * 900},
                              .time_column = column.value(),
                              .values = values})
                     .ok());
  }
  return builder.Finish();
}

void BM_OpenAndFindOneRow(benchmark::State& state) {
  const std::string bytes = MakeSuperblock(800, 120);
  const std::vector<SeriesOrdinal> wanted = {SeriesOrdinal{400 * 900}};
  std::vector<RowMatch> matches;
  for (auto _ : state) {
    matches.clear();
    const auto block = Superblock::Open(bytes);
    block->FindRows(wanted, matches);
    benchmark::DoNotOptimize(matches.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(bytes.size()));
}
BENCHMARK(BM_OpenAndFindOneRow);

void BM_DecodeSuperblock(benchmark::State& state) {
  const auto samples = static_cast<size_t>(state.range(0));
  const std::string bytes = MakeSuperblock(800, samples);
  std::vector<double> values(samples);
  std::vector<SeriesOrdinal> wanted;
  for (uint32_t i = 0; i < 800; ++i) wanted.push_back(SeriesOrdinal{i * 900});
  std::vector<RowMatch> matches;
  for (auto _ : state) {
    matches.clear();
    const auto block = Superblock::Open(bytes);
    block->FindRows(wanted, matches);
    RowDecoder decoder(*block);
    for (const RowMatch& match : matches)
      benchmark::DoNotOptimize(decoder.Values(match.row, values));
  }
  Count(state, 800 * samples, bytes.size());
}
BENCHMARK(BM_DecodeSuperblock)->Arg(120)->Arg(512);

// Recorded metrics in a seal's order and in rows of state.range(0) samples, every state.range(1)-th
// scrape.
std::vector<std::vector<double>> RecordedRows(size_t samples, size_t stride) {
  std::vector<std::vector<double>> rows;
  const auto all = testing::LoadRecordedSeries();
  for (size_t begin = 0; begin + samples * stride <= testing::kRecordedScrapes;
       begin += samples * stride) {
    for (const auto& series : all) {
      std::vector<double> row;
      for (size_t i = 0; i < samples; ++i) row.push_back(series.values[begin + i * stride]);
      if (std::none_of(row.begin(), row.end(), [](double v) { return v != v; }))
        rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<std::string> BuildRecorded(const std::vector<std::vector<double>>& rows) {
  const auto times = MakeTimes(rows[0].size(), 1000, 0, 0, 1);
  std::vector<std::string> blocks;
  SuperblockBuilder builder;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const uint32_t column = builder.AddSharedColumn(0, times).value();
    BASALT_CHECK(
        builder.AddRow({.ordinal = SeriesOrdinal{i}, .time_column = column, .values = rows[i]})
            .ok());
    if (builder.EstimatedBytes() >= kSuperblockTargetBytes) blocks.push_back(builder.Finish());
  }
  blocks.push_back(builder.Finish());
  return blocks;
}

void CountRecorded(benchmark::State& state, const std::vector<std::vector<double>>& rows,
                   const std::vector<std::string>& blocks) {
  size_t bytes = 0;
  for (const auto& block : blocks) bytes += block.size();
  Count(state, rows.size() * rows[0].size(), bytes);
}

void BM_EncodeRecorded(benchmark::State& state) {
  const auto rows =
      RecordedRows(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)));
  if (rows.empty()) return state.SkipWithError("../shared/data is not here");
  std::vector<std::string> blocks;
  for (auto _ : state) blocks = BuildRecorded(rows);
  CountRecorded(state, rows, blocks);
}
BENCHMARK(BM_EncodeRecorded)
    ->Args({60, 15})
    ->Args({120, 1})
    ->Args({512, 1})
    ->Unit(benchmark::kMillisecond);

void BM_DecodeRecorded(benchmark::State& state) {
  const auto rows =
      RecordedRows(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)));
  if (rows.empty()) return state.SkipWithError("../shared/data is not here");
  const auto blocks = BuildRecorded(rows);
  std::vector<double> values(rows[0].size());
  RowDecoder decoder;
  for (auto _ : state) {
    for (const auto& bytes : blocks) {
      const auto block = Superblock::Open(bytes);
      decoder.Reset(*block);
      for (uint32_t row = 0; row < block->row_count(); ++row) {
        benchmark::DoNotOptimize(decoder.Values(row, values));
      }
    }
  }
  CountRecorded(state, rows, blocks);
}
BENCHMARK(BM_DecodeRecorded)
    ->Args({60, 15})
    ->Args({120, 1})
    ->Args({512, 1})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace basalt::storage
