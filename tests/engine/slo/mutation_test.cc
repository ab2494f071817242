// Puts one mistake at a time into the evaluator (mutants.py) and plays the outages: a mistake that
// no outage notices would be one that could ship.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "tests/engine/slo/outage.h"

int basalt_mutant = 0;  // 0: none

namespace basalt::slo {
namespace {

constexpr auto kNames = std::to_array<const char*>({
#include "names.inc"
});

bool AllAgree() {
  for (const OutageShape& shape : OutageShapes()) {
    if (!PlayOut(shape).empty()) return false;
  }
  return true;
}

// In a process of its own: a mistake may also break a CHECK.
bool IsNoticed(int mutant) {
  const pid_t child = ::fork();
  if (child == 0) {
    basalt_mutant = mutant;
    ::_exit(AllAgree() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST(MutatedEvaluator, WithoutAMistakeAgrees) { EXPECT_FALSE(IsNoticed(0)); }

class Mutant : public ::testing::TestWithParam<int> {};

TEST_P(Mutant, IsNoticed) { EXPECT_TRUE(IsNoticed(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Table, Mutant, ::testing::Range(1, static_cast<int>(kNames.size()) + 1),
                         [](const auto& test) {
                           return std::string(kNames[static_cast<size_t>(test.param) - 1]);
                         });

}  // namespace
}  // namespace basalt::slo
