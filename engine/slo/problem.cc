#include "engine/slo/problem.h"

#include <algorithm>

namespace basalt::slo {

std::string ToString(const Problem& problem) {
  std::string out = problem.file + ":";
  if (problem.line > 0) {
    out += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ":";
  }
  out += problem.is_error ? " error: " : " warning: ";
  if (!problem.field.empty()) out += problem.field + ": ";
  return out + problem.message;
}

bool CheckedSlos::ok() const {
  return std::none_of(problems.begin(), problems.end(),
                      [](const Problem& problem) { return problem.is_error; });
}

}  // namespace basalt::slo
