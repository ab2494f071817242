// tests/query/store/query_generator.h -- random PromQL over the series of plans_test.cc.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace basalt::query {

// One thread. The seed decides everything; whatever comes out parses, and mostly finds something.
class QueryGenerator {
 public:
  explicit QueryGenerator(uint64_t seed) : random_(seed) {}

  // An expression whose type is an instant vector.
  std::string Vector(int depth = 3);

  uint64_t Below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }

 private:
  template <size_t N>
  const char* OneOf(const char* const (&choices)[N]) {
    return choices[Below(N)];
  }
  std::string Selector();
  std::string Modifiers();
  std::string RangeCall();
  std::string Aggregation(int depth);
  std::string Binary(int depth);
  std::string Function(int depth);

  std::mt19937_64 random_;
};

}  // namespace basalt::query
