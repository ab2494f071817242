// tools/import_command.h -- `basalt import`: files of samples into a running server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace basalt::cli {

struct ImportCommandOptions {
  std::vector<std::string> files;  // "-" is stdin
  std::string url = "http://127.0.0.1:7480";
  // "prometheus", "openmetrics", "json", "native"; empty: by how the file begins.
  std::string format;
  uint64_t from_line = 1;  // (section) of the first file; where an interrupted import goes on
};

// 0: all of it is stored; 1: not all of it (stderr says what, and how to go on).
int RunImport(const ImportCommandOptions& options);

}  // namespace basalt::cli
