// Files of records: what comes back after a crash, a full disk and flipped bits.
#include "engine/base/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace basalt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kMagic = "record-test-v1\n\n";

// A disk whose next changes fail.
class FailingSteps final : public FileSteps {
 public:
  ssize_t Write(int fd, const char* bytes, size_t size) override {
    if (full_after < 0) return FileSteps::Write(fd, bytes, size);
    if (full_after == 0) {
      errno = ENOSPC;
      return -1;
    }
    const auto n = std::min<size_t>(size, static_cast<size_t>(full_after));
    full_after -= static_cast<int64_t>(n);
    return FileSteps::Write(fd, bytes, n);
  }
  int Sync(int fd) override { return fails_sync ? Fail() : FileSteps::Sync(fd); }
  int Rename(const char* from, const char* to) override {
    return fails_rename ? Fail() : FileSteps::Rename(from, to);
  }

  int64_t full_after = -1;  // bytes; -1: never
  bool fails_sync = false;
  bool fails_rename = false;

 private:
  static int Fail() {
    errno = EIO;
    return -1;
  }
};

class RecordFileTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    opened = {};
    read.clear();
    auto result = RecordFile::Open(path, kMagic, Reader(), steps);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    opened = *std::move(result);
  }
  RecordFile::OnRecord Reader() {
    return [this](uint64_t, std::string_view payload) {
      if (payload == "senseless") return DataLoss("no sense");
      read.emplace_back(payload);
      return OkStatus();
    };
  }
  RecordFile& file() { return *opened.file; }
  uint64_t Append(const std::string& payload) {
    const auto offset = file().Append(payload);
    EXPECT_TRUE(offset.ok()) << offset.status().ToString();
    return offset.value_or(0);
  }
  std::string Bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void SetBytes(std::string_view bytes) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  FailingSteps steps;
  const TemporaryDirectory temporary;
  const std::string directory = temporary.path();
  const std::string path = directory + "/records";
  std::vector<std::string> read;
  RecordFile::Opened opened;
};

TEST_F(RecordFileTest, GivesEachRecordBackByItsOffsetAndInOrder) {
  const uint64_t one = Append("one");
  ASSERT_TRUE(file().Append(std::vector<std::string>{"two", "three"}, true).ok());
  const uint64_t four = Append("four");
  Open();
  EXPECT_THAT(read, ElementsAre("one", "two", "three", "four"));
  std::string payload;
  ASSERT_TRUE(file().Read(one, payload).ok());
  EXPECT_EQ(payload, "one");
  ASSERT_TRUE(file().Read(four, payload).ok());
  EXPECT_EQ(payload, "four");
  EXPECT_EQ(file().Read(four + 1, payload).code(), StatusCode::kDataLoss);
  EXPECT_EQ(file().Read(file().bytes(), payload).code(), StatusCode::kDataLoss);
}

TEST_F(RecordFileTest, CutAnywhereItKeepsTheWholeRecordsAndTakesFurtherOnes) {
  Append("one");
  const size_t two_begins = Append("second");
  Append("last");
  const std::string all = Bytes();
  const size_t last_begins = two_begins + kRecordHeaderBytes + 6;
  for (size_t end = 0; end < all.size(); ++end) {
    SetBytes(all.substr(0, end));
    Open();
    std::vector<std::string> whole;
    if (end >= two_begins) whole.emplace_back("one");
    if (end >= last_begins) whole.emplace_back("second");
    EXPECT_EQ(read, whole) << end;
    EXPECT_THAT(opened.damaged, IsEmpty()) << end;
    Append("more");
    whole.emplace_back("more");
    Open();
    EXPECT_EQ(read, whole) << end;
  }
}

// A file whose length reached the disk before its bytes did.
TEST_F(RecordFileTest, ZerosAtTheEndAreNoRecords) {
  Append("one");
  for (const size_t zeros : {1U, 7U, 8U, 9U, 4096U}) {
    const std::string sound = Bytes();
    SetBytes(sound + std::string(zeros, '\0'));
    Open();
    EXPECT_THAT(read, ElementsAre("one"));
    EXPECT_THAT(opened.damaged, IsEmpty());
    EXPECT_EQ(opened.cut_bytes, zeros);
    EXPECT_EQ(Bytes(), sound);
  }
  // So that there are none to be mistaken for.
  EXPECT_THAT(file().Append("").status().message(), HasSubstr("a record of 0 bytes"));
}

TEST_F(RecordFileTest, AFlippedBitCostsItsRecordOnlyAndIsReported) {
  Append("one");
  const uint64_t two = Append("two");
  Append("three");
  const std::string sound = Bytes();
  // The checksum and the payload of the second.
  for (uint64_t byte = two + 4; byte < two + kRecordHeaderBytes + 3; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = sound;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << bit));
      SetBytes(flipped);
      Open();
      EXPECT_THAT(read, ElementsAre("one", "three"));
      ASSERT_THAT(opened.damaged, SizeIs(1));
      EXPECT_EQ(opened.damaged[0].offset, two);
      EXPECT_THAT(opened.damaged[0].ToString(), HasSubstr("checksum"));
      EXPECT_EQ(Bytes(), flipped) << "left as it is";
    }
  }
}

TEST_F(RecordFileTest, WhatItsOwnerCannotReadIsDamageToo) {
  Append("senseless");
  Append("sound");
  Open();
  EXPECT_THAT(read, ElementsAre("sound"));
  ASSERT_THAT(opened.damaged, SizeIs(1));
  EXPECT_EQ(opened.damaged[0].ToString(),
            "the record at byte 16 is damaged and left out: no sense");
}

TEST_F(RecordFileTest, AFileOfAnotherKindIsLeftAlone) {
  for (const std::string other : {"something else, and longer than sixteen bytes", "short"}) {
    SetBytes(other);
    const auto result = RecordFile::Open(path, kMagic, Reader());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(result.status().message(), HasSubstr("begin with \"record-test-v1\""));
    EXPECT_FALSE(RecordFile::Check(path, kMagic, Reader()).ok());
    EXPECT_EQ(Bytes(), other);
  }
}

TEST_F(RecordFileTest, ACheckReportsAndChangesNothing) {
  const uint64_t one = Append("one");
  Append("two");
  std::string spoiled = Bytes() + "torn";
  spoiled[one + kRecordHeaderBytes] = 'x';
  SetBytes(spoiled);
  read.clear();
  const auto damaged = RecordFile::Check(path, kMagic, Reader());
  ASSERT_TRUE(damaged.ok());
  ASSERT_THAT(*damaged, SizeIs(1));
  EXPECT_EQ(damaged->front().offset, one);
  EXPECT_THAT(read, ElementsAre("two"));
  EXPECT_EQ(Bytes(), spoiled);
}

TEST_F(RecordFileTest, AFullDiskLeavesTheFileAsItWas) {
  Append("one");
  const std::string before = Bytes();
  for (int64_t room = 0; room < 20; ++room) {
    steps.full_after = room;
    const auto refused = file().Append("a record of 20 byte");
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(Bytes(), before);
  }
  steps.full_after = -1;
  steps.fails_sync = true;
  EXPECT_FALSE(file().Append(std::vector<std::string>{"not synced"}, true).ok());
  steps.fails_sync = false;
  EXPECT_EQ(Bytes(), before);
  Append("two");
  Open();
  EXPECT_THAT(read, ElementsAre("one", "two"));
}

TEST_F(RecordFileTest, ARewriteReplacesTheFileOrLeavesIt) {
  Append("one");
  Append("two");
  const std::string before = Bytes();
  const std::vector<std::string> kept = {"kept"};
  steps.fails_rename = true;
  EXPECT_FALSE(file().Rewrite(kept).ok());
  steps.fails_rename = false;
  steps.full_after = 3;
  EXPECT_FALSE(file().Rewrite(kept).ok());
  steps.full_after = -1;
  EXPECT_EQ(Bytes(), before);
  Append("three");

  EXPECT_TRUE(file().WantsRewrite(10));
  EXPECT_FALSE(file().WantsRewrite(1000));
  ASSERT_TRUE(file().Rewrite(kept).ok());
  EXPECT_FALSE(file().WantsRewrite(10));
  Append("after");
  Open();
  EXPECT_THAT(read, ElementsAre("kept", "after"));
}

}  // namespace
}  // namespace basalt
