#include "tools/slo_diff.h"

#include <cstdio>
#include <map>

#include "engine/slo/slo_files.h"
#include "engine/slo/trial.h"
#include "tools/slo_simulate.h"

namespace basalt::cli {
namespace {

// Prints what differs between definitions. True: something does.
bool PrintDefinitions(const std::vector<slo::Definition>& before,
                      const std::vector<slo::Definition>& after, bool markdown) {
  std::map<std::string, std::pair<const slo::Definition*, const slo::Definition*>> by_id;
  for (const slo::Definition& slo : before) by_id[slo.id].first = &slo;
  for (const slo::Definition& slo : after) by_id[slo.id].second = &slo;
  const char* item = markdown ? "- **%s** %s\n" : "%s %s\n";
  const char* detail = markdown ? "  - %s\n" : "    %s\n";
  size_t same = 0;
  for (const auto& [id, both] : by_id) {
    if (both.second == nullptr) {
      std::printf(item, id.c_str(), "goes");
    } else if (both.first == nullptr) {
      std::printf(item, id.c_str(), "is new");
    } else if (const auto lines = slo::Differences(*both.first, *both.second); lines.empty()) {
      ++same;
    } else {
      std::printf(item, id.c_str(), "changes");
      for (const std::string& line : lines) std::printf(detail, line.c_str());
    }
  }
  std::printf("%zu of %zu SLOs decide as before\n", same, by_id.size());
  return same != by_id.size();
}

bool PrintAlerts(const std::vector<slo::AlertDifference>& all, bool markdown) {
  if (all.empty()) {
    std::printf("\nover this history they alert alike\n");
    return false;
  }
  const char* row = markdown ? "| %s | %s | %s | %s | %s |\n" : "%-6s %-44s %-7s %-21s %s\n";
  std::printf("\n");
  std::printf(row, "", "alert", "", "from", "until");
  if (markdown) std::printf("| --- | --- | --- | --- | --- |\n");
  for (const slo::AlertDifference& one : all) {
    const slo::SimulatedAlert& alert = one.alert;
    std::printf(row, one.comes ? "comes" : "goes", AlertName(alert).c_str(),
                std::string(slo::SeverityName(alert.severity)).c_str(),
                FormatMoment(alert.starts_ms).c_str(),
                alert.ends_ms ? FormatMoment(*alert.ends_ms).c_str() : "still firing");
  }
  return true;
}

Result<bool> Run(const SloDiffOptions& options) {
  BASALT_TRY_ASSIGN(const auto before, slo::LoadSloFiles({options.before}));
  BASALT_TRY_ASSIGN(const auto after, slo::LoadSloFiles({options.after}));
  if (options.markdown) std::printf("### SLO changes\n");
  bool differs = PrintDefinitions(before, after, options.markdown);
  if (options.data.empty() && options.url.empty()) return differs;
  SloSimulateOptions simulate;
  simulate.data = options.data;
  simulate.url = options.url;
  simulate.from = options.from;
  simulate.to = options.to;
  BASALT_TRY_ASSIGN(simulate.to, FixedEnd(simulate.to));  // the same for both
  simulate.paths = {options.before};
  BASALT_TRY_ASSIGN(const auto old_report, SimulateFiles(simulate));
  simulate.paths = {options.after};
  BASALT_TRY_ASSIGN(const auto new_report, SimulateFiles(simulate));
  differs |= PrintAlerts(slo::Differences(old_report, new_report), options.markdown);
  return differs;
}

}  // namespace

int RunSloDiff(const SloDiffOptions& options) {
  const Result<bool> differs = Run(options);
  if (!differs.ok()) {
    std::fprintf(stderr, "basalt slo diff: %s\n", std::string(differs.status().message()).c_str());
    return 2;
  }
  return *differs ? 1 : 0;
}

}  // namespace basalt::cli
