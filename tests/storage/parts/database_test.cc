#include "storage/parts/database.h"

#include <gmock/gmock.h>

#include "storage/parts/meta_keys.h"
#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {
namespace {

using testing::HasSubstr;

using DatabaseTest = PartsFixture;

TEST_F(DatabaseTest, KeepsWhatWasWrittenOverAReopen) {
  Open();
  WriteBatch batch;
  batch.Put(Family::kRegistry, "a1", "x");
  batch.Put(Family::kRegistry, "a2", "y");
  batch.Put(Family::kRegistry, "b", "z");
  batch.Put(Family::kActivity, "a1", "other family");
  ASSERT_TRUE(database_->Write(std::move(batch), true).ok());
  Close();
  Open();
  EXPECT_EQ(database_->Get(Family::kRegistry, "a1").value(), "x");
  EXPECT_EQ(database_->GetPinned(Family::kActivity, "a1").value().view(), "other family");
  EXPECT_EQ(database_->Get(Family::kRegistry, "c").status().code(), StatusCode::kNotFound);
  std::string seen;
  ASSERT_TRUE(database_
                  ->ForEach(Family::kRegistry, "a",
                            [&](std::string_view key, std::string_view value) {
                              seen += std::string(key) + "=" + std::string(value) + " ";
                              return OkStatus();
                            })
                  .ok());
  EXPECT_EQ(seen, "a1=x a2=y ");
}

TEST_F(DatabaseTest, RefusesAnotherPartitionCountNamingBoth) {
  Open();
  Close();
  DatabaseOptions options = Options(directory_);
  options.partitions = 16;
  const Status status = Database::Open(options).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("created with 8 partitions"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("opened with 16"));
}

TEST_F(DatabaseTest, RefusesAnotherFormatVersionNamingBoth) {
  Open();
  WriteBatch batch;
  batch.Put(Family::kMeta, kFormatKey, BigEndian32(kFormatVersion + 1));
  ASSERT_TRUE(database_->Write(std::move(batch), true).ok());
  Close();
  const Status status = Database::Open(Options(directory_)).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("format version " + std::to_string(kFormatVersion + 1)));
}

TEST_F(DatabaseTest, RefusesASecondOpener) {
  Open();
  const Status status = Database::Open(Options(directory_)).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another process"));
}

TEST_F(DatabaseTest, SaysWhatItCouldNotOpen) {
  const Status status = Database::Open(Options("/proc/nosuch/db")).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("/proc/nosuch/db"));
}

TEST_F(DatabaseTest, ACheckpointOpensAsADatabaseOfItsOwn) {
  Open();
  CommitRun("A");
  const std::string copy = root_ + "/copy";
  ASSERT_TRUE(database_->Checkpoint(copy).ok());
  EXPECT_FALSE(database_->Checkpoint(copy).ok());  // it exists now
  CommitRun("B", kDay, 20);
  const auto other = Database::Open(Options(copy)).value();
  const auto runs = RunStore::Open(*other).value();
  EXPECT_THAT(Tags(*runs), testing::ElementsAre("A"));
}

}  // namespace
}  // namespace basalt::storage
