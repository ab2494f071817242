// tools/options.h -- what the command line says, and how it becomes the configuration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/admin/config.h"
#include "engine/base/status.h"

namespace basalt::cli {

inline constexpr const char* kVersion = "0.1.0";

// Unset values leave the configuration file's (or the default) alone.
struct ServeOptions {
  std::optional<std::string> http;
  std::optional<std::string> grpc;
  std::optional<std::string> data;
  std::string config_file;
  std::vector<std::string> slo_paths;
  std::vector<std::string> alertmanagers;
  std::string ready_file;
  bool welcome = false;
  bool help_config = false;
};

// Defaults, then the file, then the flags; checked.
Result<admin::Config> MakeConfig(const ServeOptions& options);

}  // namespace basalt::cli
