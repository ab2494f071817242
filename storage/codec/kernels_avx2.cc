#include <bit>
#include <cmath>

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

constexpr Kernels kAvx2Kernels = {"avx2", Sum, SumSigned, ToDoubles, ToIntegers, CountChanges};

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
