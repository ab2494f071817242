// Puts one mistake at a time into the evaluator (mutants.py) and plays the outages: a mistake that
// no outage notices would be one that could ship.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <vector>

#include "tests/engine/slo/outage.h"

int basalt_mutant = 0;  // 0: none

namespace basalt::slo {
namespace {

constexpr auto kNames = std::to_array<const char*>({
#include "names.inc"
});

// Shapes by number, those that have noticed something last in front: neighbours in mutants.py are
// mostly noticed by the same ones, and the rest need not be played.
std::vector<size_t>& Order() {
  static std::vector<size_t> order = [] {
    std::vector<size_t> all(OutageShapes().size());
    std::iota(all.begin(), all.end(), size_t{0});
    return all;
  }();
  return order;
}

// The exit status: 0 if all agree, else 1 + the shape that does not.
int FirstThatDisagrees() {
  for (const size_t i : Order()) {
    if (!PlayOut(OutageShapes()[i]).empty()) return static_cast<int>(i) + 1;
  }
  return 0;
}

// In a process of its own: a mistake may also break a CHECK.
bool IsNoticed(int mutant) {
  if (OutageShapes().size() > 250) ADD_FAILURE() << "an exit status cannot name so many shapes";
  const pid_t child = ::fork();
  if (child == 0) {
    basalt_mutant = mutant;
    ::_exit(FirstThatDisagrees());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (!WIFEXITED(status)) return true;
  const int by = WEXITSTATUS(status);
  if (by == 0) return false;
  const auto it = std::find(Order().begin(), Order().end(), static_cast<size_t>(by - 1));
  if (it != Order().end()) std::rotate(Order().begin(), it, std::next(it));
  return true;
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
