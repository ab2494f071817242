// tests/engine/slo/slo_texts.h -- what a text of SLOs is read as, for tests of formats.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/slo/slo_files.h"

namespace basalt::slo {

// Of a file "slo.yml"; each of its errors is a failure of the test.
inline std::vector<Definition> MustRead(const std::string& text) {
  CheckedSlos checked = CheckSloText(text, "slo.yml");
  for (const Problem& problem : checked.problems) {
    if (problem.is_error) ADD_FAILURE() << ToString(problem);
  }
  return std::move(checked.definitions);
}

// "none" if there is none.
inline std::string FirstError(const std::string& text) {
  for (const Problem& problem : CheckSloText(text, "slo.yml").problems) {
    if (problem.is_error) return ToString(problem);
  }
  return "none";
}

}  // namespace basalt::slo
