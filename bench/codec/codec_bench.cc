// Kernels of storage/codec over the shapes of tests/support/sample_shapes.h. Items are samples.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "storage/codec/bit_pack.h"
#include "storage/codec/row.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/time_column.h"
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

}  // namespace
}  // namespace basalt::storage
