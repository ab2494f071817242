#include "engine/base/file_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

namespace basalt {
namespace {

rlimit Now() {
  rlimit limit{};
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit;
}

// A soft limit of 64 for the test's time.
class FileLimit : public testing::Test {
 protected:
  FileLimit() : before_(Now()) {
    const rlimit low{.rlim_cur = std::min<rlim_t>(64, before_.rlim_max),
                     .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  }
  ~FileLimit() override { ::setrlimit(RLIMIT_NOFILE, &before_); }

  const rlimit before_;
};

TEST_F(FileLimit, RisesAsFarAsIsWanted) {
  EXPECT_EQ(RaiseFileLimit(65), 65U);
  EXPECT_EQ(Now().rlim_cur, 65U);
}

TEST_F(FileLimit, IsNeverLowered) {
  EXPECT_EQ(RaiseFileLimit(10), 64U);
  EXPECT_EQ(Now().rlim_cur, 64U);
}

TEST_F(FileLimit, EndsAtTheHardLimit) {
  EXPECT_EQ(RaiseFileLimit(UINT64_MAX), before_.rlim_max);
  EXPECT_EQ(Now().rlim_max, before_.rlim_max);
}

}  // namespace
}  // namespace basalt
