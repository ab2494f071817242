// tools/purge_command.h -- `basalt delete` and `basalt purges`.
#pragma once

#include <string>
#include <vector>

namespace basalt::cli {

struct DeleteCommandOptions {
  std::vector<std::string> selectors;
  std::string url = "http://127.0.0.1:7480";
  std::string start;
  std::string end;
  bool clean = false;  // free the space before returning
};
struct PurgesCommandOptions {
  std::string id;  // empty: all
  std::string url = "http://127.0.0.1:7480";
};

// 0: done, the receipt on stdout; 1: not (the message on stderr says why).
int RunDelete(const DeleteCommandOptions& options);
// Prints the server's receipts as JSON. 0: answered; 1: not; 2: the receipt asked for is still
// pending, so that scripts can wait for it.
int RunPurges(const PurgesCommandOptions& options);

}  // namespace basalt::cli
