// tools/slo_command.h -- `basalt slo check`.
#pragma once

#include <string>
#include <vector>

namespace basalt::cli {

struct SloCheckOptions {
  std::vector<std::string> paths;
};

// Prints one line a problem and a summary. 0: all sound (warnings allowed); 1: an error was found.
int RunSloCheck(const SloCheckOptions& options);

}  // namespace basalt::cli
