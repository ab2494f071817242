// query/number_format.h -- doubles as text, the ways that PromQL's results and messages spell them.
#pragma once

#include <string>

namespace basalt::query {

// The shortest digits that read back as the same double, without an exponent: "0.1", "1000000",
// "+Inf", "-Inf", "NaN". What results of the HTTP API and count_values use.
std::string FormatDecimal(double value);

// The same digits, with an exponent below 1e-4 and from 1e+06 on: "1.5e+06", "123456.5", "1e-05".
// What messages and histograms use (Go's %g).
std::string FormatShort(double value);

}  // namespace basalt::query
