#include "engine/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

namespace basalt {
namespace {

TEST(ThreadPool, RunsWhatIsQueuedBeforeItStops) {
  std::atomic<int> ran = 0;
  {
    ThreadPool pool("test", 2, 1000);
    for (int i = 0; i < 500; ++i) EXPECT_TRUE(pool.Post([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 500);
}

TEST(ThreadPool, RefusesBeyondItsBoundAndAfterStop) {
  ThreadPool pool("test", 1, 2);
  std::latch started(1);
  std::latch release(1);
  ASSERT_TRUE(pool.Post([&] {
    started.count_down();
    release.wait();
  }));
  started.wait();
  EXPECT_TRUE(pool.Post([] {}));
  EXPECT_TRUE(pool.Post([] {}));
  EXPECT_FALSE(pool.Post([] {}));
  release.count_down();
  pool.Stop();
  EXPECT_FALSE(pool.Post([] {}));
}

TEST(Strand, KeepsOrderAndRunsOneAtATime) {
  ThreadPool pool("test", 4, 10000);
  std::vector<int> seen;
  std::atomic<int> inside = 0;
  {
    Strand strand(pool);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_TRUE(strand.Post([&, i] {
        EXPECT_EQ(++inside, 1);
        seen.push_back(i);
        --inside;
      }));
    }
  }
  ASSERT_EQ(seen.size(), 2000U);
  for (int i = 0; i < 2000; ++i) EXPECT_EQ(seen[i], i);
}

TEST(Strand, RunsOnThePosterWhenThePoolRefuses) {
  ThreadPool pool("test", 1, 1);
  pool.Stop();
  Strand strand(pool);
  int ran = 0;
  EXPECT_TRUE(strand.Post([&] { ++ran; }));
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace basalt
