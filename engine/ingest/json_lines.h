// engine/ingest/json_lines.h -- one JSON object a line, one series an object, into batches:
//
//   {"metric":{"__name__":"up","job":"x"},"values":[1,0.5,"NaN"],"timestamps":[1700000000000,...]}
//
// The form in which VictoriaMetrics exports and imports; timestamps are milliseconds. Values that
// JSON has no numbers for are strings: "NaN", "Infinity" or "+Inf", "-Infinity" or "-Inf", and
// "stale" for the stale marker; null is NaN.
#pragma once

#include <memory>
#include <string_view>

#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// One thread; reused.
class JsonLinesDecoder {
 public:
  explicit JsonLinesDecoder(const Limits& limits);
  ~JsonLinesDecoder();
  JsonLinesDecoder(JsonLinesDecoder&&) noexcept;
  JsonLinesDecoder& operator=(JsonLinesDecoder&&) noexcept;

  // A line that is wrong is refused by its number, all others are taken; so this cannot fail.
  // `first_line`: the number of the first line, for callers that send a file in pieces.
  void Decode(std::string_view text, Timestamp now, uint64_t first_line,
              storage::BatchBuilder& builder, Report& report);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::ingest
