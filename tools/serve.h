// tools/serve.h -- `basalt serve`: the composition of everything, from start to SIGTERM.
#pragma once

#include "tools/options.h"

namespace basalt::cli {

// Runs until SIGTERM or SIGINT; SIGHUP reloads. 0 after an orderly end, 1 if it could not start
// (stderr says why).
int RunServe(const ServeOptions& options);

}  // namespace basalt::cli
