// Any bytes as the journal of folded series: no crash; and what was read is written so that it reads
// the same again.
#include <cstdint>
#include <string_view>

#include "engine/ingest/fold_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::ingest;  // NOLINT(google-build-using-namespace): a fuzz target
  FoldTable table;
  if (!table.Apply({reinterpret_cast<const char*>(data), size}).ok()) return 0;
  std::string bytes;
  table.WriteAll(bytes);
  FoldTable again;
  BASALT_CHECK(again.Apply(bytes).ok(), "what was written reads");
  BASALT_CHECK(again.members() == table.members() && again.groups() == table.groups());
  return 0;
}
