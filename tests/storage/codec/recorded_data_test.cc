// Measures bytes a sample over recorded metrics (../shared/data, one scrape a second), in the
// layout that a seal writes: rows in (metric, job, labels) order, time columns shared by a job.
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"

namespace basalt::storage {
namespace {

constexpr const char* kFolder = "../shared/data/";
constexpr size_t kScrapes = 900;

std::string ReadZstd(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
  const auto size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  std::string out;
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  out.reserve(size < (uint64_t{1} << 32) ? size : 0);
  std::string chunk(1 << 20, '\0');
  size_t left = 1;
  while (in.pos < in.size || left != 0) {
    ZSTD_outBuffer piece{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(stream, &piece, &in);
    if (ZSTD_isError(left) != 0 || (piece.pos == 0 && in.pos == in.size)) break;
    out.append(chunk.data(), piece.pos);
  }
  ZSTD_freeDStream(stream);
  return out;
}

struct Series {
  std::string job, type, metric, labels;
  double le = 0;
  std::vector<double> values;  // NaN: absent from that scrape
};

std::vector<Series> Load() {
  std::vector<Series> all;
  std::istringstream lines(ReadZstd(std::string(kFolder) + "series.tsv.zst"));
  const std::string matrix = ReadZstd(std::string(kFolder) + "values.f64.zst");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Series s;
    std::string family;
    std::getline(fields, s.job, '\t');
    std::getline(fields, s.type, '\t');
    std::getline(fields, family, '\t');
    std::getline(fields, s.metric, '\t');
    std::getline(fields, s.labels);
    if (const size_t at = s.labels.find("\"le\""); at != std::string::npos) {
      const size_t begin = s.labels.find('"', s.labels.find(':', at)) + 1;
      s.le = std::strtod(s.labels.c_str() + begin, nullptr);
      s.labels.erase(at, s.labels.find('"', begin) + 1 - at);
    }
    s.values.resize(kScrapes);
    const size_t offset = all.size() * kScrapes * sizeof(double);
    if (offset + kScrapes * sizeof(double) > matrix.size()) break;
    std::memcpy(s.values.data(), matrix.data() + offset, kScrapes * sizeof(double));
    all.push_back(std::move(s));
  }
  std::sort(all.begin(), all.end(), [](const Series& a, const Series& b) {
    return std::tie(a.metric, a.job, a.labels, a.le) < std::tie(b.metric, b.job, b.labels, b.le);
  });
  return all;
}

struct Sizes {
  size_t samples = 0;
  size_t bytes = 0;
  size_t rows = 0;
  std::map<std::string, std::pair<size_t, size_t>> by_type;  // samples and bytes of values alone
};

// Seals blocks of `block` samples, each `stride`-th scrape; checks every row on the way back.
Sizes Measure(const std::vector<Series>& all, size_t block, size_t stride) {
  Sizes sizes;
  for (size_t begin = 0; begin + block * stride <= kScrapes; begin += block * stride) {
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
          builder.AddSharedColumn(static_cast<uint32_t>(all[s].job.size()), times).value();
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
  if (!std::ifstream(std::string(kFolder) + "values.f64.zst"))
    GTEST_SKIP() << kFolder << " is not here";
  const auto all = Load();
  ASSERT_GT(all.size(), 4000U);
  struct Case {
    size_t block, stride;
    double at_most;  // the FAST column of design/storage.md 2.3, which has neither entropy coding
                     // nor summaries, + 5 %
  };
  for (const Case& c : {Case{120, 1, 0.31}, Case{512, 1, 0.28}, Case{60, 15, 0.52}}) {
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
