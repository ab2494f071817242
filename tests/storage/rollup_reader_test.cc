// When a rollup stands for its day, by the runs there are.
#include "storage/rollup_reader.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace basalt::storage {
namespace {

constexpr uint16_t kDay = 20'000;
constexpr uint64_t kShape = 7;

// A run of which nothing but its line in the manifest is asked.
class KnownRun final : public Run {
 public:
  explicit KnownRun(const RunInfo& info) : info_(info) {}
  [[nodiscard]] const RunInfo& info() const override { return info_; }
  [[nodiscard]] Result<std::shared_ptr<const RunDirectory>> Directory() const override {
    return Unimplemented("no directory");
  }
  [[nodiscard]] Result<std::pair<size_t, size_t>> Find(const SeriesPlace&) const override {
    return Unimplemented("no directory");
  }
  [[nodiscard]] Result<PinnedBytes> Read(size_t, CacheUse) const override {
    return Unimplemented("no blocks");
  }
  [[nodiscard]] bool IsChecked(size_t) const override { return false; }
  void SetChecked(size_t) const override {}
  [[nodiscard]] Status Quarantine(size_t, const Status& why) const override { return why; }
  bool Release(size_t) const override { return false; }
  [[nodiscard]] std::map<size_t, std::string> Quarantined() const override { return {}; }
  [[nodiscard]] std::string Describe(size_t) const override { return "a run"; }

 private:
  const RunInfo info_;
};

RunInfo Raw(uint64_t after, uint64_t last, uint64_t shape = 0) {
  RunInfo info;
  info.number = static_cast<uint32_t>(last);
  info.day = kDay;
  info.after = {0, after};
  info.last = {0, last};
  info.samples = 1;
  info.min_ms = kDay * int64_t{86'400'000};
  info.max_ms = info.min_ms + 1000;
  info.shape = shape;
  return info;
}
RunInfo Rollup(uint64_t last) {
  RunInfo info = Raw(0, last, kShape);
  info.level = kHourLevel;
  return info;
}
bool Current(const RunInfo& rollup, const std::vector<RunInfo>& raw) {
  std::vector<std::shared_ptr<const Run>> runs;
  for (const RunInfo& info : raw) runs.push_back(std::make_shared<KnownRun>(info));
  return IsCurrent(rollup, RunsSnapshot(std::move(runs)), DeleteSnapshot({}));
}

TEST(IsCurrent, UntilALaterRunOfItsDayComes) {
  EXPECT_TRUE(Current(Rollup(9), {}));
  EXPECT_TRUE(Current(Rollup(9), {Raw(0, 9, kShape)}));
  EXPECT_FALSE(Current(Rollup(9), {Raw(0, 9, kShape), Raw(9, 10)}));
}

TEST(IsCurrent, ASealOfWhatAnotherLeftEndsWhereTheRollupDoesAndIsNotInIt) {
  EXPECT_FALSE(Current(Rollup(9), {Raw(0, 9, kShape), Raw(9, 9)}));
  EXPECT_FALSE(Current(Rollup(9), {Raw(9, 9)}));
}

TEST(IsCurrent, ASealOfTheRestThatTheRollupWasMadeOfDoesNotMakeItStale) {
  EXPECT_TRUE(Current(Rollup(9), {Raw(0, 9, kShape), Raw(9, 9, kShape)})) << "only looked at";
  EXPECT_TRUE(Current(Rollup(9), {Raw(0, 9)})) << "merged into one";
}

}  // namespace
}  // namespace basalt::storage
