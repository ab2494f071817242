// What every server of bench/compare is given: a wrong fleet would make a wrong table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "bench/compare/columns.h"
#include "bench/compare/encode.h"
#include "bench/compare/fleet.h"
#include "bench/compare/flood.h"
#include "bench/compare/order.h"
#include "bench/compare/request_file.h"

namespace basalt::bench {
namespace {

const Recording& Generated() {
  static const Recording recording = GenerateRecording(/*seed=*/1);
  return recording;
}

Fleet TwoHosts(uint64_t seed = 1) {
  FleetOptions options;
  options.series = 2 * Generated().series.size();
  options.seed = seed;
  options.start_ms = 1'700'000'000'000;
  return {Generated(), options};
}

bool Whole(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return v == std::floor(v); });
}

TEST(Recording, TheGeneratedOneHasTheSizeAndTheSharesOfTheRecordedOne) {
  ASSERT_EQ(Generated().series.size(), 4318);
  size_t constant = 0;
  std::set<std::string> distinct;
  for (const RecordedSeries& s : Generated().series) {
    ASSERT_EQ(s.values.size(), kRecordedRows);
    distinct.insert(s.job + s.labels.ToString());
    constant += std::set<double>(s.values.begin(), s.values.end()).size() == 1 ? 1 : 0;
  }
  EXPECT_EQ(distinct.size(), Generated().series.size());
  EXPECT_NEAR(static_cast<double>(constant) / 4318, 0.59, 0.05);
}

TEST(Recording, AMissingOneIsNotFoundAndADamagedOneIsDataLoss) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("compare_test_" + std::to_string(::getpid()));
  EXPECT_EQ(LoadRecording(directory.string()).status().code(), StatusCode::kNotFound);
  std::filesystem::create_directory(directory);
  for (const char* name : {"series.tsv.zst", "values.f64.zst"})
    std::ofstream(directory / name) << "not zstd";
  EXPECT_EQ(LoadRecording(directory.string()).status().code(), StatusCode::kDataLoss);
  std::filesystem::remove_all(directory);
}

TEST(Fleet, CountersStayMonotoneAndWholeOverManyLaps) {
  const Fleet fleet = TwoHosts();
  size_t counters = 0;
  for (const Target& target : fleet.targets()) {
    for (size_t s = target.first_series; s < target.first_series + target.series; ++s) {
      const RecordedSeries& recorded =
          Generated().series[target.first_recorded + s - target.first_series];
      if (recorded.type != "counter" && recorded.type != "histogram") continue;
      ++counters;
      double last = -1;
      for (int64_t k = 0; k < 400; ++k) {  // 6,000 s: seven laps
        const double v = fleet.Value(target, s, k);
        ASSERT_GE(v, last) << fleet.labels(s).ToString() << " scrape " << k;
        ASSERT_TRUE(!Whole(recorded.values) || v == std::floor(v)) << fleet.labels(s).ToString();
        last = v;
      }
    }
  }
  EXPECT_GT(counters, 1000);
}

TEST(Fleet, BucketsStayCumulative) {
  const Fleet fleet = TwoHosts();
  size_t compared = 0;
  for (const Target& target : fleet.targets()) {
    for (size_t s = target.first_series + 1; s < target.first_series + target.series; ++s) {
      Labels here = fleet.labels(s);
      Labels before = fleet.labels(s - 1);
      if (!here.Has("le") || !before.Has("le")) continue;
      here.Remove("le");
      before.Remove("le");
      if (here != before) continue;
      for (int64_t k = 0; k < 200; k += 7)
        ASSERT_LE(fleet.Value(target, s - 1, k), fleet.Value(target, s, k)) << here.ToString();
      ++compared;
    }
  }
  EXPECT_GT(compared, 50);
}

TEST(Fleet, SeriesAreDistinctAndTargetsKeepTheirOffsets) {
  const Fleet fleet = TwoHosts();
  std::set<std::string> distinct;
  for (size_t s = 0; s < fleet.series_count(); ++s) distinct.insert(fleet.labels(s).ToString());
  EXPECT_EQ(distinct.size(), fleet.series_count());
  ASSERT_EQ(fleet.targets().size(), 10);
  for (const Target& target : fleet.targets()) {
    for (int64_t k = 0; k < 100; ++k) {
      const int64_t jitter =
          fleet.TimeMs(target, k) - 1'700'000'000'000 - k * 15'000 - target.offset_ms;
      ASSERT_TRUE(jitter >= 0 && jitter <= 4) << jitter;
    }
  }
}

using Samples = std::map<std::pair<uint32_t, int64_t>, double>;  // by series and time

Samples AllSamples(const Fleet& fleet, int64_t scrapes) {
  Samples all;
  for (const Target& target : fleet.targets())
    for (size_t s = target.first_series; s < target.first_series + target.series; ++s)
      for (int64_t k = 0; k < scrapes; ++k)
        all[{static_cast<uint32_t>(s), fleet.TimeMs(target, k)}] = fleet.Value(target, s, k);
  return all;
}

class EveryOrder : public testing::TestWithParam<Order> {};
INSTANTIATE_TEST_SUITE_P(Table, EveryOrder,
                         testing::Values(Order::kOrdered, Order::kSharded, Order::kBacklog));

TEST_P(EveryOrder, HandsOutEverySampleOnceAndASeriesInTheOrderOfTime) {
  const Fleet fleet = TwoHosts();
  constexpr int64_t kScrapes = 50;  // more than a backlog's block
  Samples seen;
  std::map<uint32_t, std::pair<uint32_t, int64_t>> last;  // of a series: connection and time
  const Status status = ForEachRequest(
      fleet, {.order = GetParam(), .scrapes = kScrapes, .connections = 3},
      [&](uint32_t connection, const std::vector<Cell>& cells) -> Status {
        for (const Cell& cell : cells) {
          const auto [at, first] = last.try_emplace(cell.series, connection, cell.time_ms);
          EXPECT_TRUE(first || at->second.first == connection) << "two connections for a series";
          EXPECT_TRUE(first || at->second.second < cell.time_ms) << "out of order";
          at->second.second = cell.time_ms;
          EXPECT_TRUE(seen.try_emplace({cell.series, cell.time_ms}, cell.value).second) << "twice";
        }
        return testing::Test::HasFailure() ? Internal("see above") : OkStatus();
      });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(seen == AllSamples(fleet, kScrapes));
}

TEST(Order, AShardsRequestMixesTargetsAndIsFull) {
  const Fleet fleet = TwoHosts();
  size_t full = 0;
  const Status status =
      ForEachRequest(fleet, {.order = Order::kSharded, .scrapes = 10},
                     [&](uint32_t connection, const std::vector<Cell>& cells) -> Status {
                       EXPECT_LE(cells.size(), kSamplesPerSend);
                       std::set<std::string> instances;
                       for (const Cell& cell : cells) {
                         EXPECT_EQ(cell.series % kShards, connection);
                         instances.insert(std::string(fleet.labels(cell.series).Get("instance")));
                       }
                       if (cells.size() == kSamplesPerSend) {
                         ++full;
                         EXPECT_GT(instances.size(), 4);
                       }
                       return OkStatus();
                     });
  ASSERT_TRUE(status.ok());
  EXPECT_GT(full, 20);
}

TEST(Order, AnUnknownNameIsRefusedWithTheNamesThereAre) {
  EXPECT_THAT(std::string(ParseOrder("random").status().message()),
              testing::HasSubstr("ordered, sharded, backlog"));
}

// Collects what a body says, with references as they were given.
class Collected final : public ColumnSink {
 public:
  void Define(uint32_t series, const Labels& labels) override { labels_of[series] = labels; }
  void Scrape(uint32_t first, int64_t time_ms, std::span<const double> values) override {
    for (size_t i = 0; i < values.size(); ++i)
      samples[{first + static_cast<uint32_t>(i), time_ms}] = values[i];
  }
  void Samples(std::span<const uint32_t> series, std::span<const int64_t> time_ms,
               std::span<const double> values) override {
    for (size_t i = 0; i < values.size(); ++i) samples[{series[i], time_ms[i]}] = values[i];
  }
  std::map<uint32_t, Labels> labels_of;
  bench::Samples samples;
};

TEST_P(EveryOrder, SurvivesTheColumns) {
  const Fleet fleet = TwoHosts();
  const auto encoder = MakeEncoder(Protocol::kColumns, fleet);
  Collected found;
  std::string body;
  const Status status = ForEachRequest(fleet, {.order = GetParam(), .scrapes = 3, .connections = 2},
                                       [&](uint32_t, const std::vector<Cell>& cells) -> Status {
                                         BASALT_TRY(encoder->Encode(cells, body));
                                         return ReadColumns(body, found);
                                       });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(found.samples == AllSamples(fleet, 3));
  ASSERT_EQ(found.labels_of.size(), fleet.series_count());
  for (const auto& [series, labels] : found.labels_of) EXPECT_EQ(labels, fleet.labels(series));
}

TEST(Columns, ACutBodyIsDataLossAtEveryLength) {
  const Fleet fleet = TwoHosts();
  const std::vector<Cell> cells = {{3, 1000, 1.5}, {4, 1000, 2.5}, {9, 1001, 3.5}};
  std::string body;
  ASSERT_TRUE(MakeEncoder(Protocol::kColumns, fleet)->Encode(cells, body).ok());
  // At the end of a block a body may end; everywhere else it may not.
  size_t whole = 0;
  for (size_t bytes = 0; bytes <= body.size(); ++bytes) {
    Collected found;
    const Status status = ReadColumns(std::string_view(body).substr(0, bytes), found);
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kDataLoss);
    whole += status.ok() ? 1 : 0;
  }
  EXPECT_LE(whole, 8);  // nothing, three definitions, three single samples, all of it
}

class RequestFileTest : public testing::Test {
 protected:
  ~RequestFileTest() override { std::filesystem::remove(path_); }
  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("request_file_" + std::to_string(::getpid())))
          .string();
};

TEST_F(RequestFileTest, GivesBackWhatWasPutIn) {
  RequestFileHeader header;
  header.connections = 2;
  auto writer = RequestFileWriter::Create(path_, header);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Add({3, 7, 0}, "abc").ok());
  ASSERT_TRUE((*writer)->Add({0, 0, 1}, "").ok());
  ASSERT_TRUE((*writer)->Close(header).ok());
  const auto file = RequestFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ((*file)->header().requests, 2);
  EXPECT_EQ((*file)->header().samples, 7);
  size_t at = sizeof(RequestFileHeader);
  size_t body = 0;
  RequestHead head;
  ASSERT_TRUE((*file)->Next(at, head, body));
  EXPECT_EQ((*file)->bytes().substr(body, head.bytes), "abc");
  ASSERT_TRUE((*file)->Next(at, head, body));
  EXPECT_EQ(head.connection, 1);
  EXPECT_FALSE((*file)->Next(at, head, body));
}

TEST_F(RequestFileTest, AFileThatWasNotClosedOrIsCutIsRefused) {
  RequestFileHeader header;
  {
    auto writer = RequestFileWriter::Create(path_, header);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Add({3, 7, 0}, "abc").ok());
  }
  EXPECT_EQ(RequestFile::Open(path_).status().code(), StatusCode::kDataLoss);
  {
    auto writer = RequestFileWriter::Create(path_, header);
    ASSERT_TRUE((*writer)->Add({3, 7, 0}, "abc").ok());
    ASSERT_TRUE((*writer)->Close(header).ok());
  }
  ASSERT_TRUE(RequestFile::Open(path_).ok());
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  EXPECT_EQ(RequestFile::Open(path_).status().code(), StatusCode::kDataLoss);
}

TEST(Flood, MoreConnectionsThanDescriptorsIsAnErrorThatNamesBoth) {
  FloodOptions options;
  options.address = "127.0.0.1:1";
  options.connections = 0xFFFF'FFFF;
  options.start_ms = 1'700'000'000'000;
  const auto report = Flood(options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(report.status().message().find("--connections: 4294967295 take 4294967311 file"),
            std::string::npos)
      << report.status().message();
}

}  // namespace
}  // namespace basalt::bench
