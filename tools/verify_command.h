// tools/verify_command.h -- `basalt verify`: is what is stored still what was written?
#pragma once

#include <string>

namespace basalt::cli {

struct VerifyCommandOptions {
  std::string data;  // a data directory that no server has open; or
  std::string url;   // of a running server
  bool json = false;
  bool quiet = false;
};

// 0: everything checks; 1: damage was found, and is named on standard output; 2: it could not be
// looked at.
int RunVerify(const VerifyCommandOptions& options);

}  // namespace basalt::cli
