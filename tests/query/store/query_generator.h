// tests/query/store/query_generator.h -- random PromQL over the series of plans_test.cc and
// fuzz_query_plans.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace basalt::query {

// One thread. The seed, or the bytes, decide everything; whatever comes out parses, and mostly
// finds something.
class QueryGenerator {
 public:
  explicit QueryGenerator(uint64_t seed) : random_(seed) {}
  // A fuzzer's choices, one a byte; behind their end everything is the first choice. `choices` must
  // outlive it.
  explicit QueryGenerator(std::span<const uint8_t> choices) : choices_(choices) {}

  // An expression whose type is an instant vector.
  std::string Vector(int depth = 3);

  uint64_t Below(uint64_t n) {
    if (!choices_.has_value()) return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_);
    if (choices_->empty()) return 0;
    const uint64_t choice = choices_->front();
    choices_ = choices_->subspan(1);
    return choice % n;
  }

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

  std::string Histogram(int depth);
  std::string Subquery(int depth);

  std::mt19937_64 random_;
  std::optional<std::span<const uint8_t>> choices_;
};

}  // namespace basalt::query
