#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/varint.h"
#include "storage/codec/kernels.h"

#if BASALT_HAS_AVX2
#include <immintrin.h>

namespace basalt::storage {
namespace {

// Four numbers at a time; what is left over goes the plain way.
constexpr size_t kWide = 4;

BASALT_TARGET_AVX2 inline __m256i Load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
BASALT_TARGET_AVX2 inline void Store(void* p, __m256i v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}

// Sums of four, and of all four in each place: the chain from block to block is one addition.
template <bool kSigned>
BASALT_TARGET_AVX2 inline void SumBlocks(const uint64_t* residuals, size_t n, uint64_t start,
                                         uint64_t step, int64_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i one = _mm256_set1_epi64x(1);
  const __m256i steps = _mm256_set1_epi64x(static_cast<int64_t>(step));
  __m256i before = _mm256_set1_epi64x(static_cast<int64_t>(start));
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    __m256i v = Load(residuals + i);
    if constexpr (kSigned) {
      v = _mm256_xor_si256(_mm256_srli_epi64(v, 1),
                           _mm256_sub_epi64(zero, _mm256_and_si256(v, one)));
    }
    v = _mm256_add_epi64(v, steps);
    const __m256i pairs = _mm256_add_epi64(v, _mm256_slli_si256(v, 8));  // a, a+b, c, c+d
    const __m256i low = _mm256_permute4x64_epi64(pairs, 0b01010101);     // a+b everywhere
    const __m256i sums = _mm256_add_epi64(pairs, _mm256_blend_epi32(zero, low, 0b11110000));
    Store(out + i, _mm256_add_epi64(sums, before));
    before = _mm256_add_epi64(before, _mm256_permute4x64_epi64(sums, 0b11111111));
  }
  start = static_cast<uint64_t>(_mm256_extract_epi64(before, 0));
  for (; i < n; ++i) {
    start += step + (kSigned ? static_cast<uint64_t>(UnZigZag(residuals[i])) : residuals[i]);
    out[i] = static_cast<int64_t>(start);
  }
}

BASALT_TARGET_AVX2 void Sum(const uint64_t* residuals, size_t n, uint64_t start, uint64_t step,
                            int64_t* out) {
  SumBlocks<false>(residuals, n, start, step, out);
}
BASALT_TARGET_AVX2 void SumSigned(const uint64_t* residuals, size_t n, uint64_t start,
                                  uint64_t step, int64_t* out) {
  SumBlocks<true>(residuals, n, start, step, out);
}

// An integer below 2^51 in magnitude is the low bits of a double in whose last place is 1: added to
// 1.5 * 2^52 as integers, taken off again as doubles. AVX2 has no conversion of its own.
constexpr double kMagic = 0x1.8p52;

BASALT_TARGET_AVX2 void ToDoubles(const int64_t* integers, size_t n, double divisor, double* out) {
  const __m256d magic = _mm256_set1_pd(kMagic);
  const __m256i bias = _mm256_set1_epi64x(int64_t{1} << 51);
  const __m256d divisors = _mm256_set1_pd(divisor);
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    const __m256i v = Load(integers + i);
    // Within range exactly if v + 2^51 has no bit from 2^52 on.
    const __m256i outside = _mm256_srli_epi64(_mm256_add_epi64(v, bias), 52);
    if (_mm256_testz_si256(outside, outside) == 0) {
      kPlainKernels.to_doubles(integers + i, kWide, divisor, out + i);
      continue;
    }
    const __m256d d =
        _mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(v, _mm256_castpd_si256(magic))), magic);
    _mm256_storeu_pd(out + i, divisor == 1 ? d : _mm256_div_pd(d, divisors));
  }
  kPlainKernels.to_doubles(integers + i, n - i, divisor, out + i);
}

BASALT_TARGET_AVX2 bool ToIntegers(const double* values, size_t n, int64_t* out) {
  const __m256d magic = _mm256_set1_pd(kMagic);
  const __m256d limit = _mm256_set1_pd(0x1p51);
  const __m256d no_sign = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    const __m256d v = _mm256_loadu_pd(values + i);
    const __m256d small = _mm256_cmp_pd(_mm256_and_pd(v, no_sign), limit, _CMP_LT_OQ);
    const __m256d moved = _mm256_add_pd(v, magic);
    // Back again, bit for bit: that refuses fractions and -0.
    const __m256i same = _mm256_cmpeq_epi64(_mm256_castpd_si256(_mm256_sub_pd(moved, magic)),
                                            _mm256_castpd_si256(v));
    if (_mm256_movemask_pd(_mm256_and_pd(small, _mm256_castsi256_pd(same))) != 0b1111) return false;
    Store(out + i, _mm256_sub_epi64(_mm256_castpd_si256(moved), _mm256_castpd_si256(magic)));
  }
  return kPlainKernels.to_integers(values + i, n - i, out + i);
}

BASALT_TARGET_AVX2 size_t CountChanges(const double* values, size_t n) {
  if (n < 2) return 0;
  __m256i equal = _mm256_setzero_si256();  // less the number of equal pairs, in each place
  size_t i = 1;
  for (; i + kWide <= n; i += kWide)
    equal = _mm256_add_epi64(equal, _mm256_cmpeq_epi64(Load(values + i), Load(values + i - 1)));
  const int64_t less = _mm256_extract_epi64(equal, 0) + _mm256_extract_epi64(equal, 1) +
                       _mm256_extract_epi64(equal, 2) + _mm256_extract_epi64(equal, 3);
  return static_cast<size_t>(static_cast<int64_t>(i - 1) + less) +
         kPlainKernels.count_changes(values + i - 1, n - i + 1);
}

// AVX2 compares 64-bit integers, and has neither their minimum nor an arithmetic shift.
BASALT_TARGET_AVX2 inline __m256i Least(__m256i a, __m256i b) {
  return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}
BASALT_TARGET_AVX2 inline __m256i Most(__m256i a, __m256i b) {
  return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

BASALT_TARGET_AVX2 void Survey(const int64_t* values, size_t n, int64_t* steps, StepSurvey* out) {
  __m256i low = _mm256_set1_epi64x(values[0]);
  __m256i high = low;
  __m256i smallest = _mm256_set1_epi64x(INT64_MAX);
  size_t i = 1;
  for (; i + kWide <= n; i += kWide) {
    const __m256i v = Load(values + i);
    const __m256i step = _mm256_sub_epi64(v, Load(values + i - 1));
    Store(steps + i, step);
    low = Least(low, v);
    high = Most(high, v);
    smallest = Least(smallest, step);
  }
  int64_t lanes[3][kWide];
  Store(lanes[0], low);
  Store(lanes[1], high);
  Store(lanes[2], smallest);
  // What is left over, with the value before it; with none left, that value alone.
  int64_t rest[kWide];
  StepSurvey s{.low = values[0], .high = values[0], .smallest = INT64_MAX};
  if (i < n) {
    kPlainKernels.survey(values + i - 1, n - i + 1, rest, &s);
    std::copy_n(rest + 1, n - i, steps + i);
  }
  for (size_t k = 0; k < kWide; ++k) {
    s.low = std::min(s.low, lanes[0][k]);
    s.high = std::max(s.high, lanes[1][k]);
    s.smallest = std::min(s.smallest, lanes[2][k]);
  }
  steps[0] = 0;
  *out = s;
}

BASALT_TARGET_AVX2 void ZigZagAll(const int64_t* integers, size_t n, uint64_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    const __m256i v = Load(integers + i);
    Store(out + i, _mm256_xor_si256(_mm256_add_epi64(v, v), _mm256_cmpgt_epi64(zero, v)));
  }
  for (; i < n; ++i) out[i] = ZigZag(integers[i]);
}

BASALT_TARGET_AVX2 uint64_t Nonzero(const uint64_t* values, size_t n, uint64_t* all) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i any = zero;
  uint64_t bits = 0;
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    const __m256i v = Load(values + i);
    any = _mm256_or_si256(any, v);
    const auto zeros =
        static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(v, zero))));
    bits |= static_cast<uint64_t>(~zeros & 0b1111U) << i;
  }
  const __m128i half = _mm_or_si128(_mm256_castsi256_si128(any), _mm256_extracti128_si256(any, 1));
  *all = static_cast<uint64_t>(_mm_cvtsi128_si64(half) | _mm_extract_epi64(half, 1));
  for (; i < n; ++i) {
    *all |= values[i];
    bits |= uint64_t{values[i] != 0} << i;
  }
  return bits;
}

// A pair of tokens by a pair of prices is one instruction, and gives one sum a table.
BASALT_TARGET_AVX2 size_t Price(const uint16_t* counts, size_t pairs, const int16_t* prices,
                                uint32_t* costs) {
  constexpr size_t kSums = 8;  // in a register
  constexpr size_t kRegisters = kPricedTables / kSums;
  __m256i sums[kRegisters];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (size_t p = 0; p < pairs; ++p, counts += 2, prices += 2 * kPricedTables) {
    uint32_t pair = 0;
    std::memcpy(&pair, counts, sizeof pair);
    if (pair == 0) continue;
    const __m256i both = _mm256_set1_epi32(static_cast<int32_t>(pair));
    for (size_t r = 0; r < kRegisters; ++r) {
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(Load(prices + r * 2 * kSums), both));
    }
  }
  // A sum and its table's number behind it: the least of them is the first of the least sums.
  const __m256i dearest = _mm256_set1_epi32((1 << 26) - 1);
  __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i least = _mm256_set1_epi32(-1);
  for (size_t r = 0; r < kRegisters; ++r) {
    Store(costs + r * kSums, sums[r]);
    const __m256i sum = _mm256_slli_epi32(_mm256_min_epu32(sums[r], dearest), 6);
    least = _mm256_min_epu32(least, _mm256_or_si256(sum, numbers));
    numbers = _mm256_add_epi32(numbers, _mm256_set1_epi32(kSums));
  }
  __m128i half = _mm_min_epu32(_mm256_castsi256_si128(least), _mm256_extracti128_si256(least, 1));
  half = _mm_min_epu32(half, _mm_shuffle_epi32(half, 0b01001110));
  half = _mm_min_epu32(half, _mm_shuffle_epi32(half, 0b10110001));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(half)) % kPricedTables;
}

BASALT_TARGET_AVX2 inline double Lane(__m256d v, int i) {
  double lanes[kWide];
  _mm256_storeu_pd(lanes, v);
  return lanes[i];
}

// Sums in four lanes: the order of adding does not matter where the caller looks at them.
BASALT_TARGET_AVX2 bool Summarize(const double* values, size_t n, IntegerSummary* out) {
  if (n < 2 * kWide) return kPlainKernels.summarize(values, n, out);
  const __m256d magic = _mm256_set1_pd(kMagic);
  const __m256d limit = _mm256_set1_pd(0x1p51);
  const __m256d no_sign = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
  __m256d low = _mm256_loadu_pd(values);
  __m256d high = low;
  __m256d sum = _mm256_setzero_pd();
  __m256d magnitude = sum;
  __m256i falls = _mm256_setzero_si256();  // less their number, in each place
  size_t i = 0;
  for (; i + kWide <= n; i += kWide) {
    const __m256d v = _mm256_loadu_pd(values + i);
    const __m256d size = _mm256_and_pd(v, no_sign);
    const __m256d back = _mm256_sub_pd(_mm256_add_pd(v, magic), magic);
    const __m256i same = _mm256_cmpeq_epi64(_mm256_castpd_si256(back), _mm256_castpd_si256(v));
    const __m256d fits =
        _mm256_and_pd(_mm256_cmp_pd(size, limit, _CMP_LT_OQ), _mm256_castsi256_pd(same));
    if (_mm256_movemask_pd(fits) != 0b1111) return false;
    low = _mm256_min_pd(low, v);
    high = _mm256_max_pd(high, v);
    sum = _mm256_add_pd(sum, v);
    magnitude = _mm256_add_pd(magnitude, size);
    if (i == 0) continue;
    falls = _mm256_add_epi64(
        falls, _mm256_castpd_si256(_mm256_cmp_pd(v, _mm256_loadu_pd(values + i - 1), _CMP_LT_OQ)));
  }
  IntegerSummary first;
  IntegerSummary rest;
  // The first four's steps, and what is left over with the step that leads to it.
  if (!kPlainKernels.summarize(values, kWide, &first)) return false;
  if (i < n && !kPlainKernels.summarize(values + i, n - i, &rest)) return false;
  *out = {.min = Lane(low, 0), .max = Lane(high, 0)};
  for (int k = 0; k < static_cast<int>(kWide); ++k) {
    out->min = std::min(out->min, Lane(low, k));
    out->max = std::max(out->max, Lane(high, k));
    out->sum += Lane(sum, k);
    out->magnitude += Lane(magnitude, k);
  }
  const int64_t less = _mm256_extract_epi64(falls, 0) + _mm256_extract_epi64(falls, 1) +
                       _mm256_extract_epi64(falls, 2) + _mm256_extract_epi64(falls, 3);
  out->falls = first.falls + static_cast<size_t>(-less);
  if (i == n) return true;
  out->min = std::min(out->min, rest.min);
  out->max = std::max(out->max, rest.max);
  out->sum += rest.sum;
  out->magnitude += rest.magnitude;
  out->falls += rest.falls + (values[i] < values[i - 1] ? 1 : 0);
  return true;
}

constexpr Kernels kAvx2Kernels = {"avx2", Sum,       SumSigned, ToDoubles, ToIntegers, CountChanges,
                                  Survey, ZigZagAll, Nonzero,   Price,     Summarize};

}  // namespace

const Kernels* Avx2Kernels() {
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                   __builtin_cpu_supports("bmi2");
  return has ? &kAvx2Kernels : nullptr;
}

}  // namespace basalt::storage
#else
namespace basalt::storage {
const Kernels* Avx2Kernels() { return nullptr; }
}  // namespace basalt::storage
#endif
