// Deleting over HTTP, on a real store: Prometheus' answers, and the receipt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "storage/store.h"
#include "tests/engine/http/api/api_harness.h"
#include "tests/storage/store_model.h"

namespace basalt::http::api {
namespace {

using ::testing::HasSubstr;

class DeletesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    storage::StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 1;
    store_ = storage::Store::Open(options).value();
    for (const char* job : {"a", "b"}) {
      std::vector<storage::ModelWrite> writes;
      for (int64_t t = 0; t < 100; ++t) {
        writes.push_back(
            {{{"__name__", "up"}, {"instance", "i"}, {"job", job}}, kNowMs - t * 1000, 1});
      }
      ASSERT_TRUE(store_->Append(storage::MakeBatches(*store_, writes)).ok());
    }
    h_.context.store = [this] { return store_.get(); };
    h_.context.admin_api = true;
  }
  void Register() { RegisterApi(h_.context, h_.session.router()); }
  size_t Samples() {
    size_t n = 0;
    const auto state = storage::ReadState(**store_->reader().TakeSnapshot()).value();
    for (const auto& [labels, series] : state) n += series.size();
    return n;
  }

  TemporaryDirectory temp_;
  std::unique_ptr<storage::Store> store_;
  ApiHarness h_;
};

TEST_F(DeletesTest, AreOffUnlessAskedFor) {
  h_.context.admin_api = false;
  Register();
  for (const char* path :
       {"/api/v1/admin/tsdb/delete_series?match[]=up", "/api/v1/admin/tsdb/clean_tombstones"}) {
    const RawAnswer answer = h_.Post(path, "");
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body,
                HasSubstr(R"("errorType":"unavailable","error":"admin APIs disabled)"));
  }
  EXPECT_EQ(Samples(), 200U);
}

TEST_F(DeletesTest, WhatIsWrongIsSaidAndNothingGoes) {
  Register();
  const auto error = [&](const std::string& form) {
    const RawAnswer answer = h_.Post("/api/v1/admin/tsdb/delete_series", form);
    EXPECT_EQ(answer.status, 400) << answer.body;
    return answer.json()["error"].get<std::string>();
  };
  EXPECT_EQ(error(""), "no match[] parameter provided");
  EXPECT_THAT(error("match[]=up&start=x"), HasSubstr("invalid parameter \"start\""));
  EXPECT_THAT(error("match[]=up&end=x"), HasSubstr("invalid parameter \"end\""));
  EXPECT_THAT(error("match[]=up{"), HasSubstr("match[]"));
  EXPECT_THAT(error("match[]={job=~\".*\"}"), HasSubstr("at least one non-empty matcher"));
  EXPECT_THAT(error("match[]=up&start=20&end=10"), HasSubstr("end timestamp must not be before"));
  EXPECT_EQ(h_.Get("/api/v1/admin/tsdb/delete_series?match[]=up").status, 405);
  EXPECT_EQ(Samples(), 200U);
}

TEST_F(DeletesTest, AReceiptTellsWhatWentAndWhen) {
  Register();
  const RawAnswer answer = h_.Post("/api/v1/admin/tsdb/delete_series",
                                   "match[]=up{job=\"a\"}&start=1699999950&end=1700000000");
  EXPECT_EQ(answer.status, 204);
  EXPECT_THAT(answer.head, HasSubstr("X-Basalt-Purge-Id: 0-3"));
  EXPECT_EQ(Samples(), 149U);
  nlohmann::json receipt = h_.Get("/api/v1/admin/purges/0-3").json()["data"];
  EXPECT_EQ(receipt["state"], "pending");
  EXPECT_EQ(receipt["purgedAt"], nullptr);
  EXPECT_EQ(receipt["start"], "2023-11-14T22:12:30Z");
  EXPECT_EQ(receipt["end"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(receipt["match"][0], "{job=\"a\",__name__=\"up\"}");
  EXPECT_EQ(receipt["series"], 1);
  const nlohmann::json digest = receipt["digest"];
  EXPECT_EQ(digest.get<std::string>().size(), 32U);

  EXPECT_EQ(h_.Post("/api/v1/admin/tsdb/clean_tombstones", "").status, 204);
  receipt = h_.Get("/api/v1/admin/purges").json()["data"][0];
  EXPECT_EQ(receipt["id"], "0-3");
  EXPECT_EQ(receipt["state"], "purged");
  EXPECT_EQ(receipt["samplesRemoved"], 51);
  EXPECT_NE(receipt["purgedAt"], nullptr);
  EXPECT_EQ(receipt["digest"], digest);
  EXPECT_EQ(Samples(), 149U);

  EXPECT_EQ(h_.Get("/api/v1/admin/purges/0-4").status, 404);
  EXPECT_EQ(h_.Get("/api/v1/admin/purges/x").status, 400);
  EXPECT_EQ(h_.Get("/api/v1/admin/purges/0-3", "X-Scope-OrgID: 5\r\n").status, 404)
      << "another tenant's";
}

}  // namespace
}  // namespace basalt::http::api
