#include "tools/demo/shop.h"

#include <gtest/gtest.h>

#include <map>

namespace basalt::demo {
namespace {

constexpr Timestamp kStart = FromMs(1'700'000'000'000);

TEST(Shop, IsTheSameForTheSameSeed) {
  Shop a(7, 2);
  Shop b(7, 2);
  std::vector<Point> pa;
  std::vector<Point> pb;
  for (int i = 0; i < 10; ++i) {
    a.Scrape(kStart + std::chrono::seconds(5 * i), {}, pa);
    b.Scrape(kStart + std::chrono::seconds(5 * i), {}, pb);
  }
  ASSERT_EQ(pa.size(), pb.size());
  for (size_t i = 0; i < pa.size(); ++i) EXPECT_EQ(pa[i].value, pb[i].value);
}

TEST(Shop, CountersRiseAndBucketsAreCumulative) {
  Shop shop(1, 1);
  std::map<size_t, double> last;
  for (int i = 0; i < 50; ++i) {
    std::vector<Point> points;
    shop.Scrape(kStart + std::chrono::seconds(15 * i), {}, points);
    double below = 0;
    for (const Point& point : points) {
      const Labels& labels = shop.series()[point.series];
      const std::string_view name = labels.metric_name();
      if (name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count")) {
        EXPECT_GE(point.value, last[point.series]) << labels.ToString();
      }
      last[point.series] = point.value;
      if (name.ends_with("_bucket")) {
        if (labels.Get("le") == "0.005") below = 0;
        EXPECT_GE(point.value, below) << labels.ToString();
        below = point.value;
      }
    }
  }
}

TEST(Shop, AnOutageIsSeenInTheServiceThatHasIt) {
  Shop shop(1, 3);
  const std::vector<Outage> outages = {
      {.service = "checkout", .begin = kStart, .end = kStart + std::chrono::hours(1)}};
  std::vector<Point> points;
  for (int i = 0; i <= 20; ++i) {
    points.clear();
    shop.Scrape(kStart + std::chrono::seconds(15 * i), outages, points);
  }
  std::map<std::string, double> errors;
  std::map<std::string, double> all;
  for (const Point& point : points) {
    const Labels& labels = shop.series()[point.series];
    if (labels.metric_name() != "http_requests_total") continue;
    all[std::string(labels.Get("job"))] += point.value;
    if (labels.Get("code") == "503") errors[std::string(labels.Get("job"))] += point.value;
  }
  EXPECT_GT(errors["checkout"] / all["checkout"], 0.8);
  EXPECT_LT(errors["frontend"] / all["frontend"], 0.01);
}

}  // namespace
}  // namespace basalt::demo
