// tools/export_command.h -- `basalt export`: series of a running server into a file that
// `basalt import` takes.
#pragma once

#include <string>
#include <vector>

namespace basalt::cli {

struct ExportCommandOptions {
  std::vector<std::string> selectors;
  std::string url = "http://127.0.0.1:7480";
  std::string output = "-";  // "-" is stdout
  std::string format = "native";
  std::string start;
  std::string end;
  size_t page_bytes = 8u << 20;  // asked for at a time; how often the way back is written down
};

// Page by page. Beside an output file stands <output>.resume until all of it is there: with it, the
// same command goes on where it was interrupted. 0: all of it is in the file; 1: not (stderr says
// why).
int RunExport(const ExportCommandOptions& options);

}  // namespace basalt::cli
