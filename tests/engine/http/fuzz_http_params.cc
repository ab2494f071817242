// Any bytes as query string, path, time, duration, label name: no crash, results inside their
// bounds, and error texts that fit in JSON.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/http/api/params.h"
#include "engine/http/json_writer.h"
#include "engine/http/router.h"
#include "engine/http/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::http;  // NOLINT(google-build-using-namespace): a fuzz target
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  std::string json;
  JsonWriter(json).String(text);
  BASALT_CHECK(basalt::IsValidUtf8(json), "JSON is UTF-8");

  Form form;
  const basalt::Status parsed = form.Parse(text);
  JsonWriter(json).String(parsed.message());
  static_cast<void>(form.All("match[]"));
  if (const auto path = DecodePath(text)) BASALT_CHECK(DecodePath(EncodeComponent(*path)) == path);

  if (const auto time = api::ParseTime(text); time.ok()) {
    BASALT_CHECK(*time >= api::kMinTime && *time <= api::kMaxTime, "times are clamped");
  }
  static_cast<void>(api::ParseDurationParam(text));
  static_cast<void>(api::ParseLimit(text));
  static_cast<void>(api::ParseTenant(text));
  static_cast<void>(api::ParseLogPosition(text));
  static_cast<void>(api::UnescapeLabelName(text));

  static const Router router = [] {
    Router made;
    made.Add(Method::kGet, "/label/{name}/values", {.handler = [](Request, ResponseWriter) {}});
    made.Add(Method::kGet, "/static/*", {.handler = [](Request, ResponseWriter) {}});
    return made;
  }();
  static_cast<void>(router.Find(Method::kGet, text));
  return 0;
}
