// tests/query/exec/engine_fixture.h -- runs queries over series that a test wrote down, and shows
// results as text.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "query/engine.h"
#include "query/number_format.h"
#include "tests/support/memory_reader.h"

namespace basalt::query {

// One line an element, sorted unless `ordered`: "up{job="a"} 1", for ranges "up{job="a"} 1@0 2@15".
inline std::string Show(const Value& value, bool ordered = false) {
  std::vector<std::string> lines;
  const auto number = [](double v, const HistogramPtr& h) {
    return h == nullptr ? FormatShort(v) : ToString(*h);
  };
  if (const auto* s = std::get_if<Scalar>(&value))
    lines.push_back("scalar " + FormatShort(s->value));
  if (const auto* s = std::get_if<String>(&value)) lines.push_back("string " + s->value);
  if (const auto* v = std::get_if<Vector>(&value)) {
    for (const Sample& s : *v)
      lines.push_back(s.labels.ToString() + " " + number(s.value, s.histogram));
  }
  if (const auto* m = std::get_if<Matrix>(&value)) {
    for (const Series& s : *m) {
      std::string line = s.labels.ToString();
      for (const FloatPoint& p : s.floats) {
        line +=
            " " + FormatShort(p.value) + "@" + FormatShort(static_cast<double>(p.time_ms) / 1000);
      }
      for (const HistogramPoint& p : s.histograms) {
        line +=
            " " + ToString(*p.histogram) + "@" + FormatShort(static_cast<double>(p.time_ms) / 1000);
      }
      lines.push_back(std::move(line));
    }
  }
  if (!ordered) std::sort(lines.begin(), lines.end());
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "\n") + line;
  return out;
}

// The status in place of the value if there is none.
inline std::string Show(const Result<QueryResult>& result, bool ordered = false) {
  return result.ok() ? Show(result->value, ordered) : result.status().ToString();
}

inline Result<QueryResult> InstantAt(const testing::MemoryReader& reader, std::string_view query,
                                     int64_t seconds, const EngineOptions& options = {},
                                     const QueryOptions& query_options = {}) {
  const auto snapshot = *reader.TakeSnapshot();
  return Engine(options).Instant(*snapshot, kDefaultTenant, query, FromMs(seconds * kMsPerSecond),
                                 query_options);
}

inline Result<QueryResult> RangeOver(const testing::MemoryReader& reader, std::string_view query,
                                     int64_t start, int64_t end, int64_t step,
                                     const EngineOptions& options = {},
                                     const QueryOptions& query_options = {}) {
  const auto snapshot = *reader.TakeSnapshot();
  return Engine(options).Range(*snapshot, kDefaultTenant, query, FromMs(start * kMsPerSecond),
                               FromMs(end * kMsPerSecond), Duration(step * kMsPerSecond),
                               query_options);
}

}  // namespace basalt::query
