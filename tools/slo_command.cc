#include "tools/slo_command.h"

#include <cstdio>

#include "engine/slo/slo_files.h"

namespace basalt::cli {

int RunSloCheck(const SloCheckOptions& options) {
  std::vector<slo::Problem> warnings;
  const auto definitions = slo::LoadSloFiles(options.paths, &warnings);
  for (const slo::Problem& warning : warnings) std::printf("%s\n", slo::ToString(warning).c_str());
  if (!definitions.ok()) {
    std::printf("%.*s\n", static_cast<int>(definitions.status().message().size()),
                definitions.status().message().data());
    return 1;
  }
  for (const slo::Definition& definition : *definitions) {
    std::printf("ok: %s\n", definition.id.c_str());
  }
  if (definitions->empty()) {
    std::printf("no SLO was found: a directory is read for *.yml and *.yaml, not below it\n");
    return 1;
  }
  std::printf("%zu %s sound, %zu %s\n", definitions->size(),
              definitions->size() == 1 ? "SLO is" : "SLOs are", warnings.size(),
              warnings.size() == 1 ? "warning" : "warnings");
  return 0;
}

}  // namespace basalt::cli
