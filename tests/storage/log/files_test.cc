#include "storage/log/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/faulty_files.h"

namespace basalt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> Raw(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string ReadText(const File& file, uint64_t offset, size_t size) {
  std::string text(size, '?');
  const auto got = file.Read(offset, std::as_writable_bytes(std::span(text)));
  EXPECT_TRUE(got.ok());
  text.resize(got.value_or(0));
  return text;
}

// The simulated disk promises what the machine's does, so both take the same tests.
class FilesTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      files_ = &PosixFiles();
      root_ =
          (std::filesystem::temp_directory_path() / ("basalt_files_" + std::to_string(::getpid())))
              .string();
      std::filesystem::remove_all(root_);
    } else {
      simulated_ = basalt::testing::MakeFaultyFiles(disk_);
      files_ = simulated_.get();
      root_ = "/root";
    }
    ASSERT_TRUE(files_->CreateDirectories(root_ + "/a/b").ok());
    dir_ = root_ + "/a/b";
  }
  void TearDown() override {
    if (GetParam()) std::filesystem::remove_all(root_);
  }

  basalt::testing::SimulatedDisk disk_{1};
  std::unique_ptr<Files> simulated_;
  Files* files_ = nullptr;
  std::string root_;
  std::string dir_;
};

// On any file system, whether or not it can write past the page cache.
TEST_P(FilesTest, SectorsAndAnythingElseCanBeWrittenToAFileForSectors) {
  auto file = files_->Open(dir_ + "/f", OpenMode::kCreateForSectors);
  ASSERT_TRUE(file.ok());
  std::string expected;
  const auto append = [&](size_t size, char c) {
    const std::string bytes(size, c);
    ASSERT_TRUE((*file)->Write(expected.size(), Raw(bytes)).ok());
    expected += bytes;
    EXPECT_TRUE(ReadText(**file, 0, expected.size() + 1) == expected);
  };
  append(kSectorBytes, 'a');
  ASSERT_TRUE((*file)->Preallocate(8u << 20).ok());
  ASSERT_TRUE((*file)->Truncate(expected.size()).ok());
  append(3 * kSectorBytes, 'b');
  append(2u << 20, 'c');  // more than one call takes
  append(7, 'd');         // no sector
  append(kSectorBytes, 'e');
  ASSERT_TRUE((*file)->SyncData().ok());
  auto again = files_->Open(dir_ + "/f", OpenMode::kRead);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(ReadText(**again, 0, expected.size() + 1) == expected);
}

TEST_P(FilesTest, WriteReadTruncateAndPreallocate) {
  auto file = files_->Open(dir_ + "/f", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Write(3, Raw("abc")).ok());
  EXPECT_EQ(*(*file)->Size(), 6u);
  EXPECT_EQ(ReadText(**file, 0, 100), std::string("\0\0\0abc", 6));
  EXPECT_EQ(ReadText(**file, 5, 1), "c");
  EXPECT_EQ(ReadText(**file, 100, 1), "");
  ASSERT_TRUE((*file)->Preallocate(4096).ok());
  EXPECT_EQ(*(*file)->Size(), 4096u);
  ASSERT_TRUE((*file)->Preallocate(10).ok());
  EXPECT_EQ(*(*file)->Size(), 4096u);
  EXPECT_EQ(ReadText(**file, 3, 4), std::string("abc\0", 4));
  ASSERT_TRUE((*file)->Truncate(4).ok());
  ASSERT_TRUE((*file)->SyncData().ok());
  ASSERT_TRUE(files_->SyncDirectory(dir_).ok());
  EXPECT_EQ(ReadText(*files_->Open(dir_ + "/f", OpenMode::kRead).value(), 0, 9),
            std::string("\0\0\0a", 4));
  ASSERT_TRUE(files_->Open(dir_ + "/f", OpenMode::kCreate).ok());
  EXPECT_EQ(*(*file)->Size(), 0u);
}

TEST_P(FilesTest, NamesAreListedRenamedLinkedAndUnlinked) {
  for (const char* name : {"/z", "/m"}) {
    ASSERT_TRUE((*files_->Open(dir_ + name, OpenMode::kCreate))->Write(0, Raw(name)).ok());
  }
  EXPECT_THAT(*files_->List(dir_), ElementsAre("m", "z"));
  ASSERT_TRUE(files_->Rename(dir_ + "/z", dir_ + "/m").ok());
  EXPECT_THAT(*files_->List(dir_), ElementsAre("m"));
  EXPECT_EQ(ReadText(*files_->Open(dir_ + "/m", OpenMode::kRead).value(), 0, 9), "/z");
  ASSERT_TRUE(files_->Link(dir_ + "/m", dir_ + "/n").ok());
  EXPECT_EQ(files_->Link(dir_ + "/m", dir_ + "/n").code(), StatusCode::kAlreadyExists);
  const auto held = files_->Open(dir_ + "/m", OpenMode::kUpdate);
  ASSERT_TRUE(files_->Unlink(dir_ + "/m").ok());
  EXPECT_EQ(ReadText(**held, 0, 9), "/z");  // lives as long as it is open
  EXPECT_EQ(ReadText(*files_->Open(dir_ + "/n", OpenMode::kRead).value(), 0, 9), "/z");
  EXPECT_THAT(*files_->List(root_), ElementsAre("a"));
}

TEST_P(FilesTest, ErrorsSayWhatWasDoneToWhat) {
  const std::string gone = dir_ + "/gone";
  for (const Status& status :
       {files_->Open(gone, OpenMode::kRead).status(),
        files_->Open(gone, OpenMode::kUpdate).status(),
        files_->Open(gone + "/f", OpenMode::kCreate).status(), files_->Unlink(gone),
        files_->Rename(gone, dir_ + "/x"), files_->Link(gone, dir_ + "/x"),
        files_->List(gone).status(), files_->SyncDirectory(gone)}) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << status.ToString();
    EXPECT_THAT(std::string(status.message()), HasSubstr(gone));
  }
}

TEST_P(FilesTest, ALockIsHeldOnceAndUntilItIsDropped) {
  auto lock = files_->Lock(dir_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(files_->Lock(dir_ + "/LOCK").status().code(), StatusCode::kFailedPrecondition);
  lock->reset();
  EXPECT_TRUE(files_->Lock(dir_ + "/LOCK").ok());
}

TEST_P(FilesTest, DirectoriesAreMadeOnce) {
  EXPECT_TRUE(files_->CreateDirectories(dir_).ok());
  if (GetParam()) {
    ASSERT_TRUE(files_->Open(dir_ + "/f", OpenMode::kCreate).ok());
    EXPECT_FALSE(files_->CreateDirectories(dir_ + "/f").ok());
    EXPECT_FALSE(files_->CreateDirectories(dir_ + "/f/g").ok());
  }
}
INSTANTIATE_TEST_SUITE_P(Both, FilesTest, ::testing::Bool(), [](const auto& c) {
  return c.param ? std::string("posix") : std::string("simulated");
});

}  // namespace
}  // namespace basalt::storage
