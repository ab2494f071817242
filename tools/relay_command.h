// tools/relay_command.h -- `basalt relay`: takes writes on this machine, keeps them on disk, and
// forwards them to a server.
#pragma once

#include <cstdint>
#include <string>

namespace basalt::cli {

struct RelayCommandOptions {
  std::string listen = "127.0.0.1:7480";
  std::string server = "127.0.0.1:7481";  // its gRPC address
  std::string spool = "./spool";
  std::string max_spool = "1GiB";
  uint32_t tenant = 0;
  std::string ready_file;
};

// Runs until SIGTERM or SIGINT. 0: stopped; 1: could not start (stderr says why).
int RunRelay(const RelayCommandOptions& options);

}  // namespace basalt::cli
