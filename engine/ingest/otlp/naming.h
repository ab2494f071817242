// engine/ingest/otlp/naming.h -- OpenTelemetry's names as Prometheus names.
//
// Rules: the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", as the
// Prometheus OTLP receiver applies them. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::ingest::otlp {

// `otlp.translation_strategy`; the words are those of Prometheus' configuration.
enum class Translation : uint8_t {
  kUnderscoreEscapingWithSuffixes,
  kUnderscoreEscapingWithoutSuffixes,
  kNoUtf8EscapingWithSuffixes,
  kNoTranslation,
};
std::string_view TranslationName(Translation translation);
// kInvalidArgument listing the names there are.
Result<Translation> ParseTranslation(std::string_view name);

inline bool AddsSuffixes(Translation t) {
  return t == Translation::kUnderscoreEscapingWithSuffixes ||
         t == Translation::kNoUtf8EscapingWithSuffixes;
}
inline bool Escapes(Translation t) {
  return t == Translation::kUnderscoreEscapingWithSuffixes ||
         t == Translation::kUnderscoreEscapingWithoutSuffixes;
}

// What a name's suffix depends on.
enum class NameRole : uint8_t { kGauge, kMonotonicCounter, kOther };

// "http.server.duration", "s" -> "http_server_duration_seconds". kInvalidArgument if nothing but
// underscores is left.
Result<std::string> MetricName(Translation translation, std::string_view name,
                               std::string_view unit, NameRole role);

struct LabelNaming {
  bool escape = true;
  bool keep_underscore_runs = false;       // otlp.label_name_preserve_multiple_underscores
  bool prefix_leading_underscore = false;  // otlp.label_name_underscore_sanitization
};
// "service.name" -> "service_name"; "1st" -> "key_1st". kInvalidArgument as above.
Result<std::string> LabelName(const LabelNaming& naming, std::string_view name);

// "By/s" -> "bytes_per_second": the unit that metadata tells.
std::string UnitName(std::string_view unit);

}  // namespace basalt::ingest::otlp
