// Any bytes as a record of the alert log: an alert that encodes and decodes to itself, or an error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/notify/alert_log.h"

using namespace basalt::notify;  // NOLINT(google-build-using-namespace): one function, one
                                 // namespace under test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto alert = DecodeAlert({reinterpret_cast<const char*>(data), size});
  if (!alert.ok()) return 0;
  std::string again;
  EncodeAlert(*alert, again);
  const auto decoded = DecodeAlert(again);
  BASALT_CHECK(decoded.ok());
  std::string third;
  EncodeAlert(*decoded, third);
  BASALT_CHECK(again == third);
  return 0;
}
