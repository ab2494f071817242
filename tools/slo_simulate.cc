#include "tools/slo_simulate.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
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

// From the outage's begin to the first page in it; none: it does not page.
std::optional<Duration> Detection(const slo::SimulationReport& report,
                                  const slo::Injection& injection) {
  std::optional<Duration> first;
  for (const slo::SimulatedAlert& alert : report.alerts) {
    if (alert.severity != slo::Severity::kPage) continue;
    if (!injection.slo.empty() && alert.slo != injection.slo) continue;
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
  // With sweeps: each SLO's id in the report is "<id> <setting>".
  std::vector<std::string> variants;
};

void Print(const Simulated& run, bool markdown) {
  const char* row = markdown ? "| %s | %s | %s | %s |\n" : "%-44s %-7s %-21s %s\n";
  std::printf("%s%s to %s: %zu SLOs, %llu rounds, %.3g pages a week\n\n",
              markdown ? "### SLO simulation\n" : "", FormatMoment(run.options.from_ms).c_str(),
              FormatMoment(run.options.to_ms).c_str(), run.report.slos.size(),
              static_cast<unsigned long long>(run.report.rounds), run.pages_per_week);
  std::printf(row, "SLO", "groups", "bad of total", "budget left at the end");
  if (markdown) std::printf("| --- | --- | --- | --- |\n");
  for (const slo::SimulatedSlo& one : run.report.slos) {
    const std::string left =
        one.budget > 0 ? slo::FormatNumber(100 * (1 - one.bad / one.budget)) + " %" : "no events";
    std::printf(row, one.id.c_str(), std::to_string(one.groups).c_str(),
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

// All settings are simulated at once, as SLOs of their own: what is read and counted is shared.
Result<std::vector<slo::Definition>> VariantsOf(const std::vector<slo::Definition>& definitions,
                                                const std::vector<std::string>& texts) {
  std::vector<slo::Sweep> sweeps;
  for (const std::string& text : texts) {
    Result<slo::Sweep> sweep = slo::ParseSweep(text);
    if (!sweep.ok()) return sweep.status().WithContext("--sweep");
    sweeps.push_back(std::move(sweep).value());
  }
  BASALT_TRY_ASSIGN(const std::vector<slo::Setting> settings, slo::SettingsOf(sweeps));
  std::vector<slo::Definition> variants;
  for (const slo::Definition& definition : definitions) {
    for (const slo::Setting& setting : settings) {
      BASALT_TRY_ASSIGN(slo::Definition variant, slo::WithSetting(definition, setting));
      variant.id += " " + slo::ToString(setting);
      variants.push_back(std::move(variant));
    }
  }
  return variants;
}

Result<Simulated> Run(const SloSimulateOptions& options) {
  if (options.url.empty() == options.data.empty()) {
    return InvalidArgument("needs either --data or --url");
  }
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
  if (!options.sweeps.empty()) {
    if (!options.url.empty()) return InvalidArgument("--sweep needs --data");
    BASALT_TRY_ASSIGN(definitions, VariantsOf(definitions, options.sweeps));
    for (const slo::Definition& variant : definitions) run.variants.push_back(variant.id);
  }
  if (!options.url.empty()) {
    BASALT_TRY_ASSIGN(
        run.report, SimulateOnServer(options.url, options.paths, run.options, options.injections));
    run.pages_per_week = PagesPerWeek(run);
    return run;
  }
  if (!std::filesystem::is_directory(options.data)) {
    return NotFound("--data " + options.data + " is not a directory");
  }
  storage::StoreOptions store_options;
  store_options.directory = options.data;
  store_options.block_cache_bytes = kCacheBytes;
  BASALT_TRY_ASSIGN(const auto store, storage::Store::Open(store_options));
  slo::StoreSamples samples(*store);
  const std::string ledger_file = options.data + "/slo_ledger.yml";
  if (std::filesystem::exists(ledger_file)) {
    BASALT_TRY_ASSIGN(const auto ledger, slo::Ledger::Open(ledger_file));
    run.options.exclusions = ledger->All();
  }
  const query::Engine engine{query::EngineOptions{}};
  slo::EngineQueries queries(engine, samples);
  BASALT_TRY_ASSIGN(run.report,
                    slo::Simulate(std::move(definitions), samples, run.options, &queries));
  BASALT_TRY(store->Close());
  if (run.report.storage_errors > 0) {
    return Unavailable("some series could not be read: " + run.report.last_storage_error);
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
  if (run.incidents.empty() && run.variants.empty()) return;
  const char* row =
      markdown ? "| %s | %s | %s | %s | %s | %s |\n" : "%-44s %-6s %-10s %-8s %-20s %s\n";
  std::printf("\n");
  std::printf(row, "", "pages", "precision", "recall", "detection p50, max", "reset p50, max");
  if (markdown) std::printf("| --- | --- | --- | --- | --- | --- |\n");
  std::vector<slo::Verdict> verdicts;
  const std::vector<slo::SimulatedSlo>& slos = run.report.slos;
  for (const slo::SimulatedSlo& one : slos) {
    std::vector<slo::Incident> own = run.incidents;
    const bool is_variant = !run.variants.empty();
    // Incidents name SLOs as the files do.
    for (slo::Incident& incident : own) {
      if (is_variant && !incident.slo.empty() && one.id.starts_with(incident.slo + " ")) {
        incident.slo = one.id;
      }
    }
    verdicts.push_back(slo::Judge(run.report.alerts, own, one.id));
  }
  for (size_t i = 0; i < slos.size(); ++i) {
    const slo::Verdict& v = verdicts[i];
    const auto rival = [&](const slo::Verdict& other) { return Dominates(other, v); };
    const bool best = !run.variants.empty() && !run.incidents.empty() &&
                      std::none_of(verdicts.begin(), verdicts.end(), rival);
    std::printf(row, (slos[i].id + (best ? " *" : "")).c_str(), std::to_string(v.pages).c_str(),
                Text(v.precision).c_str(), Text(v.recall).c_str(),
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
    const std::string text =
        detection.has_value()
            ? "pages " + slo::FormatNumber(static_cast<double>(detection->count()) / 1000) +
                  " s after its begin"
            : "does not page";
    const bool late = max_detection.has_value() && (!detection || *detection > *max_detection);
    std::printf("\n%sthe outage \"%s\" %s\n", late ? "FAILED: " : "", options.injections[i].c_str(),
                text.c_str());
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
      std::fprintf(stderr, "--max-detection: %s\n", length.status().ToString().c_str());
      return 2;
    }
    max_detection = *length;
  }
  const Result<Simulated> run = Run(options);
  if (!run.ok()) {
    std::fprintf(stderr, "basalt slo simulate: %s\n", run.status().ToString().c_str());
    return 2;
  }
  Print(*run, options.markdown);
  PrintVerdicts(*run, options.markdown);
  bool good = WithinBounds(options, *run, max_detection);
  if (run->variants.empty()) good = IsGoodEnough(options, *run) && good;
  return good ? 0 : 1;
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
  for (const Label& label : alert.group) name += " " + label.name + "=" + label.value;
  return name;
}

}  // namespace basalt::cli
