#include "storage/parts/run_format.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace basalt::storage {
namespace {

RunInfo SomeRun() {
  RunInfo run;
  run.number = 42;
  run.partition = PartitionId{65'535};
  run.day = 65'535;
  run.level = 255;
  run.after = {1, 5};
  run.last = {1, UINT64_MAX};
  run.deletes_applied = {2, 7};
  run.samples = 123'456'789'012;
  run.superblocks = 3;
  run.bytes = 999;
  run.min_ms = 0;
  run.max_ms = INT64_MAX;
  return run;
}

std::vector<SuperblockRef> SomeDirectory() {
  std::vector<SuperblockRef> refs(3);
  for (uint32_t i = 0; i < 3; ++i) {
    refs[i].place = refs[i].last_place = {TenantId{1}, MetricId{7}, GroupId{9}};
    refs[i].row = static_cast<uint16_t>(i * 100);
    refs[i].min_ms = 5;
    refs[i].max_ms = 6 + i;
    refs[i].samples = 1000;
    refs[i].bytes = 32'768;
  }
  return refs;
}

TEST(RunFormat, ARunsLineComesBack) {
  EXPECT_EQ(DecodeRunInfo(42, EncodeRunInfo(SomeRun())).value(), SomeRun());
}

TEST(RunFormat, ADirectoryComesBack) {
  const auto refs = DecodeDirectory(EncodeDirectory(SomeDirectory())).value();
  ASSERT_EQ(refs.size(), 3u);
  EXPECT_EQ(refs[2].row, 200);
  EXPECT_EQ(refs[2].max_ms, 8);
  EXPECT_EQ(refs[1].place, SomeDirectory()[1].place);
  EXPECT_EQ(refs[1].bytes, 32'768u);
}

TEST(RunFormat, EveryCutIsDamage) {
  const std::string line = EncodeRunInfo(SomeRun());
  for (size_t n = 0; n < line.size(); ++n) {
    EXPECT_EQ(DecodeRunInfo(1, line.substr(0, n)).status().code(), StatusCode::kDataLoss) << n;
  }
  const std::string directory = EncodeDirectory(SomeDirectory());
  for (size_t n = 0; n < directory.size(); ++n) {
    EXPECT_EQ(DecodeDirectory(directory.substr(0, n)).status().code(), StatusCode::kDataLoss) << n;
  }
  EXPECT_FALSE(DecodeDirectory(directory + "x").ok());
  EXPECT_FALSE(DecodeRunInfo(1, line + "x").ok());
}

TEST(RunFormat, ADirectoryThatDoesNotRiseIsDamage) {
  auto refs = SomeDirectory();
  std::swap(refs[0], refs[1]);
  EXPECT_EQ(DecodeDirectory(EncodeDirectory(refs)).status().code(), StatusCode::kDataLoss);
}

RC_GTEST_PROP(RunFormat, AnyBytesAreReadWithoutHarm, ()) {
  std::string bytes = EncodeDirectory(SomeDirectory());
  const int changes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < changes; ++i) {
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  }
  const auto refs = DecodeDirectory(bytes);
  RC_ASSERT(refs.ok() || refs.status().code() == StatusCode::kDataLoss);
  (void)DecodeRunInfo(1, bytes);
}

TEST(RunFormat, TheDirectoryIsTheLastKeyOfItsRun) {
  const RunInfo run = SomeRun();
  EXPECT_LT(
      SuperblockKey(run, {TenantId{UINT32_MAX}, MetricId{UINT32_MAX}, GroupId{UINT32_MAX}}, 0),
      DirectoryKey(run));
  EXPECT_TRUE(DirectoryKey(run).starts_with(RunRange(KeyOf(run)).begin));
}

}  // namespace
}  // namespace basalt::storage
