// Any bytes as a decompressed io.prometheus.write.v2.Request: no crash, and what is refused as
// malformed is refused whole.
#include <cstdint>

#include "engine/ingest/remote_write2.h"
#include "tests/engine/ingest/decoder_world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;  // NOLINT(google-build-using-namespace): a fuzz target
  static ingest::DecoderWorld world;
  static ingest::RemoteWrite2Decoder decoder{ingest::Limits()};
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
