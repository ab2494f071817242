// Snapshots and scrubs over the API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/http/api/maintenance_view.h"
#include "storage/store.h"
#include "tests/engine/http/api/api_harness.h"

namespace basalt::http::api {
namespace {

using ::testing::HasSubstr;

class FakeMaintenance final : public MaintenanceDoor {
 public:
  Result<SnapshotView> TakeSnapshot() override {
    if (!error.ok()) return error;
    return SnapshotView{"20231114T221320Z-0000000000000001", "/d/snapshots/x"};
  }
  Result<std::vector<SnapshotView>> ListSnapshots() override {
    return std::vector<SnapshotView>{{"a", "/a"}, {"b", "/b"}};
  }
  Status RemoveSnapshot(const std::string& name) override {
    removed = name;
    return name == "gone" ? NotFound("there is no snapshot gone") : OkStatus();
  }
  Result<ScrubView> StartScrub() override {
    view.running = true;
    return view;
  }
  Result<ScrubView> Scrub() override { return view; }
  Result<std::vector<storage::Damage>> Quarantine() override { return quarantine; }

  Status error;
  std::string removed;
  ScrubView view;
  std::vector<storage::Damage> quarantine;
};

class MaintenanceApi : public ::testing::Test {
 protected:
  void SetUp() override {
    h_.context.maintenance = &fake_;
    RegisterApi(h_.context, h_.session.router());
  }
  FakeMaintenance fake_;
  ApiHarness h_;
};

TEST_F(MaintenanceApi, ASnapshotIsAnsweredAsUpstreamDoes) {
  RawAnswer answer = h_.Post("/api/v1/admin/tsdb/snapshot", "skip_head=false");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            R"({"status":"success","data":{"name":"20231114T221320Z-0000000000000001",)"
            R"("path":"/d/snapshots/x"}})");
  EXPECT_EQ(h_.Get("/api/v1/admin/tsdb/snapshot").status, 405);
  answer = h_.Post("/api/v1/admin/tsdb/snapshot", "skip_head=true");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("skip_head is not supported"));
  fake_.error = ResourceExhausted("snapshot: no room");
  answer = h_.Post("/api/v1/admin/tsdb/snapshot", "");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("snapshot: no room"));
}

TEST_F(MaintenanceApi, SnapshotsAreListedAndRemoved) {
  EXPECT_EQ(h_.Get("/api/v1/admin/tsdb/snapshots").json()["data"][1]["path"], "/b");
  const auto remove = [&](const std::string& name) {
    return h_.Ask("DELETE /api/v1/admin/tsdb/snapshots/" + name + " HTTP/1.1\r\nHost: x\r\n\r\n");
  };
  EXPECT_EQ(remove("a").status, 204);
  EXPECT_EQ(fake_.removed, "a");
  EXPECT_EQ(remove("gone").status, 404);
}

TEST_F(MaintenanceApi, AScrubTellsHowFarItIsAndWhatItFound) {
  EXPECT_EQ(h_.Get("/api/v1/admin/verify").json()["data"]["running"], false);
  fake_.view.started = FromMs(kNowMs);
  fake_.view.progress = {.files_total = 9, .files_done = 4, .bytes_total = 100, .bytes_done = 50};
  EXPECT_EQ(h_.Post("/api/v1/admin/verify", "").json()["data"]["running"], true);
  fake_.view.running = false;
  fake_.view.report = storage::ScrubReport();
  storage::Damage damage{.file = "db/000123.sst", .what = "checksum", .block = {}};
  damage.block = storage::DamagedBlock();
  damage.block->first_metric = "up";
  damage.block->range = {.min_ms = kNowMs, .max_ms = kNowMs};
  fake_.view.report->Add(damage);
  fake_.quarantine = {damage};
  const nlohmann::json data = h_.Get("/api/v1/admin/verify").json()["data"];
  EXPECT_EQ(data["progress"]["bytesDone"], 50);
  EXPECT_EQ(data["damaged"], 1);
  EXPECT_EQ(data["damage"][0]["file"], "db/000123.sst");
  EXPECT_EQ(data["quarantine"][0]["firstMetric"], "up");
  EXPECT_EQ(data["quarantine"][0]["minTime"], "2023-11-14T22:13:20Z");
}

TEST(Health, SaysThatThereIsNoRoomAndStaysReady) {
  ApiHarness h;
  storage::StoreStats stats;
  h.context.stats = [&] { return stats; };
  RegisterApi(h.context, h.session.router());
  EXPECT_EQ(h.Get("/-/ready").body, "Basalt is Ready.\n");
  stats.read_only = true;
  stats.read_only_reason = "1 MiB are free";
  for (const char* path : {"/-/ready", "/-/healthy"}) {
    const RawAnswer answer = h.Get(path);
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("It takes no writes: 1 MiB are free"));
  }
}

}  // namespace
}  // namespace basalt::http::api
