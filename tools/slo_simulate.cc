#include "tools/slo_simulate.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <tuple>

#include "engine/base/clock.h"
#include "engine/slo/message.h"
#include "engine/slo/simulation.h"
#include "engine/slo/slo_files.h"
#include "engine/slo/trial.h"
#include "query/engine.h"
#include "query/promql/durations.h"
#include "storage/store.h"
#include "tools/simulation_text.h"
#include "tools/slo_remote.h"

namespace basalt::cli {
namespace {

// Reading history wants no more of a machine than this beside what else runs there.
constexpr size_t kCacheBytes = 64u << 20;

// From the outage's begin to the first page in it, of `only` if given; none: it does not page.
std::optional<Duration> Detection(const slo::SimulationReport& report,
                                  const slo::Injection& injection,
                                  const slo::SimulatedSlo* only = nullptr) {
  std::optional<Duration> first;
  for (const slo::SimulatedAlert& alert : report.alerts) {
    if (alert.severity != slo::Severity::kPage) continue;
    if (!injection.slo.empty() && alert.slo != injection.slo) continue;
    if (only != nullptr && (alert.slo != only->id || alert.setting != only->setting)) continue;
    if (alert.starts_ms < injection.from_ms || alert.starts_ms > injection.to_ms) continue;
    const Duration after(alert.starts_ms - injection.from_ms);
    if (!first.has_value() || after < *first) first = after;
  }
  return first;
}

struct Simulated {
  slo::SimulationOptions options;
  slo::SimulationReport report;
  double pages_per_week = 0;
  std::vector<slo::Incident> incidents;
  bool is_sweep = false;  // each SLO of the report has a setting
};

// "shop-requests factor=12"
std::string NameOf(const slo::SimulatedSlo& one) {
  return one.setting.empty() ? one.id : one.id + " " + one.setting;
}

void Print(const Simulated& run, bool markdown) {
  const char* row = markdown ? "| %s | %s | %s | %s |\n" : "%-44s %-7s %-21s %s\n";
  char pages_per_week[48];
  std::snprintf(pages_per_week, sizeof(pages_per_week), ", %.3g pages a week", run.pages_per_week);
  // Of all settings together they would say nothing.
  const std::string pages = run.is_sweep ? "" : pages_per_week;
  std::printf("%s%s to %s: %zu %s, %llu rounds%s\n\n", markdown ? "### SLO simulation\n" : "",
              FormatMoment(run.options.from_ms).c_str(), FormatMoment(run.options.to_ms).c_str(),
              run.report.slos.size(), run.is_sweep ? "variants of SLOs" : "SLOs",
              static_cast<unsigned long long>(run.report.rounds), pages.c_str());
  std::printf(row, "SLO", "groups", "bad of total", "budget left at the end");
  if (markdown) std::printf("| --- | --- | --- | --- |\n");
  for (const slo::SimulatedSlo& one : run.report.slos) {
    const std::string left =
        one.budget > 0 ? slo::FormatNumber(100 * (1 - one.bad / one.budget)) + " %" : "no events";
    std::printf(row, NameOf(one).c_str(), std::to_string(one.groups).c_str(),
                (slo::FormatNumber(one.bad) + " of " + slo::FormatNumber(one.total)).c_str(),
                left.c_str());
  }
  std::printf("\n");
  if (!run.report.alerts.empty()) {
    std::printf(row, "alert", "", "from", "until");
    if (markdown) std::printf("| --- | --- | --- | --- |\n");
  }
  for (const slo::SimulatedAlert& alert : run.report.alerts) {
    std::printf(row, (AlertName(alert) + (alert.held_back ? " (held back)" : "")).c_str(),
                std::string(slo::SeverityName(alert.severity)).c_str(),
                FormatMoment(alert.starts_ms).c_str(),
                alert.ends_ms.has_value() ? FormatMoment(*alert.ends_ms).c_str() : "still firing");
  }
}

double PagesPerWeek(const Simulated& run) {
  const auto pages = std::count_if(
      run.report.alerts.begin(), run.report.alerts.end(), [](const slo::SimulatedAlert& alert) {
        return alert.severity == slo::Severity::kPage && !alert.held_back;
      });
  const double weeks =
      static_cast<double>(run.options.to_ms - run.options.from_ms) / (7.0 * kMsPerDay);
  return static_cast<double>(pages) / weeks;
}

// Bounds are of one version of the SLOs. None is dropped in silence.
Status CheckSweep(const SloSimulateOptions& options) {
  const char* bound = options.max_pages_per_week >= 0  ? "--max-pages-per-week"
                      : options.min_recall >= 0        ? "--min-recall"
                      : options.min_precision >= 0     ? "--min-precision"
                      : !options.max_detection.empty() ? "--max-detection"
                                                       : nullptr;
  if (options.sweeps.empty() || bound == nullptr) return OkStatus();
  return InvalidArgument(std::string(bound) +
                         " cannot stand beside --sweep, which compares settings: run it again with "
                         "the setting that you choose written into the SLO file");
}

Result<slo::SimulationReport> SimulateOnData(const std::string& data,
                                             std::vector<slo::Definition> definitions,
                                             slo::SimulationOptions options) {
  if (!std::filesystem::is_directory(data)) {
    return NotFound("--data " + data + " is not a directory");
  }
  storage::StoreOptions store_options;
  store_options.directory = data;
  store_options.block_cache_bytes = kCacheBytes;
  Result<std::unique_ptr<storage::Store>> store = storage::Store::Open(store_options);
  if (!store.ok() && store.status().code() == StatusCode::kFailedPrecondition) {
    return store.status().WithContext("--data " + data +
                                      ": if a server has it open, name the server by --url");
  }
  if (!store.ok()) return store.status().WithContext("--data " + data);
  slo::StoreSamples samples(**store);
  const std::string ledger_file = data + "/slo_ledger.yml";
  if (std::filesystem::exists(ledger_file)) {
    BASALT_TRY_ASSIGN(const auto ledger, slo::Ledger::Open(ledger_file));
    options.exclusions = ledger->All();
  }
  const query::Engine engine{query::EngineOptions{}};
  slo::EngineQueries queries(engine, samples);
  BASALT_TRY_ASSIGN(slo::SimulationReport report,
                    slo::Simulate(std::move(definitions), samples, options, &queries));
  BASALT_TRY((*store)->Close());
  if (report.storage_errors > 0) {
    return Unavailable("some series could not be read: " + report.last_storage_error);
  }
  return report;
}

Result<Simulated> Run(const SloSimulateOptions& options) {
  if (options.url.empty() == options.data.empty()) {
    return InvalidArgument("needs either --data or --url");
  }
  BASALT_TRY(CheckSweep(options));
  Simulated run;
  const int64_t now_ms = ToMs(SystemClock().Now());
  run.options.to_ms = now_ms;
  if (!options.to.empty()) {
    BASALT_TRY_ASSIGN(run.options.to_ms, ParseMoment(options.to, now_ms));
  }
  BASALT_TRY_ASSIGN(run.options.from_ms, ParseMoment(options.from, run.options.to_ms));
  for (const std::string& text : options.injections) {
    Result<slo::Injection> injection = ParseInjection(text, run.options.to_ms);
    if (!injection.ok()) return injection.status().WithContext("--inject " + text);
    run.options.injections.push_back(*injection);
  }
  if (!options.truth.empty()) {
    BASALT_TRY_ASSIGN(run.incidents, ReadIncidents(options.truth, run.options.to_ms));
  }
  // Wrong files are said with their own lines, also if a server will read them.
  BASALT_TRY_ASSIGN(std::vector<slo::Definition> definitions, slo::LoadSloFiles(options.paths));
  run.is_sweep = !options.sweeps.empty();
  if (run.is_sweep) {
    BASALT_TRY_ASSIGN(definitions, slo::VariantsOf(definitions, options.sweeps));
  }
  if (options.url.empty()) {
    BASALT_TRY_ASSIGN(run.report,
                      SimulateOnData(options.data, std::move(definitions), run.options));
  } else {
    BASALT_TRY_ASSIGN(
        run.report,
        SimulateOnServer(options.url, {options.paths, options.injections, options.sweeps,
                                       run.options.from_ms, run.options.to_ms}));
  }
  run.pages_per_week = PagesPerWeek(run);
  return run;
}

std::string Text(const std::optional<double>& share) {
  return share.has_value() ? slo::FormatNumber(100 * *share) + " %" : "-";
}
std::string Text(const std::optional<Duration>& length) {
  if (!length.has_value()) return "-";
  return slo::FormatNumber(static_cast<double>(length->count()) / 1000) + " s";
}

// a is at least as good in all and better in one.
bool Dominates(const slo::Verdict& a, const slo::Verdict& b) {
  const auto late = [](const slo::Verdict& v) {
    return v.detection_longest.value_or(Duration(INT64_MAX / 2));
  };
  const size_t wrong_a = a.pages - a.right;
  const size_t wrong_b = b.pages - b.right;
  if (a.found < b.found || wrong_a > wrong_b || late(a) > late(b)) return false;
  return a.found > b.found || wrong_a < wrong_b || late(a) < late(b);
}

// With incidents or settings to compare: a line for each SLO or setting. `*` marks what no other
// one beats in found incidents, wrong pages and the longest detection together.
void PrintVerdicts(const Simulated& run, bool markdown) {
  if (run.incidents.empty() && !run.is_sweep) return;
  const char* row =
      markdown ? "| %s | %s | %s | %s | %s | %s |\n" : "%-44s %-6s %-10s %-8s %-20s %s\n";
  std::printf("\n");
  std::printf(row, "", "pages", "precision", "recall", "detection p50, max", "reset p50, max");
  if (markdown) std::printf("| --- | --- | --- | --- | --- | --- |\n");
  std::vector<slo::Verdict> verdicts;
  const std::vector<slo::SimulatedSlo>& slos = run.report.slos;
  for (const slo::SimulatedSlo& one : slos) {
    std::vector<slo::SimulatedAlert> own;
    std::copy_if(run.report.alerts.begin(), run.report.alerts.end(), std::back_inserter(own),
                 [&](const slo::SimulatedAlert& alert) { return alert.setting == one.setting; });
    verdicts.push_back(slo::Judge(own, run.incidents, one.id));
  }
  for (size_t i = 0; i < slos.size(); ++i) {
    const slo::Verdict& v = verdicts[i];
    const auto rival = [&](const slo::Verdict& other) { return Dominates(other, v); };
    const bool best = run.is_sweep && !run.incidents.empty() &&
                      std::none_of(verdicts.begin(), verdicts.end(), rival);
    std::printf(row, (NameOf(slos[i]) + (best ? " *" : "")).c_str(),
                std::to_string(v.pages).c_str(), Text(v.precision).c_str(), Text(v.recall).c_str(),
                (Text(v.detection_median) + ", " + Text(v.detection_longest)).c_str(),
                (Text(v.reset_median) + ", " + Text(v.reset_longest)).c_str());
  }
}

bool IsGoodEnough(const SloSimulateOptions& options, const Simulated& run) {
  if (run.incidents.empty()) return true;
  const slo::Verdict all = slo::Judge(run.report.alerts, run.incidents, "");
  bool good = true;
  for (const auto& [name, found, least] :
       {std::tuple("recall", all.recall, options.min_recall),
        std::tuple("precision", all.precision, options.min_precision)}) {
    // No pages at all are not wrong; no incidents cannot be missed.
    if (least < 0 || !found.has_value() || *found >= least) continue;
    std::printf("\nFAILED: a %s of %s, below %.3g %%\n", name, Text(found).c_str(), 100 * least);
    good = false;
  }
  return good;
}

std::string PagesText(std::optional<Duration> detection) {
  if (!detection.has_value()) return "does not page";
  return "pages " + slo::FormatNumber(static_cast<double>(detection->count()) / 1000) +
         " s after its begin";
}

// Of a sweep: when each setting would have found the injected outages.
void PrintDetections(const Simulated& run, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const slo::Injection& injection = run.options.injections[i];
    std::printf("\nthe outage \"%s\"\n", texts[i].c_str());
    for (const slo::SimulatedSlo& one : run.report.slos) {
      if (!injection.slo.empty() && one.id != injection.slo) continue;
      std::printf("  %-42s %s\n", NameOf(one).c_str(),
                  PagesText(Detection(run.report, injection, &one)).c_str());
    }
  }
}

// Prints what is beyond a bound.
bool WithinBounds(const SloSimulateOptions& options, const Simulated& run,
                  std::optional<Duration> max_detection) {
  bool within = true;
  if (options.max_pages_per_week >= 0 && run.pages_per_week > options.max_pages_per_week) {
    std::printf("\nFAILED: %.3g pages a week, more than %.3g\n", run.pages_per_week,
                options.max_pages_per_week);
    within = false;
  }
  for (size_t i = 0; i < run.options.injections.size(); ++i) {
    const std::optional<Duration> detection = Detection(run.report, run.options.injections[i]);
    const bool late = max_detection.has_value() && (!detection || *detection > *max_detection);
    std::printf("\n%sthe outage \"%s\" %s\n", late ? "FAILED: " : "", options.injections[i].c_str(),
                PagesText(detection).c_str());
    within &= !late;
  }
  return within;
}

}  // namespace

int RunSloSimulate(const SloSimulateOptions& options) {
  std::optional<Duration> max_detection;
  if (!options.max_detection.empty()) {
    const Result<Duration> length = promql::ParseDuration(options.max_detection);
    if (!length.ok()) {
      std::fprintf(stderr, "basalt slo simulate: --max-detection: %s\n",
                   std::string(length.status().message()).c_str());
      return 2;
    }
    max_detection = *length;
  }
  const Result<Simulated> run = Run(options);
  if (!run.ok()) {
    std::fprintf(stderr, "basalt slo simulate: %s\n", std::string(run.status().message()).c_str());
    return 2;
  }
  Print(*run, options.markdown);
  PrintVerdicts(*run, options.markdown);
  if (run->is_sweep) {
    PrintDetections(*run, options.injections);
    return 0;
  }
  const bool within = WithinBounds(options, *run, max_detection);
  return IsGoodEnough(options, *run) && within ? 0 : 1;
}

Result<slo::SimulationReport> SimulateFiles(const SloSimulateOptions& options) {
  BASALT_TRY_ASSIGN(Simulated run, Run(options));
  return std::move(run.report);
}

Result<std::string> FixedEnd(const std::string& to) {
  const int64_t now_ms = ToMs(SystemClock().Now());
  int64_t end_ms = now_ms;
  if (!to.empty()) {
    BASALT_TRY_ASSIGN(end_ms, ParseMoment(to, now_ms));
  }
  return std::to_string(end_ms / kMsPerSecond);
}

std::string FormatMoment(int64_t time_ms) {
  const std::time_t seconds = time_ms / kMsPerSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const size_t n = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, n};
}

std::string AlertName(const slo::SimulatedAlert& alert) {
  std::string name = alert.slo;
  if (!alert.setting.empty()) name += " " + alert.setting;
  for (const Label& label : alert.group) name += " " + label.name + "=" + label.value;
  return name;
}

}  // namespace basalt::cli
