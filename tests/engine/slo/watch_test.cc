// SLO files that change are read again once they hold still.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/slo/slo_watch.h"

namespace basalt::slo {
namespace {

class Watched : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    Write("a.yml", "one");
    watch_ = std::make_unique<SloWatch>([this] { return std::vector<std::string>{dir_.string()}; },
                                        [this] { ++calls_; }, std::chrono::hours(24));
  }
  void TearDown() override {
    watch_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
  }
  // Calls back at the second look, once.
  void ExpectOneCall() {
    calls_ = 0;
    EXPECT_FALSE(watch_->Look()) << "it may still be half written";
    EXPECT_TRUE(watch_->Look());
    EXPECT_FALSE(watch_->Look());
    EXPECT_EQ(calls_, 1);
  }

  const std::filesystem::path dir_ = std::filesystem::path(::testing::TempDir()) / "slo_watch_test";
  int calls_ = 0;
  std::unique_ptr<SloWatch> watch_;
};

TEST_F(Watched, NothingHappensWhileNothingChanges) {
  EXPECT_FALSE(watch_->Look());
  EXPECT_FALSE(watch_->Look());
}

TEST_F(Watched, ChangedNewAndRemovedFilesAreSeen) {
  Write("a.yml", "another");
  ExpectOneCall();
  Write("b.yaml", "new");
  ExpectOneCall();
  std::filesystem::remove(dir_ / "a.yml");
  ExpectOneCall();
  std::filesystem::remove_all(dir_);
  ExpectOneCall();
}

TEST_F(Watched, FilesOfOtherKindsAreNot) {
  Write("notes.txt", "x");
  EXPECT_FALSE(watch_->Look());
  EXPECT_FALSE(watch_->Look());
}

TEST_F(Watched, AFileThatKeepsChangingIsWaitedFor) {
  for (int i = 0; i < 3; ++i) {
    Write("a.yml", std::string(static_cast<size_t>(10 + i), 'x'));
    EXPECT_FALSE(watch_->Look());
  }
  EXPECT_TRUE(watch_->Look());
}

}  // namespace
}  // namespace basalt::slo
