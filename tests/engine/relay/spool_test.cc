// What a relay keeps on disk: numbers, bounds, restarts, torn and damaged files.
#include "engine/relay/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace basalt::relay {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Duration kNow{0};

class SpoolTest : public testing::Test {
 protected:
  void SetUp() override {
    options.directory = temporary.path();
    options.max_bytes = 100'000;
    options.file_bytes = 1000;
    Open();
  }
  void Open() {
    spool.reset();
    auto opened = Spool::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    spool = *std::move(opened);
  }
  uint64_t Append(const std::string& payload, int64_t ms = 1) {
    const auto number = spool->Append(FromMs(ms), payload);
    EXPECT_TRUE(number.ok()) << number.status().ToString();
    return number.value_or(0);
  }
  std::string Read(uint64_t number) {
    const auto record = spool->Read(number, kNow);
    if (!record.ok()) return record.status().ToString();
    if (!record->has_value()) return "none";
    return std::to_string((*record)->number) + ":" + (*record)->payload;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(options.directory)) {
      if (entry.path().extension() == ".spool") files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  const TemporaryDirectory temporary;
  SpoolOptions options;
  std::unique_ptr<Spool> spool;
};

TEST_F(SpoolTest, NumbersRiseOverRestartsAndTheWriterStaysTheSame) {
  const std::string writer = spool->writer();
  EXPECT_EQ(writer.size(), 16U);
  EXPECT_EQ(Append("a"), 1U);
  EXPECT_EQ(Append("b"), 2U);
  Open();
  EXPECT_EQ(spool->writer(), writer);
  EXPECT_EQ(Append("c"), 3U);
  EXPECT_EQ(Read(1), "1:a");
  EXPECT_EQ(Read(3), "3:c");
  EXPECT_EQ(Read(4), "none");
  EXPECT_EQ(spool->GetStats().records, 3U);
}

TEST_F(SpoolTest, AcknowledgedFilesGoAndTheCountStays) {
  for (int i = 0; i < 100; ++i) Append(std::string(100, 'x'), 1000 + i);
  EXPECT_GE(Files().size(), 8U);
  EXPECT_EQ(spool->GetStats().oldest_taken, FromMs(1000));
  spool->Trim(50);
  EXPECT_EQ(spool->GetStats().records, 50U);
  EXPECT_EQ(spool->GetStats().oldest, 51U);
  EXPECT_GT(spool->GetStats().oldest_taken, FromMs(1030));
  spool->Trim(100);
  EXPECT_EQ(spool->GetStats().records, 0U);
  EXPECT_EQ(spool->GetStats().oldest_taken, std::nullopt);
  EXPECT_EQ(Files().size(), 1U);
  Open();
  EXPECT_EQ(Append("next"), 101U);
  spool->Trim(1'000'000);
  EXPECT_EQ(Append("next"), 102U) << "nobody acknowledges what is not there";
}

TEST_F(SpoolTest, ItIsFullAtItsBoundAndNotBefore) {
  const uint64_t empty = spool->GetStats().bytes;
  options.max_bytes = empty + 2 * (kRecordHeaderBytes + 8 + 10);
  Open();
  Append("0123456789");
  Append("0123456789");
  const auto full = spool->Append(FromMs(1), "");
  EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.status().message()), HasSubstr("its bound is"));
}

TEST_F(SpoolTest, ATornEndIsCutOffAndWhatComesAfterIsRead) {
  Append("whole");
  Append("torn");
  spool.reset();
  fs::resize_file(Files().back(), fs::file_size(Files().back()) - 1);
  Open();
  EXPECT_EQ(Read(1), "1:whole");
  EXPECT_EQ(Read(2), "none");
  EXPECT_EQ(Append("again"), 2U) << "it was never acknowledged";
  EXPECT_EQ(Read(2), "2:again");
}

TEST_F(SpoolTest, DamageInTheMiddleLosesItsRecordOnlyAndSaysSo) {
  for (int i = 0; i < 30; ++i) Append(std::string(200, static_cast<char>('a' + i % 26)));
  const std::vector<std::string> files = Files();
  ASSERT_GE(files.size(), 4U);
  spool.reset();
  {
    std::fstream file(files[1], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(300);
    file.put('!');
  }
  Open();
  const Spool::Stats stats = spool->GetStats();
  EXPECT_EQ(stats.lost_records, 1U);
  EXPECT_EQ(stats.records + stats.lost_records, 30U);
  // A reader goes on behind it.
  uint64_t number = 1;
  uint64_t read = 0;
  for (;;) {
    const auto record = spool->Read(number, kNow);
    ASSERT_TRUE(record.ok());
    if (!record->has_value()) break;
    number = (*record)->number + 1;
    ++read;
  }
  EXPECT_EQ(number, 31U);
  EXPECT_EQ(read, stats.records);
  EXPECT_EQ(spool->GetStats().lost_records, 1U) << "once";
  spool->Trim(30);
  EXPECT_EQ(spool->GetStats().records, 0U);
}

TEST_F(SpoolTest, WhereTheLengthOfARecordIsDamagedItsFilesRestIsLost) {
  for (int i = 0; i < 30; ++i) Append(std::string(200, static_cast<char>('a' + i % 26)));
  const std::vector<std::string> files = Files();
  spool.reset();
  {
    std::fstream file(files[1], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kRecordFileMagicBytes + 3);
    file.put('!');
  }
  Open();
  const Spool::Stats stats = spool->GetStats();
  EXPECT_GT(stats.lost_records, 1U);
  EXPECT_EQ(stats.records + stats.lost_records, 30U);
  EXPECT_EQ(Append("next"), 31U);
}

TEST_F(SpoolTest, ASecondRelayIsRefused) {
  const auto second = Spool::Open(options);
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(SpoolTest, ForeignFilesAreRefused) {
  spool.reset();
  std::ofstream(options.directory + "/00000000000000000009.spool") << "something else altogether";
  EXPECT_EQ(Spool::Open(options).status().code(), StatusCode::kDataLoss);
}

TEST_F(SpoolTest, WhatTheServerKnowsAlreadyIsNotNumberedAgain) {
  Append("a");
  spool->SkipTo(10);
  EXPECT_EQ(Append("b"), 11U);
  EXPECT_EQ(Read(2), "11:b");
  Open();
  EXPECT_EQ(Append("c"), 12U);
}

TEST_F(SpoolTest, ManyWritersShareSyncsAndEachRecordIsReadOnce) {
  options.max_bytes = 10'000'000;
  Open();
  constexpr int kEach = 50;
  std::vector<std::thread> writers;
  for (int w = 0; w < 8; ++w) {
    writers.emplace_back([this, w] {
      for (int i = 0; i < kEach; ++i) Append(std::to_string(w) + "." + std::to_string(i));
    });
  }
  std::set<std::string> seen;
  for (uint64_t number = 1; number <= 8 * kEach; ++number) {
    for (;;) {
      const auto record = spool->Read(number, std::chrono::seconds(5));
      ASSERT_TRUE(record.ok());
      if (!record->has_value()) continue;
      EXPECT_EQ((*record)->number, number);
      seen.insert((*record)->payload);
      break;
    }
    spool->Trim(number);
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(seen.size(), 8U * kEach);
}

}  // namespace
}  // namespace basalt::relay
