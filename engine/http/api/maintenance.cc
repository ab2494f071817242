// /api/v1/admin/tsdb/snapshot[s], /api/v1/admin/verify.
#include <string>
#include <string_view>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/maintenance_view.h"

namespace basalt::http::api {
namespace {

Answer FailMaintenance(const Status& status) {
  switch (status.code()) {
    case StatusCode::kNotFound:
      return Fail(ErrorType::kNotFound, status.message());
    case StatusCode::kInvalidArgument:
      return Fail(ErrorType::kBadData, status.message());
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
      return Fail(ErrorType::kUnavailable, status.message());
    default:
      return Fail(ErrorType::kInternal, status.message());
  }
}

void WriteSnapshot(const SnapshotView& snapshot, JsonWriter& json) {
  json.BeginObject();
  json.Field("name", snapshot.name);
  json.Field("path", snapshot.path);
  json.EndObject();
}

Answer TakeSnapshot(Call& call) {
  // Upstream's switch to leave out what is not in blocks yet. Here that is in the log, which every
  // snapshot links: there is nothing to win, and what is left out could not be restored.
  const std::string_view skip = call.form.Get("skip_head");
  if (skip == "true" || skip == "1" || skip == "t" || skip == "T") {
    return Fail(ErrorType::kBadData,
                "skip_head is not supported: a snapshot always holds everything acknowledged");
  }
  const auto snapshot = call.context.maintenance->TakeSnapshot();
  if (!snapshot.ok()) return FailMaintenance(snapshot.status());
  std::string data;
  JsonWriter json(data);
  WriteSnapshot(*snapshot, json);
  return Succeed(data);
}

Answer ListSnapshots(Call& call) {
  const auto snapshots = call.context.maintenance->ListSnapshots();
  if (!snapshots.ok()) return FailMaintenance(snapshots.status());
  std::string data;
  JsonWriter json(data);
  json.BeginArray();
  for (const SnapshotView& snapshot : *snapshots) WriteSnapshot(snapshot, json);
  json.EndArray();
  return Succeed(data);
}

Answer RemoveSnapshot(Call& call) {
  const Status removed =
      call.context.maintenance->RemoveSnapshot(std::string(call.request.path_param("name")));
  return removed.ok() ? NoContent() : FailMaintenance(removed);
}

void WriteDamage(const storage::Damage& damage, JsonWriter& json) {
  json.BeginObject();
  json.Field("file", damage.file);
  json.Field("what", damage.what);
  if (damage.block.has_value()) {
    const storage::DamagedBlock& block = *damage.block;
    json.Key("partition");
    json.Uint(block.partition);
    json.Field("day", block.day);
    json.Key("run");
    json.Uint(block.run);
    if (block.block.has_value()) {
      json.Key("block");
      json.Uint(*block.block);
    }
    json.Field("key", block.key);
    json.Field("firstMetric", block.first_metric);
    json.Field("lastMetric", block.last_metric);
    json.Key("minTime");
    json.Time(FromMs(block.range.min_ms));
    json.Key("maxTime");
    json.Time(FromMs(block.range.max_ms));
    json.Key("samples");
    json.Uint(block.samples);
  }
  json.EndObject();
}

void WriteDamages(std::string_view key, const std::vector<storage::Damage>& damages,
                  JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const storage::Damage& damage : damages) WriteDamage(damage, json);
  json.EndArray();
}

void WriteProgress(const storage::ScrubProgress& progress, JsonWriter& json) {
  json.Key("progress");
  json.BeginObject();
  json.Key("filesDone");
  json.Uint(progress.files_done);
  json.Key("filesTotal");
  json.Uint(progress.files_total);
  json.Key("bytesDone");
  json.Uint(progress.bytes_done);
  json.Key("bytesTotal");
  json.Uint(progress.bytes_total);
  json.Key("blocks");
  json.Uint(progress.blocks);
  json.Key("records");
  json.Uint(progress.records);
  json.EndObject();
}

Answer ShowScrub(const Call& call, const Result<ScrubView>& scrub) {
  if (!scrub.ok()) return FailMaintenance(scrub.status());
  const auto quarantine = call.context.maintenance->Quarantine();
  if (!quarantine.ok()) return FailMaintenance(quarantine.status());
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Field("running", scrub->running);
  if (scrub->started != Timestamp{}) {
    json.Key("started");
    json.Time(scrub->started);
  }
  if (scrub->finished != Timestamp{}) {
    json.Key("finished");
    json.Time(scrub->finished);
  }
  WriteProgress(scrub->progress, json);
  if (!scrub->error.empty()) json.Field("error", scrub->error);
  if (scrub->report.has_value()) {
    json.Key("damaged");
    json.Uint(scrub->report->damage_total);
    json.Key("released");
    json.Uint(scrub->report->released);
    WriteDamages("damage", scrub->report->damage, json);
  }
  WriteDamages("quarantine", *quarantine, json);
  json.EndObject();
  return Succeed(data);
}

}  // namespace

void RegisterMaintenance(const SharedContext& context, Router& router) {
  if (context->maintenance == nullptr) return;
  AddEndpoint(context, router, {Method::kPost, Method::kPut}, "/api/v1/admin/tsdb/snapshot",
              TakeSnapshot, RouteClass::kAdmin);
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/admin/tsdb/snapshots", ListSnapshots);
  AddEndpoint(context, router, {Method::kDelete}, "/api/v1/admin/tsdb/snapshots/{name}",
              RemoveSnapshot, RouteClass::kAdmin);
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/admin/verify",
              [](Call& call) { return ShowScrub(call, call.context.maintenance->StartScrub()); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/admin/verify",
              [](Call& call) { return ShowScrub(call, call.context.maintenance->Scrub()); });
}

}  // namespace basalt::http::api
