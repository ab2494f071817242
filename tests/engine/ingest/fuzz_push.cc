// Any bytes as a Push message: no crash, and what is refused as malformed is refused whole.
#include <cstdint>

#include "engine/ingest/push_decoder.h"
#include "tests/engine/ingest/decoder_world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;  // NOLINT(google-build-using-namespace): a fuzz target
  static ingest::DecoderWorld world;
  ingest::PushDecoder decoder{ingest::Limits()};
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  ingest::Report report;
  if (decoder
          .Decode({reinterpret_cast<const char*>(data), size}, FromMs(1'700'000'000'000), builder,
                  report)
          .ok()) {
    const auto rows = world.Apply(builder.Finish());
    BASALT_CHECK(rows.size() == report.samples, "every accepted sample is in a batch");
  }
  return 0;
}
