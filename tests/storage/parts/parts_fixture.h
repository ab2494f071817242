// tests/storage/parts/parts_fixture.h -- a data directory of its own, and small runs to put in it.
#pragma once

#include <gtest/gtest.h>
#include <rocksdb/metadata.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/parts/database.h"
#include "storage/parts/rocks.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

inline constexpr uint16_t kDay = 20'000;

inline SeriesPlace PlaceOf(uint32_t metric, uint32_t group, TenantId tenant = kDefaultTenant) {
  return {tenant, MetricId{metric}, GroupId{group}};
}

class PartsFixture : public testing::Test {
 protected:
  PartsFixture() {
    std::string name = testing::TempDir() + "/basalt-parts-XXXXXX";
    root_ = ::mkdtemp(name.data());
    directory_ = root_ + "/db";
  }
  ~PartsFixture() override {
    store_.reset();
    database_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  static DatabaseOptions Options(const std::string& directory) {
    DatabaseOptions options;
    options.directory = directory;
    options.block_cache_bytes = 1u << 20;
    return options;
  }
  void Open() {
    database_ = Database::Open(Options(directory_)).value();
    store_ = RunStore::Open(*database_).value();
  }
  void Close() {
    store_.reset();
    ASSERT_TRUE(database_->Close().ok());
    database_.reset();
  }

  // A run of `blocks` superblocks whose bytes begin with `tag`; block i is at metric 1 + i, with 10
  // samples.
  static FinishedRun MakeRun(RunStore& store, const std::string& tag, uint16_t day = kDay,
                             uint64_t last = 10, PartitionId partition = PartitionId{1},
                             uint32_t blocks = 3, size_t bytes = 500,
                             std::optional<uint64_t> after = std::nullopt) {
    RunWriter writer = store.NewRun(partition, day, kSealLevel).value();
    for (uint32_t i = 0; i < blocks; ++i) {
      const std::string data = tag + std::to_string(i) + std::string(bytes, 'x');
      SuperblockInput block;
      block.place = PlaceOf(1 + i, 0);
      block.last_place = PlaceOf(1 + i, 5);
      block.min_ms = day * kMsPerDay + i;
      block.max_ms = day * kMsPerDay + 1000 + i;
      block.samples = 10;
      block.bytes = data;
      EXPECT_TRUE(writer.Add(block).ok());
    }
    return writer.Finish({0, after.value_or(last - 1)}, {0, last}, {0, last}).value();
  }
  // Commits one run of its own and returns its number.
  uint32_t CommitRun(const std::string& tag, uint16_t day = kDay, uint64_t last = 10,
                     PartitionId partition = PartitionId{1}) {
    RunCommit commit;
    commit.added.push_back(MakeRun(*store_, tag, day, last, partition));
    const uint32_t number = commit.added[0].info().number;
    EXPECT_TRUE(store_->Commit(std::move(commit)).ok());
    return number;
  }

  // The first bytes of each run's first block: its tag.
  static std::vector<std::string> Tags(const RunStore& store) {
    std::vector<std::string> out;
    for (const auto& run : store.Snapshot()->runs()) {
      const PinnedBytes bytes = run->Read(0).value();
      out.emplace_back(bytes.view().substr(0, bytes.view().find('0')));
    }
    return out;
  }
  static size_t BlockFiles(const Database& database) {
    rocksdb::ColumnFamilyMetaData meta;
    database.rocks().db->GetColumnFamilyMetaData(database.rocks().handle(Family::kBlocks), &meta);
    return meta.file_count;
  }
  static size_t FilesIn(const std::string& directory) {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++n;
    return n;
  }

  std::string root_;
  std::string directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<RunStore> store_;
};

}  // namespace basalt::storage
