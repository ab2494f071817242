// engine/ingest/otlp/settings.h -- how OpenTelemetry's metrics become Prometheus series; the `otlp`
// section of the configuration. Keys and meanings are those of Prometheus' `otlp` section.
#pragma once

#include <string>
#include <vector>

#include "engine/base/time.h"
#include "engine/ingest/otlp/naming.h"

namespace basalt::ingest::otlp {

struct Settings {
  Translation translation = Translation::kUnderscoreEscapingWithSuffixes;
  std::vector<std::string> promote_resource_attributes;
  bool promote_all_resource_attributes = false;
  std::vector<std::string> ignore_resource_attributes;  // of "all"
  bool promote_scope_metadata = false;
  // service.name, service.namespace and service.instance.id become job and instance; true keeps
  // them in target_info as well.
  bool keep_identifying_resource_attributes = false;
  // Histograms with explicit bounds as native histograms with custom buckets, instead of _bucket,
  // _sum and _count series.
  bool convert_histograms_to_nhcb = false;
  // Deltas are stored as the totals that they are increases of (delta_totals.h), instead of as they
  // were sent.
  bool delta_to_cumulative = false;
  bool label_name_preserve_multiple_underscores = true;  // both as Prometheus has them by default
  bool label_name_underscore_sanitization = true;
  // target_info is written often enough for a query's lookback to find it.
  Duration lookback = std::chrono::minutes(5);
};

}  // namespace basalt::ingest::otlp
