// engine/slo/problem.h -- what is wrong in an SLO file, and where.
#pragma once

#include <string>
#include <vector>

#include "engine/slo/definition.h"

namespace basalt::slo {

struct Problem {
  bool is_error = true;  // otherwise a warning: the SLO runs
  std::string file;
  int line = 0;         // from 1; 0: the file as a whole
  int column = 0;       // from 1
  std::string field;    // "slos[1].sli.events.error_query"
  std::string message;  // what is wrong and what to do
};
// "shop.yml:12:14: error: slos[1].objective: ...".
std::string ToString(const Problem& problem);

// What `basalt slo check` shows. `definitions` holds what is sound; use it only if ok().
struct CheckedSlos {
  std::vector<Definition> definitions;
  std::vector<Problem> problems;
  [[nodiscard]] bool ok() const;
};

}  // namespace basalt::slo
