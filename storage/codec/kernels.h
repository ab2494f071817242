// storage/codec/kernels.h -- the loops over samples where a processor's wide registers pay.
//
// Each kernel is there twice: plain, which is the reference, and for AVX2. Both give the same bits
// (tests/storage/codec/kernels_test); which one runs is decided once a process, by what the machine
// can do. (Unpacking bits has no AVX2 form: with gathers it took twice the time of the plain one.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace basalt::storage {

inline constexpr size_t kPricedTables = 64;

struct StepSurvey {
  int64_t low = 0;
  int64_t high = 0;
  int64_t smallest = 0;  // of the steps
};

// Of integers without -0, in any order of adding as long as `magnitude` is below 2^53.
struct IntegerSummary {
  double min = 0;
  double max = 0;
  double sum = 0;
  double magnitude = 0;  // the sum of what each is without its sign
  size_t falls = 0;      // values below the one before
};

struct Kernels {
  const char* name;

  // out[i] = out[i - 1] + step + residuals[i], out[-1] being `start`; modulo 2^64. The arrays may
  // be the same.
  void (*sum)(const uint64_t* residuals, size_t n, uint64_t start, uint64_t step, int64_t* out);
  // The same over unzigzag(residuals[i]).
  void (*sum_signed)(const uint64_t* residuals, size_t n, uint64_t start, uint64_t step,
                     int64_t* out);

  // out[i] = double(integers[i]) / divisor, each correctly rounded.
  void (*to_doubles)(const int64_t* integers, size_t n, double divisor, double* out);

  // True if every value is an integer below 2^51 in magnitude and not -0; these are then in `out`.
  // (Larger ones are left to the caller's slower way.)
  bool (*to_integers)(const double* values, size_t n, int64_t* out);

  // How many of values[1..n) differ in their bits from the one before.
  size_t (*count_changes)(const double* values, size_t n);

  // steps[i] = values[i] - values[i - 1], modulo 2^64; steps[0] = 0. At least two values.
  void (*survey)(const int64_t* values, size_t n, int64_t* steps, StepSurvey* out);
  // The arrays may be the same.
  void (*zigzag)(const int64_t* integers, size_t n, uint64_t* out);

  // A bit for each of up to 64 values that is not 0; `all` becomes the OR of them.
  uint64_t (*nonzero)(const uint64_t* values, size_t n, uint64_t* all);

  // What tokens that occur so often cost by each of kPricedTables tables: costs[i] is the sum of
  // counts[t] * prices[t / 2][i][t % 2] over 2 * pairs tokens. Counts add up to 2^15 - 1 at most.
  // Returns the cheapest table, the first of several; sums from 2^26 on are equally dear.
  size_t (*price)(const uint16_t* counts, size_t pairs, const int16_t* prices, uint32_t* costs);

  // If every value is an integer that to_integers takes: what they come to, and true.
  bool (*summarize)(const double* values, size_t n, IntegerSummary* out);
};

extern const Kernels kPlainKernels;
// Null where the machine (or the build) has no AVX2.
const Kernels* Avx2Kernels();

// The best ones; the plain ones if the environment says BASALT_CODEC=plain.
const Kernels& ActiveKernels();

// For tests and benchmarks: `kernels` are active from now on. Not while other threads code.
void SetActiveKernels(const Kernels& kernels);

// Bodies that are compiled twice instead (entropy_coder.cc): marked so, they become part of the
// function that says what for.
#define BASALT_KERNEL_BODY inline __attribute__((always_inline))
#if defined(__x86_64__)
#define BASALT_HAS_AVX2 1
#define BASALT_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#else
#define BASALT_HAS_AVX2 0
#endif

}  // namespace basalt::storage
