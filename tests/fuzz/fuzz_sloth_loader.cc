// Any bytes as an SLO file, and as the two queries of an SLI: every mistake is said, nothing
// crashes, and what is accepted can run.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/status.h"
#include "engine/slo/linear_sli.h"
#include "engine/slo/slo_files.h"

using namespace basalt::slo;  // NOLINT(google-build-using-namespace): one function, one namespace
                              // under test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const CheckedSlos checked = CheckSloText(text, "fuzz.yml");
  BASALT_CHECK(checked.ok() || !checked.problems.empty());
  for (const Problem& problem : checked.problems) BASALT_CHECK(!problem.message.empty());
  for (const Definition& slo : checked.definitions) {
    BASALT_CHECK(!slo.id.empty() && slo.layout != nullptr && !slo.sli.total.empty());
    BASALT_CHECK(slo.sli.scale >= 1);
  }
  const size_t half = size / 2;
  (void)CompileEventsSli(text.substr(0, half), text.substr(half));
  return 0;
}
