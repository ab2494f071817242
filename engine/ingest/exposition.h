// engine/ingest/exposition.h -- Prometheus' text format and OpenMetrics, with timestamps, into
// batches: what exporters show and backfills are made of.
//
// Sources: "Exposition formats" of Prometheus' documentation (0.0.4, quoted UTF-8 names of 1.0.0
// included), OpenMetrics 1.0.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

enum class Exposition : uint8_t {
  kPrometheus,   // timestamps are milliseconds
  kOpenMetrics,  // timestamps are seconds, samples may carry exemplars, "# EOF" ends it
};

// One thread; reused.
class ExpositionDecoder {
 public:
  explicit ExpositionDecoder(const Limits& limits) : limits_(limits) {}

  // A line that is wrong is refused by its number, all others are taken; so this cannot fail.
  // Samples without a timestamp are of `now`. `first_line`: the number of the first line, for
  // callers that send a file in pieces (of whole lines).
  void Decode(std::string_view text, Exposition format, Timestamp now, uint64_t first_line,
              storage::BatchBuilder& builder, Report& report);

 private:
  class Line;

  Limits limits_;
  std::vector<LabelView> labels_;
  // Unescaped values, one after the other; reserved before views into it are made.
  std::string unescaped_;
};

}  // namespace basalt::ingest
