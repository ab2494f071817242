// tools/slo_diff.h -- `basalt slo diff`: what changes with a new version of SLO files, and which
// alerts of the past would have come or gone with it.
#pragma once

#include <string>
#include <vector>

namespace basalt::cli {

struct SloDiffOptions {
  std::string before;  // file or directory
  std::string after;
  std::string data;  // a data directory that no server has open, or...
  std::string url;   // ...a server; neither: only definitions are compared
  std::string from = "-30d";
  std::string to;
  bool markdown = false;
};

// 0: they decide alike and, over history, alert alike; 1: something differs; 2: it could not be
// compared, which is said on standard error.
int RunSloDiff(const SloDiffOptions& options);

}  // namespace basalt::cli
