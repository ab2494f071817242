// engine/ingest/otlp/points.h -- a metrics request as a walk over its parts, whatever its encoding:
// a decoder (protobuf_decoder.h, json_decoder.h) calls, a Visitor is called.
//
// Names follow opentelemetry/proto/metrics/v1/metrics.proto. All texts and lists are borrowed for
// the call. Times are nanoseconds since 1970; 0 says that none was sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace basalt::ingest::otlp {

// Values that are no strings come as text, as the compatibility rules prescribe (any_value.h).
struct Attribute {
  std::string_view key;
  std::string_view value;
};
using Attributes = std::vector<Attribute>;

struct Scope {
  std::string_view name;
  std::string_view version;
  std::string_view schema_url;
  Attributes attributes;
};

enum class MetricKind : uint8_t { kGauge, kSum, kHistogram, kExponentialHistogram, kSummary };
enum class Temporality : uint8_t { kUnspecified = 0, kDelta = 1, kCumulative = 2 };

struct MetricHeader {
  std::string_view name;
  std::string_view description;
  std::string_view unit;
  MetricKind kind = MetricKind::kGauge;
  Temporality temporality = Temporality::kUnspecified;
  bool is_monotonic = false;
};

struct Exemplar {
  uint64_t time_ns = 0;
  std::optional<double> value;
  std::string_view trace_id;  // hex, empty if absent
  std::string_view span_id;
  Attributes attributes;  // filtered_attributes
};

struct Buckets {
  int32_t offset = 0;
  std::vector<uint64_t> counts;
};

struct Quantile {
  double quantile = 0;
  double value = 0;
};

// A data point of any kind; which fields mean something follows from the metric's kind.
struct Point {
  uint64_t start_ns = 0;
  uint64_t time_ns = 0;
  uint32_t flags = 0;
  Attributes attributes;
  std::vector<Exemplar> exemplars;
  std::optional<double> value;  // gauges and sums
  uint64_t count = 0;           // all others
  std::optional<double> sum;
  std::vector<uint64_t> bucket_counts;  // histograms: not cumulative
  std::vector<double> explicit_bounds;
  int32_t scale = 0;  // exponential histograms
  uint64_t zero_count = 0;
  double zero_threshold = 0;
  Buckets positive;
  Buckets negative;
  std::vector<Quantile> quantiles;  // summaries

  [[nodiscard]] bool has_no_recorded_value() const { return (flags & 1U) != 0; }
};

// Called in the order resource, its scopes, their metrics, their points.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void BeginResource(const Attributes& attributes) = 0;
  virtual void EndResource() = 0;
  virtual void BeginScope(const Scope& scope) = 0;
  virtual void BeginMetric(const MetricHeader& metric) = 0;
  // A metric whose data is of a kind that is not known here, with no data, or that ends early.
  virtual void SkipMetric(std::string_view name) = 0;
  virtual void AddPoint(const Point& point) = 0;
};

}  // namespace basalt::ingest::otlp
