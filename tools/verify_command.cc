#include "tools/verify_command.h"

#include <simdjson.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <thread>

#include "engine/actionability/journal.h"
#include "engine/http/json_writer.h"
#include "engine/ingest/firewall.h"
#include "engine/notify/alert_log.h"
#include "storage/integrity.h"
#include "tools/progress_line.h"
#include "tools/server_call.h"

namespace basalt::cli {
namespace {

namespace dom = simdjson::dom;

constexpr int kWhole = 0;
constexpr int kDamaged = 1;
constexpr int kNotLookedAt = 2;
constexpr std::chrono::milliseconds kAskEvery(300);

std::string ProgressText(uint64_t done, uint64_t total) {
  return "verify: " + HumanBytes(done) + " of about " + HumanBytes(total);
}

void PrintJson(const storage::ScrubReport& report) {
  std::string out;
  http::JsonWriter json(out);
  json.BeginObject();
  for (const auto& [key, value] :
       {std::pair{"damaged", report.damage_total}, std::pair{"files", report.progress.files_done},
        std::pair{"bytes", report.progress.bytes_done}, std::pair{"blocks", report.progress.blocks},
        std::pair{"records", report.progress.records}}) {
    json.Key(key);
    json.Uint(value);
  }
  json.Key("damage");
  json.BeginArray();
  for (const storage::Damage& damage : report.damage) {
    json.BeginObject();
    json.Field("file", damage.file);
    json.Field("what", damage.what);
    if (damage.block.has_value()) {
      json.Field("firstMetric", damage.block->first_metric);
      json.Field("lastMetric", damage.block->last_metric);
      json.Key("minTime");
      json.Time(FromMs(damage.block->range.min_ms));
      json.Key("maxTime");
      json.Time(FromMs(damage.block->range.max_ms));
      json.Key("samples");
      json.Uint(damage.block->samples);
    }
    json.EndObject();
  }
  json.EndArray();
  json.Key("notes");
  json.BeginArray();
  for (const std::string& note : report.notes) json.String(note);
  json.EndArray();
  json.EndObject();
  std::printf("%s\n", out.c_str());
}

void PrintText(const storage::ScrubReport& report) {
  for (const storage::Damage& damage : report.damage) {
    std::printf("DAMAGED %s: %s\n", damage.file.c_str(), damage.what.c_str());
    if (damage.block.has_value() && !damage.block->first_metric.empty()) {
      std::printf("        series from %s to %s\n", damage.block->first_metric.c_str(),
                  damage.block->last_metric.c_str());
    }
  }
  if (report.damage_total > report.damage.size()) {
    std::printf("        and %llu more\n",
                static_cast<unsigned long long>(report.damage_total - report.damage.size()));
  }
  for (const std::string& note : report.notes) std::printf("note    %s\n", note.c_str());
  std::printf("%llu files, %s, %llu blocks, %llu log records: ",
              static_cast<unsigned long long>(report.progress.files_done),
              HumanBytes(report.progress.bytes_done).c_str(),
              static_cast<unsigned long long>(report.progress.blocks),
              static_cast<unsigned long long>(report.progress.records));
  if (report.damage_total == 0) {
    std::printf("everything is whole\n");
  } else {
    std::printf(
        "%llu damaged; see storage/backup/README.md, \"When something is "
        "damaged\"\n",
        static_cast<unsigned long long>(report.damage_total));
  }
}

int Offline(const VerifyCommandOptions& options) {
  ProgressLine line(options.quiet || options.json);
  storage::ScrubOptions scrub;
  scrub.cancel = &StopOnSignals();
  scrub.on_progress = [&](const storage::ScrubProgress& p) {
    line.Show(ProgressText(p.bytes_done, p.bytes_total));
  };
  auto report = storage::VerifyDirectory(options.data, scrub);
  if (!report.ok()) {
    std::fprintf(stderr, "basalt verify: %s\n", std::string(report.status().message()).c_str());
    return kNotLookedAt;
  }
  // What is kept beside the store.
  for (const auto& [name, check] : {std::pair("alerts.log", &notify::CheckAlertLog),
                                    std::pair("alert_history.log", &actionability::Journal::Check),
                                    std::pair("folds.journal", &ingest::Firewall::Check)}) {
    const std::string path = options.data + "/" + name;
    if (!std::filesystem::exists(path)) continue;
    const auto damaged = check(path);
    if (!damaged.ok()) {
      report->Add({.file = name, .what = std::string(damaged.status().message()), .block = {}});
    } else {
      for (const RecordFile::Damage& damage : *damaged)
        report->Add({.file = name, .what = damage.ToString(), .block = {}});
    }
    ++report->progress.files_done;
  }
  options.json ? PrintJson(*report) : PrintText(*report);
  return report->damage_total == 0 ? kWhole : kDamaged;
}

uint64_t Number(dom::element element, std::string_view key) {
  uint64_t value = 0;
  return element[key].get(value) == simdjson::SUCCESS ? value : 0;
}

std::string Text(dom::element element, std::string_view key) {
  std::string_view value;
  return element[key].get(value) == simdjson::SUCCESS ? std::string(value) : "";
}

Result<int> ShowAnswer(const std::string& body, const VerifyCommandOptions& options) {
  dom::parser parser;
  dom::element answer;
  dom::element data;
  if (parser.parse(body).get(answer) != simdjson::SUCCESS ||
      answer["data"].get(data) != simdjson::SUCCESS) {
    return Internal("the server's answer does not parse: " + body.substr(0, 200));
  }
  if (const std::string error = Text(data, "error"); !error.empty()) {
    return Unavailable("the scrub did not finish: " + error);
  }
  const uint64_t damaged = Number(data, "damaged");
  if (options.json) {
    std::printf("%s\n", std::string(simdjson::minify(data)).c_str());
    return damaged == 0 ? kWhole : kDamaged;
  }
  dom::array list;
  if (data["damage"].get(list) == simdjson::SUCCESS) {
    for (const dom::element damage : list) {
      std::printf("DAMAGED %s: %s\n", Text(damage, "file").c_str(), Text(damage, "what").c_str());
      if (const std::string first = Text(damage, "firstMetric"); !first.empty()) {
        std::printf("        series from %s to %s\n", first.c_str(),
                    Text(damage, "lastMetric").c_str());
      }
    }
  }
  const dom::element progress = data["progress"].value();
  std::printf("%llu files, %s, %llu blocks, %llu log records: ",
              static_cast<unsigned long long>(Number(progress, "filesDone")),
              HumanBytes(Number(progress, "bytesDone")).c_str(),
              static_cast<unsigned long long>(Number(progress, "blocks")),
              static_cast<unsigned long long>(Number(progress, "records")));
  if (damaged == 0) {
    std::printf("everything is whole\n");
  } else {
    std::printf(
        "%llu damaged; see storage/backup/README.md, \"When something is "
        "damaged\"\n",
        static_cast<unsigned long long>(damaged));
  }
  if (const uint64_t released = Number(data, "released"); released != 0) {
    std::printf("%llu quarantined blocks read well again and are shown from now on\n",
                static_cast<unsigned long long>(released));
  }
  return damaged == 0 ? kWhole : kDamaged;
}

Result<int> Online(const VerifyCommandOptions& options) {
  ProgressLine line(options.quiet || options.json);
  const std::atomic<bool>& stop = StopOnSignals();
  BASALT_TRY_ASSIGN(std::string body, CallServer(options.url, "POST", "/api/v1/admin/verify"));
  dom::parser parser;
  while (true) {
    dom::element answer;
    bool running = false;
    if (parser.parse(body).get(answer) != simdjson::SUCCESS ||
        answer["data"]["running"].get(running) != simdjson::SUCCESS) {
      return Internal("the server's answer does not parse: " + body.substr(0, 200));
    }
    if (!running) return ShowAnswer(body, options);
    if (stop) return Cancelled("interrupted; the server's scrub goes on");
    const dom::element progress = answer["data"]["progress"].value();
    line.Show(ProgressText(Number(progress, "bytesDone"), Number(progress, "bytesTotal")));
    std::this_thread::sleep_for(kAskEvery);
    BASALT_TRY_ASSIGN(body, CallServer(options.url, "GET", "/api/v1/admin/verify"));
  }
}

}  // namespace

int RunVerify(const VerifyCommandOptions& options) {
  if (options.data.empty() == options.url.empty()) {
    std::fprintf(stderr,
                 "basalt verify: say --url of the running server, or --data of a directory whose "
                 "server is stopped\n");
    return kNotLookedAt;
  }
  if (!options.data.empty()) return Offline(options);
  const Result<int> result = Online(options);
  if (result.ok()) return *result;
  std::fprintf(stderr, "basalt verify: %s\n", std::string(result.status().message()).c_str());
  return kNotLookedAt;
}

}  // namespace basalt::cli
