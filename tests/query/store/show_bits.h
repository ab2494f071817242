// tests/query/store/show_bits.h -- results as text that differs if any bit of a value does.
#pragma once

#include <bit>
#include <cmath>
#include <string>

#include "query/engine.h"

namespace basalt::query {

// "NaN" for any of them: which one an operation gives is the processor's business.
inline std::string Bits(double v) {
  return std::isnan(v) ? "NaN" : std::to_string(std::bit_cast<uint64_t>(v));
}
inline std::string PointBits(double v, const HistogramPtr& h) {
  return h == nullptr ? Bits(v) : ToString(*h) + Bits(h->sum) + Bits(h->count);
}

// A line an element in the order of the result, then warnings and infos; the status of an error.
inline std::string ShowBits(const Result<QueryResult>& result) {
  if (!result.ok()) return result.status().ToString();
  std::string out;
  const auto line = [&out](const std::string& text) { out += text + "\n"; };
  if (const auto* s = std::get_if<Scalar>(&result->value)) line("scalar " + Bits(s->value));
  if (const auto* s = std::get_if<String>(&result->value)) line("string " + s->value);
  if (const auto* v = std::get_if<query::Vector>(&result->value)) {
    for (const Sample& s : *v) line(s.labels.ToString() + " " + PointBits(s.value, s.histogram));
  }
  if (const auto* m = std::get_if<Matrix>(&result->value)) {
    for (const Series& s : *m) {
      std::string text = s.labels.ToString();
      for (const FloatPoint& p : s.floats)
        text += " " + Bits(p.value) + "@" + std::to_string(p.time_ms);
      for (const HistogramPoint& p : s.histograms)
        text += " " + PointBits(0, p.histogram) + "@" + std::to_string(p.time_ms);
      line(text);
    }
  }
  for (const std::string& text : result->warnings) line("warning: " + text);
  for (const std::string& text : result->infos) line("info: " + text);
  return out;
}

}  // namespace basalt::query
