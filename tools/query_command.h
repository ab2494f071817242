// tools/query_command.h -- `basalt query`: PromQL on a running server, as a table or a small graph.
#pragma once

#include <string>

namespace basalt::cli {

struct QueryCommandOptions {
  std::string expression;
  std::string url = "http://127.0.0.1:7480";
  std::string time;
  std::string since;
  std::string start;
  std::string end;
  std::string step;
  bool json = false;
  bool explain = false;
};

// 0: answered; 1: not (the message on stderr says why).
int RunQuery(const QueryCommandOptions& options);

}  // namespace basalt::cli
