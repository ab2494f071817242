#include "engine/base/status.h"

#include <gtest/gtest.h>

namespace basalt {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument("n: odd: " + std::to_string(n));
  return n / 2;
}

Result<int> Quarter(int n) {
  BASALT_TRY_ASSIGN(const int half, Half(n));
  return Half(half);
}

Status CheckQuarter(int n) {
  BASALT_TRY(Quarter(n).status());
  return OkStatus();
}

TEST(Status, IsOkByDefaultAndKeepsItsMessage) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().ToString(), "OK");
  const Status status = DataLoss("row: unknown version");
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.ToString(), "DATA_LOSS: row: unknown version");
}

TEST(Status, ContextIsAddedBeforeTheMessage) {
  EXPECT_EQ(Unavailable("no space").WithContext("seal partition 3").message(),
            "seal partition 3: no space");
  EXPECT_TRUE(OkStatus().WithContext("seal").ok());
}

TEST(Status, CopiesAreIndependent) {
  Status a = NotFound("a");
  const Status b = a;
  a = OkStatus();
  EXPECT_TRUE(a.ok());
  EXPECT_EQ(b.message(), "a");
}

TEST(Result, CarriesTheFirstErrorThroughTry) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).status().message(), "n: odd: 3");
  EXPECT_EQ(CheckQuarter(5).message(), "n: odd: 5");
  EXPECT_TRUE(CheckQuarter(4).ok());
}

TEST(ResultDeathTest, TakingAValueThatIsNotThereStopsTheProcess) {
  EXPECT_DEATH((void)Half(3).value(), "n: odd: 3");
}

}  // namespace
}  // namespace basalt
