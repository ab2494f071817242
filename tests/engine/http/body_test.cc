#include "engine/http/body.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

namespace basalt::http {
namespace {

std::shared_ptr<BodyPool> Pool(size_t in_flight, size_t idle) {
  return std::make_shared<BodyPool>(
      BodyPool::Limits{.max_in_flight_bytes = in_flight, .max_idle_bytes = idle});
}

void Append(Body& body, std::string_view text) {
  std::memcpy(body.spare().data(), text.data(), text.size());
  body.Advance(text.size());
}

TEST(BodyPool, KeepsTheBytesWhenABodyGrows) {
  const auto pool = Pool(1 << 20, 0);
  Body body;
  ASSERT_TRUE(pool->Reserve(body, 3));
  Append(body, "abc");
  ASSERT_TRUE(pool->Reserve(body, 100'000));
  Append(body, "def");
  EXPECT_EQ(body.view(), "abcdef");
  EXPECT_EQ(pool->in_flight_bytes(), 131'072U);
  const Body moved = std::move(body);
  EXPECT_EQ(moved.view(), "abcdef");
}

TEST(BodyPool, RefusesBeyondItsBoundAndChangesNothing) {
  const auto pool = Pool(BodyPool::kMinCapacity * 2, 0);
  Body first;
  Body second;
  Body third;
  ASSERT_TRUE(pool->Reserve(first, 1));
  ASSERT_TRUE(pool->Reserve(second, 1));
  Append(second, "x");
  EXPECT_FALSE(pool->Reserve(third, 1));
  EXPECT_FALSE(pool->Reserve(second, BodyPool::kMinCapacity + 1));
  EXPECT_FALSE(pool->Reserve(third, SIZE_MAX));
  EXPECT_EQ(second.view(), "x");
  first.Release();
  EXPECT_TRUE(pool->Reserve(third, 1));
  EXPECT_EQ(pool->in_flight_bytes(), BodyPool::kMinCapacity * 2);
}

TEST(BodyPool, ReusesBuffersUpToItsIdleBound) {
  const auto pool = Pool(1 << 20, BodyPool::kMinCapacity);
  const char* address = nullptr;
  {
    Body first;
    Body second;
    ASSERT_TRUE(pool->Reserve(first, 1));
    ASSERT_TRUE(pool->Reserve(second, 1));
    address = second.view().data();
  }
  EXPECT_EQ(pool->idle_bytes(), BodyPool::kMinCapacity);
  EXPECT_EQ(pool->in_flight_bytes(), 0U);
  Body again;
  ASSERT_TRUE(pool->Reserve(again, BodyPool::kMinCapacity));
  EXPECT_EQ(again.view().data(), address);
  EXPECT_EQ(pool->idle_bytes(), 0U);
}

TEST(BodyPool, LivesAsLongAsItsBodies) {
  auto pool = Pool(1 << 20, 1 << 20);
  Body body;
  ASSERT_TRUE(pool->Reserve(body, 10));
  pool.reset();
  Append(body, "still here");
  EXPECT_EQ(body.view(), "still here");
}

}  // namespace
}  // namespace basalt::http
