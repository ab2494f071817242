// /api/v1/status/*, and the lists of what Basalt does not do itself (targets, scrape pools), which
// are empty.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdio>
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
constexpr size_t kShownDays = 30;

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
  const LastReload reload = context.last_reload == nullptr ? LastReload{.success = context.started}
                                                           : context.last_reload();
  json.Field("reloadConfigSuccess", reload.ok);
  json.Key("lastConfigTime");
  json.Time(reload.success);
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

void WriteCounts(std::string_view key, const std::vector<storage::LabelCount>& counts,
                 JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const storage::LabelCount& one : counts) {
    json.BeginObject();
    json.Field("name", one.name);
    json.Key("value");
    json.Uint(one.count);
    json.EndObject();
  }
  json.EndArray();
}

// "YYYY-MM-DD" of a day since 1970.
std::string FormatDay(uint16_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  std::array<char, 16> text{};
  const int n =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return {text.data(), static_cast<size_t>(n)};
}

// What of the data is looked at: a day, or what Prometheus' head would hold.
Result<storage::TimeRange> TsdbRange(const Call& call) {
  const std::string_view date = call.form.Get("date");
  if (date.empty()) {
    const Timestamp now = call.context.clock->Now();
    return storage::TimeRange{ToMs(now - kHeadSpan), ToMs(now + kMaxSampleAhead)};
  }
  const Result<Timestamp> begin = ParseTime(std::string(date) + "T00:00:00Z");
  if (!begin.ok() || date.size() != 10) {
    return InvalidArgument("invalid parameter \"date\": cannot parse \"" + std::string(date) +
                           "\" as YYYY-MM-DD");
  }
  return storage::TimeRange{ToMs(*begin), ToMs(*begin) + kMsPerDay - 1};
}

// Where cardinality comes from, counted in the index. Beside upstream's `limit`: `date`
// (YYYY-MM-DD) and `match[]`, after VictoriaMetrics.
Answer TsdbStatus(Call& call) {
  int64_t limit = kDefaultTopEntries;
  if (const std::string_view text = call.form.Get("limit"); !text.empty()) {
    const Result<int64_t> parsed = ParseGoInt(text);
    if (!parsed.ok() || *parsed < 1)
      return Fail(ErrorType::kBadData, "limit must be a positive number");
    if (*parsed > kMaxTopEntries) return Fail(ErrorType::kBadData, "limit must not exceed 10000");
    limit = *parsed;
  }
  const Result<storage::TimeRange> range = TsdbRange(call);
  if (!range.ok()) return FailWith(range.status());
  const Result<std::vector<storage::MatcherSet>> matchers = ParseMatchers(call.form.All("match[]"));
  if (!matchers.ok()) return InvalidParameter("match[]", matchers.status());
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  const Result<storage::Cardinality> count =
      (*snapshot)->CountLabels(call.tenant, *matchers, *range, static_cast<size_t>(limit));
  if (!count.ok()) return FailWith(count.status());
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
  number("numSeries", count->series);
  number("numLabelPairs", count->label_pairs);
  number("chunkCount", stats.groups);  // the nearest thing to an open chunk: an open row of a group
  json.Key("minTime");
  json.Int(range->min_ms);
  json.Key("maxTime");
  json.Int(std::min(range->max_ms, ToMs(call.context.clock->Now())));
  json.EndObject();
  WriteCounts("seriesCountByMetricName", count->series_by_metric, json);
  WriteCounts("labelValueCountByLabelName", count->values_by_label, json);
  WriteCounts("memoryInBytesByLabelName", count->bytes_by_label, json);
  WriteCounts("seriesCountByLabelValuePair", count->series_by_pair, json);
  // Churn: who came on which day.
  json.Key("seriesByDay");
  json.BeginArray();
  for (const storage::DaySeries& day : (*snapshot)->SeriesByDay(kShownDays)) {
    json.BeginObject();
    json.Field("date", FormatDay(day.day));
    number("active", day.active);
    number("created", day.created);
    json.EndObject();
  }
  json.EndArray();
  json.Key("storageStats");
  json.BeginObject();
  number("activeSeries", stats.active_series);
  number("totalSeries", stats.total_series);
  number("seriesCreatedLastHour", stats.series_created_last_hour);
  number("seriesCreatedLastDay", stats.series_created_last_day);
  number("indexBytes", stats.index_bytes);
  number("resolverBytes", stats.resolver_bytes);
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
  std::vector<std::string> urls;
  if (call.context.alertmanagers) urls = call.context.alertmanagers();
  for (const std::string& url : urls) {
    json.BeginObject();
    json.Field("url", url);
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
  if (context->ingest_status != nullptr) {
    AddEndpoint(context, router, get, "/api/v1/status/ingest",
                [](Call& call) { return Succeed(call.context.ingest_status()); });
  }
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
