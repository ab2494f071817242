// tests/storage/head/any_value.h -- sample values for the tests of the head.
#pragma once

#include <rapidcheck.h>

#include <bit>
#include <cstdint>

namespace basalt::testing {

inline uint64_t Bits(double v) { return std::bit_cast<uint64_t>(v); }

// Values of every shape a token has: repeats, small and large integers, any bits.
inline rc::Gen<double> AnyValue() {
  return rc::gen::oneOf(rc::gen::element(0.0, -0.0, 1.0, 1e300),
                        rc::gen::map(rc::gen::inRange<int64_t>(-100, 100),
                                     [](int64_t v) { return static_cast<double>(v); }),
                        rc::gen::map(rc::gen::arbitrary<int64_t>(),
                                     [](int64_t v) { return static_cast<double>(v >> 10); }),
                        rc::gen::map(rc::gen::arbitrary<uint64_t>(),
                                     [](uint64_t v) { return std::bit_cast<double>(v); }));
}

}  // namespace basalt::testing
