// Any bytes as an OTLP request in either encoding: no crash, and every sample that was counted is
// in a batch.
#include <cstdint>

#include "engine/ingest/otlp/json_decoder.h"
#include "engine/ingest/otlp/protobuf_decoder.h"
#include "engine/ingest/otlp/translator.h"
#include "tests/engine/ingest/decoder_world.h"

// The first byte chooses: '{' begins JSON, as it does in earnest, 'n' the same with the other
// settings; all else is protobuf.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;                // NOLINT(google-build-using-namespace): a fuzz target
  using namespace basalt::ingest;        // NOLINT(google-build-using-namespace)
  using namespace basalt::ingest::otlp;  // NOLINT(google-build-using-namespace)
  static DecoderWorld world;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Settings settings;
  if (bytes.starts_with('n')) {
    bytes.remove_prefix(1);
    settings.translation = Translation::kNoTranslation;
    settings.promote_all_resource_attributes = true;
    settings.promote_scope_metadata = true;
    settings.convert_histograms_to_nhcb = true;
  }
  Translator translator{Limits(), settings};
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  Report report;
  translator.BeginRequest(kDefaultTenant, FromMs(1'700'000'000'000), builder, builder, report);
  const Status status = bytes.starts_with('{') ? JsonDecoder().Decode(bytes, translator)
                                               : ProtobufDecoder().Decode(bytes, translator);
  if (status.ok()) {
    const auto rows = world.Apply(builder.Finish());
    BASALT_CHECK(rows.size() == report.samples, "every accepted sample is in a batch");
  }
  return 0;
}
