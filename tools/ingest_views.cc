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

void RegisterFoldMetrics(metrics::Registry& registry, const ingest::WriteService& service) {
  registry.AddCollector([&service](std::vector<metrics::Family>& families) {
    metrics::Family series{.name = "basalt_ingest_folded_series",
                           .help = "Counters beyond their tenant's limit, folded into __other__.",
                           .type = metrics::Type::kGauge,
                           .samples = {}};
    metrics::Family samples{.name = "basalt_ingest_folded_samples_total",
                            .help = "Samples of folded series.",
                            .type = metrics::Type::kCounter,
                            .samples = {}};
    for (const ingest::Firewall::Use& use : service.firewall().Uses()) {
      const std::string tenant = std::to_string(static_cast<uint32_t>(use.tenant));
      series.samples.push_back({Labels{{"__name__", series.name}, {"tenant", tenant}},
                                static_cast<double>(use.folded_series)});
      samples.samples.push_back({Labels{{"__name__", samples.name}, {"tenant", tenant}},
                                 static_cast<double>(use.samples)});
    }
    if (series.samples.empty()) return;
    families.push_back(std::move(series));
    families.push_back(std::move(samples));
  });
}

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
  // Counters beyond the series of their tenant, as sums in __other__ series.
  json.Key("folded");
  json.BeginArray();
  for (const ingest::Firewall::Use& use : service.firewall().Uses()) {
    json.BeginObject();
    Number("tenant", static_cast<uint32_t>(use.tenant), json);
    Number("series", use.folded_series, json);
    Number("intoSeries", use.into_series, json);
    Number("memoryBytes", use.memory_bytes, json);
    Number("samples", use.samples, json);
    Number("lateSamples", use.late, json);
    Number("notFiniteSamples", use.not_finite, json);
    json.Field("example", use.example);
    json.Field("exampleInto", use.example_into);
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
