// Measures bytes a sample over recorded metrics (../shared/data, one scrape a second), in the
// layout that a seal writes: rows in (metric, job, labels, le) order, a shared time column for each
// job.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"
#include "tests/support/recorded_metrics.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::kRecordedScrapes;
using ::basalt::testing::LoadRecordedSeries;
using ::basalt::testing::RecordedSeries;

struct Sizes {
  size_t samples = 0;
  size_t bytes = 0;
  size_t rows = 0;
  std::map<std::string, std::pair<size_t, size_t>> by_type;  // samples and bytes of values alone
};

// Seals blocks of `block` samples, each `stride`-th scrape; checks every row on the way back.
Sizes Measure(const std::vector<RecordedSeries>& all, size_t block, size_t stride) {
  Sizes sizes;
  std::map<std::string, uint32_t> jobs;  // each has its time column, as targets do
  for (size_t begin = 0; begin + block * stride <= kRecordedScrapes; begin += block * stride) {
    std::vector<int64_t> times(block);
    for (size_t i = 0; i < block; ++i)
      times[i] = 1'800'000'000'000 + static_cast<int64_t>((begin + i * stride) * 1000);
    SuperblockBuilder builder;
    std::vector<std::vector<double>> pending;
    const auto finish = [&] {
      if (builder.empty()) return;
      const std::string bytes = builder.Finish();
      sizes.bytes += bytes.size();
      const auto opened = Superblock::Open(bytes);
      ASSERT_TRUE(opened.ok());
      ASSERT_EQ(opened->row_count(), pending.size());
      RowDecoder decoder(*opened);
      for (uint32_t row = 0; row < pending.size(); ++row) {
        std::vector<double> out(pending[row].size());
        ASSERT_TRUE(decoder.Values(row, out).ok());
        ASSERT_EQ(std::memcmp(out.data(), pending[row].data(), out.size() * sizeof(double)), 0);
      }
      pending.clear();
    };
    for (size_t s = 0; s < all.size(); ++s) {
      std::vector<double> values;
      std::vector<int64_t> present;
      for (size_t i = 0; i < block; ++i) {
        const double v = all[s].values[begin + i * stride];
        if (v != v) continue;
        values.push_back(v);
        present.push_back(times[i]);
      }
      if (values.empty()) continue;
      const uint32_t column =
          builder
              .AddSharedColumn(
                  jobs.try_emplace(all[s].job, static_cast<uint32_t>(jobs.size())).first->second,
                  times)
              .value();
      const RowTimes placed = builder.PlaceTimes(present, column).value();
      RowInput row{.ordinal = SeriesOrdinal{static_cast<uint32_t>(s)},
                   .time_column = placed.time_column};
      row.presence = placed.presence;
      row.values = values;
      RowSummary summary;
      if (values.size() >= kMinSummarySamples) {
        summary = SummarizeRow(present, values, {});
        row.summary = &summary;
      }
      EXPECT_TRUE(builder.AddRow(row).ok());
      std::string alone;
      EXPECT_TRUE(EncodeRow(values, alone).ok());
      auto& [samples, bytes] = sizes.by_type[all[s].type];
      samples += values.size();
      bytes += alone.size();
      sizes.samples += values.size();
      ++sizes.rows;
      pending.push_back(std::move(values));
      if (builder.EstimatedBytes() >= kSuperblockTargetBytes) finish();
    }
    finish();
  }
  return sizes;
}

TEST(RecordedData, TakesFewBytesASample) {
  const auto all = LoadRecordedSeries();
  if (all.empty()) GTEST_SKIP() << "../shared/data is not here";
  ASSERT_GT(all.size(), 4000U);
  struct Case {
    size_t block, stride;
    double at_most;  // measured + 3 %; with summaries from 128 samples up
  };
  for (const Case& c : {Case{120, 1, 0.225}, Case{512, 1, 0.212}, Case{60, 15, 0.41}}) {
    const Sizes sizes = Measure(all, c.block, c.stride);
    const double per_sample = static_cast<double>(sizes.bytes) / static_cast<double>(sizes.samples);
    std::printf("block %zu, every %zu s: %zu samples, %.4f bytes a sample in all;", c.block,
                c.stride, sizes.samples, per_sample);
    for (const auto& [type, counts] : sizes.by_type) {
      std::printf(" %s %.3f", type.c_str(),
                  static_cast<double>(counts.second) / static_cast<double>(counts.first));
    }
    std::printf("\n");
    EXPECT_LE(per_sample, c.at_most);
  }
}

}  // namespace
}  // namespace basalt::storage
