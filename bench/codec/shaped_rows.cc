#include "bench/codec/shaped_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <utility>

namespace basalt::bench {
namespace {

using Random = std::mt19937_64;

// Fills one row; the distributions are drawn here rather than by the standard library's, whose
// results differ from one library to the next.
using Fill = void (*)(Random&, std::vector<double>&);

double Uniform(Random& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

// Twelve uniform ones: near enough to normal, and the same everywhere.
double Normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += Uniform(random);
  return sum;
}

double Rounded(double v, double scale) { return std::round(v * scale) / scale; }

void RequestCounter(Random& random, std::vector<double>& row) {
  double at = std::floor(Uniform(random) * 1e6);
  const double rate = 1 + Uniform(random) * 500;
  for (double& v : row)
    v = at += std::max(0.0, std::round(rate + Normal(random) * std::sqrt(rate)));
}

// A counter that falls back to zero now and then.
void RestartingCounter(Random& random, std::vector<double>& row) {
  double at = 0;
  for (double& v : row) {
    if (random() % 100 == 0) at = 0;
    v = at += static_cast<double>(random() % 16);
  }
}

void ByteCounter(Random& random, std::vector<double>& row) {
  double at = std::floor(Uniform(random) * 1e12);
  for (double& v : row) v = at += std::floor(std::exp(8 + 2 * Normal(random)));
}

void TwoDecimals(Random& random, std::vector<double>& row) {
  double at = Uniform(random) * 100;
  for (double& v : row) v = Rounded(at += Normal(random), 100);
}

void Percentage(Random& random, std::vector<double>& row) {
  const double mean = 20 + Uniform(random) * 60;
  for (double& v : row) v = Rounded(std::clamp(mean + 5 * Normal(random), 0.0, 100.0), 10);
}

// A ratio that somebody computed: 53 bits that look like noise.
void Ratio(Random& random, std::vector<double>& row) {
  for (double& v : row) {
    v = static_cast<double>(random() % 1000) / static_cast<double>(1000 + random() % 1000);
  }
}

void NanosecondLatency(Random& random, std::vector<double>& row) {
  for (double& v : row) v = std::floor(std::exp(15 + Normal(random))) / 1e9;
}

void LatencySum(Random& random, std::vector<double>& row) {
  double at = Uniform(random) * 1000;
  for (double& v : row) v = at += std::exp(-4 + Normal(random));
}

void Boolean(Random& random, std::vector<double>& row) {
  bool up = true;
  for (double& v : row) {
    if (random() % 50 == 0) up = !up;
    v = up ? 1 : 0;
  }
}

void CoinToss(Random& random, std::vector<double>& row) {
  for (double& v : row) v = static_cast<double>(random() & 1);
}

void SecondsSince1970(Random& random, std::vector<double>& row) {
  double at = 1.7e9 + std::floor(Uniform(random) * 1e7);
  for (double& v : row) v = Rounded(at += 15 + 0.004 * Normal(random), 1000);
}

// The time of the last success: stands for a while, then jumps.
void LastSuccess(Random& random, std::vector<double>& row) {
  double at = 1.7e9;
  double last = at;
  for (double& v : row) {
    at += 15;
    if (random() % 20 == 0) last = at + Uniform(random);
    v = last;
  }
}

void Pages(Random& random, std::vector<double>& row) {
  double at = 1e5;
  for (double& v : row) v = 4096 * (at += std::round(20 * Normal(random)));
}

void Temperature(Random& random, std::vector<double>& row) {
  double at = 20 + 30 * Uniform(random);
  for (double& v : row) v = Rounded(at += 0.2 * Normal(random), 8);
}

void Float32(Random& random, std::vector<double>& row) {
  for (double& v : row) v = static_cast<float>(100 + 10 * Normal(random));
}

void Noise(Random& random, std::vector<double>& row) {
  for (double& v : row) v = 1e3 * Normal(random);
}

void AnyBits(Random& random, std::vector<double>& row) {
  for (double& v : row) v = std::bit_cast<double>(random());
}

constexpr std::pair<const char*, Fill> kShapes[] = {
    {"requests, jittered counter", RequestCounter},
    {"counter, restarts often", RestartingCounter},
    {"bytes, log-normal steps", ByteCounter},
    {"gauge, two decimals", TwoDecimals},
    {"percentage, one decimal", Percentage},
    {"ratio, computed", Ratio},
    {"latency, whole nanoseconds", NanosecondLatency},
    {"sum of latencies", LatencySum},
    {"up or down", Boolean},
    {"coin toss", CoinToss},
    {"seconds since 1970, ms", SecondsSince1970},
    {"time of last success", LastSuccess},
    {"memory in pages", Pages},
    {"temperature, eighths", Temperature},
    {"float32, noise", Float32},
    {"noise, 53 bits", Noise},
    {"any 64 bits", AnyBits},
};

}  // namespace

std::vector<Shape> MakeShapes(size_t rows, size_t samples, uint64_t seed) {
  std::vector<Shape> shapes;
  for (const auto& [name, fill] : kShapes) {
    Random random(seed);
    Shape& shape = shapes.emplace_back(Shape{name, {}});
    for (size_t i = 0; i < rows; ++i) fill(random, shape.rows.emplace_back(samples));
  }
  return shapes;
}

}  // namespace basalt::bench
