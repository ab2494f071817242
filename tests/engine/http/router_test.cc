#include "engine/http/router.h"

#include <gtest/gtest.h>

namespace basalt::http {
namespace {

Route Named(size_t id) {
  Route route;
  route.max_body_bytes = id;  // tells routes apart
  route.handler = [](Request, ResponseWriter) {};
  return route;
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router_.Add(Method::kGet, "/static/*", Named(5));
    router_.Add(Method::kGet, "/label/{name}/values", Named(1));
    router_.Add(Method::kGet, "/label/all/values", Named(2));
    router_.Add(Method::kPost, "/labels", Named(3));
    router_.Add(Method::kGet, "/labels", Named(4));
    router_.Add(Method::kGet, "/", Named(6));
    router_.Add(Method::kGet, "/static/index.html", Named(7));
  }
  size_t Id(Method method, std::string_view path) const {
    const Router::Match match = router_.Find(method, path);
    return match.route == nullptr ? 0 : match.route->max_body_bytes;
  }
  Router router_;
};

TEST_F(RouterTest, PrefersTheLiteralToTheParameterToTheRest) {
  EXPECT_EQ(Id(Method::kGet, "/label/job/values"), 1U);
  EXPECT_EQ(Id(Method::kGet, "/label/all/values"), 2U);
  EXPECT_EQ(Id(Method::kGet, "/static/index.html"), 7U);
  EXPECT_EQ(Id(Method::kGet, "/static/a/b.js"), 5U);
  EXPECT_EQ(Id(Method::kGet, "/static"), 5U);
  EXPECT_EQ(Id(Method::kGet, "/"), 6U);
}

TEST_F(RouterTest, DecodesParametersAndRests) {
  EXPECT_EQ(router_.Find(Method::kGet, "/label/a%2Fb%20c/values").path_params.at(0),
            (std::pair<std::string, std::string>("name", "a/b c")));
  EXPECT_EQ(router_.Find(Method::kGet, "/static/x/y").path_params.at(0),
            (std::pair<std::string, std::string>("*", "x/y")));
}

TEST_F(RouterTest, KnowsNoPathThatDiffersInAnything) {
  for (const char* path : {"/label//values", "/label/job/values/", "/Labels", "/labels/",
                           "//labels", "", "labels", "/label/%zz/values"}) {
    const Router::Match match = router_.Find(Method::kGet, path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allow, "") << path;
  }
}

TEST_F(RouterTest, TellsTheMethodsThatAPathHas) {
  EXPECT_EQ(Id(Method::kHead, "/labels"), 4U);
  EXPECT_EQ(Id(Method::kPost, "/labels"), 3U);
  const Router::Match match = router_.Find(Method::kDelete, "/labels");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST, GET, HEAD, OPTIONS");
}

TEST_F(RouterTest, StopsAtTheSameRouteTwice) {
  EXPECT_DEATH(router_.Add(Method::kGet, "/labels", Named(9)), "/labels");
}

}  // namespace
}  // namespace basalt::http
