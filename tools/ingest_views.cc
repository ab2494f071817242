#include "tools/ingest_views.h"

#include <string_view>
#include <vector>

#include "engine/http/json_writer.h"

namespace basalt::cli {
namespace {

void Number(std::string_view key, uint64_t value, http::JsonWriter& json) {
  json.Key(key);
  json.Uint(value);
}

void WriteRejection(const ingest::Rejection& rejection, http::JsonWriter& json) {
  json.BeginObject();
  json.Key("time");
  json.Time(rejection.time);
  Number("tenant", static_cast<uint32_t>(rejection.tenant), json);
  json.Field("protocol", ingest::ProtocolName(rejection.protocol));
  json.Field("reason", rejection.reason);
  json.Field("example", rejection.example);
  json.EndObject();
}

void WriteReasons(std::string_view key, std::string_view unit,
                  const std::vector<ingest::RejectionLog::OfReason>& reasons,
                  http::JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const ingest::RejectionLog::OfReason& of : reasons) {
    json.BeginObject();
    json.Field("reason", of.reason);
    Number(unit, of.count, json);
    if (of.last.has_value()) {
      json.Key("last");
      WriteRejection(*of.last, json);
    }
    json.EndObject();
  }
  json.EndArray();
}

void WriteUse(const ingest::Tenants::Use& use, http::JsonWriter& json) {
  json.BeginObject();
  Number("tenant", static_cast<uint32_t>(use.tenant), json);
  Number("samples", use.samples, json);
  Number("seriesCreated", use.series_created, json);
  if (use.active_series.has_value()) Number("activeSeries", *use.active_series, json);
  if (use.max_active_series > 0) Number("maxActiveSeries", use.max_active_series, json);
  if (use.max_samples_per_second > 0)
    Number("maxSamplesPerSecond", use.max_samples_per_second, json);
  json.EndObject();
}

}  // namespace

std::string IngestStatusJson(const ingest::WriteService& service) {
  std::string out;
  http::JsonWriter json(out);
  json.BeginObject();
  json.Key("protocols");
  json.BeginArray();
  for (const ingest::WriteService::Intake& intake : service.Intakes()) {
    json.BeginObject();
    json.Field("protocol", ingest::ProtocolName(intake.protocol));
    Number("samples", intake.samples, json);
    Number("histograms", intake.histograms, json);
    Number("exemplars", intake.exemplars, json);
    json.EndObject();
  }
  json.EndArray();
  const ingest::RejectionLog::Summary summary = service.rejections().Summarize();
  WriteReasons("rejected", "items", summary.items, json);
  WriteReasons("refused", "requests", summary.requests, json);
  json.Key("recent");
  json.BeginArray();
  for (const ingest::Rejection& rejection : summary.recent) WriteRejection(rejection, json);
  json.EndArray();
  json.Key("pairs");
  json.BeginArray();
  for (const ingest::HaTracker::ClusterState& pair : service.pairs().Clusters()) {
    json.BeginObject();
    Number("tenant", static_cast<uint32_t>(pair.tenant), json);
    json.Field("cluster", pair.cluster);
    json.Field("leader", pair.leader);
    json.Key("heard");
    json.Time(pair.heard);
    Number("elections", pair.elections, json);
    Number("heldBytes", pair.held_bytes, json);
    json.EndObject();
  }
  json.EndArray();
  json.Key("tenants");
  json.BeginArray();
  for (const ingest::Tenants::Use& use : service.tenants().Uses()) WriteUse(use, json);
  json.EndArray();
  json.EndObject();
  return out;
}

}  // namespace basalt::cli
