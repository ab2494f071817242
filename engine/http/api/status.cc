// /api/v1/status/*, and the lists of what Basalt does not do itself (targets, scrape pools), which
// are empty.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "query/promql/durations.h"
#include "storage/store.h"

namespace basalt::http::api {
namespace {

// The Prometheus whose API this is: Grafana and others decide by it what they may ask. No
// `features` key in the answer, since Grafana takes one for Mimir (stack.md D.3).
constexpr std::string_view kPrometheusVersion = "3.5.0";
// What /status/tsdb looks at: about what Prometheus' head holds.
constexpr Duration kHeadSpan = std::chrono::hours(3);
constexpr int64_t kDefaultTopEntries = 10;
constexpr int64_t kMaxTopEntries = 10'000;

Answer BuildInfoAnswer(Call& call) {
  const BuildInfo& build = call.context.build;
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Field("version", kPrometheusVersion);
  json.Field("revision", build.revision);
  json.Field("branch", build.branch);
  json.Field("buildUser", "");
  json.Field("buildDate", build.build_date);
  json.Field("goVersion", "");
  json.Field("application", "basalt");
  json.Field("basaltVersion", build.version);
  json.EndObject();
  return Succeed(data);
}

Answer Flags(Call& call) {
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  for (const auto& [name, value] : call.context.flags) json.Field(name, value);
  json.EndObject();
  return Succeed(data);
}

Answer Config(Call& call) {
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Field("yaml",
             call.context.config_yaml == nullptr ? std::string() : call.context.config_yaml());
  json.EndObject();
  return Succeed(data);
}

std::string WorkingDirectory() {
  std::array<char, PATH_MAX> path{};
  return getcwd(path.data(), path.size()) == nullptr ? std::string() : std::string(path.data());
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) != 0 ? std::string() : std::string(name.data());
}

Answer RuntimeInfo(Call& call) {
  const ApiContext& context = call.context;
  const storage::StoreStats stats =
      context.stats == nullptr ? storage::StoreStats{} : context.stats();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("startTime");
  json.Time(context.started);
  json.Field("CWD", WorkingDirectory());
  json.Field("hostname", HostName());
  json.Key("serverTime");
  json.Time(context.clock->Now());
  json.Field("reloadConfigSuccess", true);
  json.Key("lastConfigTime");
  json.Time(context.started);
  json.Key("corruptionCount");
  json.Uint(stats.damaged_blocks);
  json.Key("goroutineCount");
  json.Int(0);
  json.Key("GOMAXPROCS");
  json.Uint(std::thread::hardware_concurrency());
  json.Key("GOMEMLIMIT");
  json.Int(0);
  json.Field("GOGC", "");
  json.Field("GODEBUG", "");
  json.Field("storageRetention", context.retention == Duration::zero()
                                     ? std::string("unlimited")
                                     : promql::FormatDuration(context.retention));
  json.Field("dataDirectory", context.data_directory);
  json.Field("readOnly", stats.read_only);
  if (stats.read_only) json.Field("readOnlyReason", stats.read_only_reason);
  json.EndObject();
  return Succeed(data);
}

// Numbers of series by metric name and by label pair, of values by label name, and bytes of values
// by label name.
struct Cardinality {
  uint64_t series = 0;
  std::map<std::string, uint64_t, std::less<>> series_by_metric;
  std::map<std::string, uint64_t, std::less<>> series_by_pair;
  std::map<std::string, uint64_t, std::less<>> values_by_name;
  std::map<std::string, uint64_t, std::less<>> bytes_by_name;
};

Status Count(const Call& call, const storage::Snapshot& snapshot, Cardinality& count) {
  const Timestamp now = call.context.clock->Now();
  const storage::TimeRange range{ToMs(now - kHeadSpan), ToMs(now + kMaxSampleAhead)};
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    BASALT_TRY_ASSIGN(
        const auto selection,
        snapshot.Select(call.tenant, PartitionId(static_cast<uint16_t>(p)), {}, range, SIZE_MAX));
    for (size_t i = 0; i < selection->size(); ++i) {
      if (call.request.cancel.stop_requested()) return Cancelled("the client has gone");
      ++count.series;
      for (const Label& label : selection->labels(i)) {
        if (label.name == kMetricName) ++count.series_by_metric[label.value];
        ++count.series_by_pair[label.name + "=" + label.value];
      }
    }
  }
  for (const auto& [pair, unused] : count.series_by_pair) {
    const size_t equals = pair.find('=');
    ++count.values_by_name[pair.substr(0, equals)];
    count.bytes_by_name[pair.substr(0, equals)] += pair.size() - equals - 1;
  }
  return OkStatus();
}

void WriteTop(std::string_view key, const std::map<std::string, uint64_t, std::less<>>& counts,
              size_t limit, JsonWriter& json) {
  std::vector<std::pair<std::string_view, uint64_t>> top(counts.begin(), counts.end());
  const size_t shown = std::min(limit, top.size());
  std::partial_sort(top.begin(), top.begin() + static_cast<std::ptrdiff_t>(shown), top.end(),
                    [](const auto& a, const auto& b) {
                      return a.second != b.second ? a.second > b.second : a.first < b.first;
                    });
  json.Key(key);
  json.BeginArray();
  for (size_t i = 0; i < shown; ++i) {
    json.BeginObject();
    json.Field("name", top[i].first);
    json.Key("value");
    json.Uint(top[i].second);
    json.EndObject();
  }
  json.EndArray();
}

// Reads the labels of every recent series: for people who look where cardinality comes from, not
// for scraping.
Answer TsdbStatus(Call& call) {
  int64_t limit = kDefaultTopEntries;
  if (const std::string_view text = call.form.Get("limit"); !text.empty()) {
    const Result<int64_t> parsed = ParseGoInt(text);
    if (!parsed.ok() || *parsed < 1)
      return Fail(ErrorType::kBadData, "limit must be a positive number");
    if (*parsed > kMaxTopEntries) return Fail(ErrorType::kBadData, "limit must not exceed 10000");
    limit = *parsed;
  }
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  Cardinality count;
  if (const Status status = Count(call, **snapshot, count); !status.ok()) return FailWith(status);
  const storage::StoreStats stats =
      call.context.stats == nullptr ? storage::StoreStats{} : call.context.stats();

  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("headStats");
  json.BeginObject();
  const auto number = [&json](std::string_view key, uint64_t value) {
    json.Key(key);
    json.Uint(value);
  };
  number("numSeries", count.series);
  number("numLabelPairs", count.series_by_pair.size());
  number("chunkCount", stats.groups);  // the nearest thing to an open chunk: an open row of a group
  json.Key("minTime");
  json.Int(ToMs(call.context.clock->Now() - kHeadSpan));
  json.Key("maxTime");
  json.Int(ToMs(call.context.clock->Now()));
  json.EndObject();
  const auto top = static_cast<size_t>(limit);
  WriteTop("seriesCountByMetricName", count.series_by_metric, top, json);
  WriteTop("labelValueCountByLabelName", count.values_by_name, top, json);
  WriteTop("memoryInBytesByLabelName", count.bytes_by_name, top, json);
  WriteTop("seriesCountByLabelValuePair", count.series_by_pair, top, json);
  json.Key("storageStats");
  json.BeginObject();
  number("activeSeries", stats.active_series);
  number("totalSeries", stats.total_series);
  number("groups", stats.groups);
  number("headBytes", stats.head_bytes);
  number("headSamples", stats.head_samples);
  number("logBytes", stats.log_bytes);
  number("runs", stats.runs);
  number("runBytes", stats.run_bytes);
  number("runSamples", stats.run_samples);
  number("damagedBlocks", stats.damaged_blocks);
  json.EndObject();
  json.EndObject();
  return Succeed(data);
}

Answer Alertmanagers(Call& call) {
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("activeAlertmanagers");
  json.BeginArray();
  for (const std::string& url : call.context.alertmanagers) {
    json.BeginObject();
    json.Field("url", url + "/api/v2/alerts");
    json.EndObject();
  }
  json.EndArray();
  json.Key("droppedAlertmanagers");
  json.BeginArray();
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

Endpoint Always(std::string_view data) {
  return [data](Call&) { return Succeed(data); };
}

}  // namespace

void RegisterStatus(const SharedContext& context, Router& router) {
  const std::vector<Method> get = {Method::kGet};
  AddEndpoint(context, router, get, "/api/v1/status/buildinfo", BuildInfoAnswer);
  AddEndpoint(context, router, get, "/api/v1/status/flags", Flags);
  AddEndpoint(context, router, get, "/api/v1/status/config", Config);
  AddEndpoint(context, router, get, "/api/v1/status/runtimeinfo", RuntimeInfo);
  AddEndpoint(context, router, get, "/api/v1/status/tsdb", TsdbStatus);
  AddEndpoint(context, router, get, "/api/v1/alertmanagers", Alertmanagers);
  // Replay is over when anything is answered at all.
  AddEndpoint(context, router, get, "/api/v1/status/walreplay",
              Always(R"({"min":0,"max":0,"current":0})"));
  AddEndpoint(context, router, get, "/api/v1/targets",
              Always(R"({"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}})"));
  AddEndpoint(context, router, get, "/api/v1/targets/metadata", Always("[]"));
  AddEndpoint(context, router, get, "/api/v1/scrape_pools", Always(R"({"scrapePools":[]})"));
}

}  // namespace basalt::http::api
