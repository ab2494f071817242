// bench/codec/shaped_rows.h -- rows of made-up metrics whose statistics are not those of the
// recorded ones: what becomes of metrics that nobody trained the tables on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace basalt::bench {

struct Shape {
  std::string name;
  std::vector<std::vector<double>> rows;
};

// Every shape, `rows` rows of `samples` values each, a function of the seed.
std::vector<Shape> MakeShapes(size_t rows, size_t samples, uint64_t seed);

}  // namespace basalt::bench
