// Any bytes as lines of either format: no crash, and every sample that was counted is in a batch.
#include <cstdint>

#include "engine/ingest/exposition.h"
#include "engine/ingest/json_lines.h"
#include "tests/engine/ingest/decoder_world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;          // NOLINT(google-build-using-namespace): a fuzz target
  using namespace basalt::ingest;  // NOLINT(google-build-using-namespace)
  static DecoderWorld world;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  constexpr Timestamp kNow = FromMs(1'700'000'000'000);
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  Report report;
  if (bytes.starts_with('{') && !bytes.starts_with("{\"\"")) {
    JsonLinesDecoder{Limits()}.Decode(bytes, kNow, 1, builder, report);
  }
  for (const Exposition format : {Exposition::kPrometheus, Exposition::kOpenMetrics})
    ExpositionDecoder{Limits()}.Decode(bytes, format, kNow, 1, builder, report);
  const auto rows = world.Apply(builder.Finish());
  BASALT_CHECK(rows.size() == report.samples, "every accepted sample is in a batch");
  return 0;
}
