#include "engine/ingest/otlp/json_decoder.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "engine/ingest/otlp/any_value.h"

namespace basalt::ingest::otlp {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

// Ends the walk; caught in Decode.
struct BadField : std::exception {
  explicit BadField(std::string text) : message(std::move(text)) {}
  [[nodiscard]] const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

// A field's two spellings: lowerCamelCase, and the .proto's.
struct Key {
  std::string_view camel;
  std::string_view proto;
};

[[noreturn]] void Wrong(const Key& key, std::string_view wanted) {
  throw BadField(std::string(key.camel) + ": needs " + std::string(wanted));
}

// Absent and null are the same.
std::optional<element> Find(const object& in, const Key& key) {
  for (const std::string_view name : {key.camel, key.proto}) {
    element found;
    if (in.at_key(name).get(found) == simdjson::SUCCESS && !found.is_null()) return found;
  }
  return std::nullopt;
}

std::optional<object> FindObject(const object& in, const Key& key) {
  const std::optional<element> found = Find(in, key);
  if (!found) return std::nullopt;
  object out;
  if (found->get(out) != simdjson::SUCCESS) Wrong(key, "an object");
  return out;
}

// Calls `visit` with each object of the list.
template <typename Visit>
void ForEach(const object& in, const Key& key, Visit visit) {
  const std::optional<element> found = Find(in, key);
  if (!found) return;
  array list;
  if (found->get(list) != simdjson::SUCCESS) Wrong(key, "a list");
  for (const element item : list) {
    object out;
    if (item.get(out) != simdjson::SUCCESS) Wrong(key, "a list of objects");
    visit(out);
  }
}

std::string_view Text(const object& in, const Key& key) {
  const std::optional<element> found = Find(in, key);
  std::string_view text;
  if (found && found->get(text) != simdjson::SUCCESS) Wrong(key, "a string");
  return text;
}

// 64-bit numbers come as strings, to pass through JavaScript unharmed; plain ones are taken, too.
template <typename T>
T WholeOf(const element& value, const Key& key) {
  if constexpr (std::is_signed_v<T>) {
    int64_t number = 0;
    if (value.get(number) == simdjson::SUCCESS && number >= std::numeric_limits<T>::min() &&
        number <= std::numeric_limits<T>::max()) {
      return static_cast<T>(number);
    }
  } else {
    uint64_t number = 0;
    if (value.get(number) == simdjson::SUCCESS && number <= std::numeric_limits<T>::max())
      return static_cast<T>(number);
  }
  std::string_view text;
  T parsed{};
  if (value.get(text) == simdjson::SUCCESS) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (error == std::errc() && end == text.data() + text.size()) return parsed;
  }
  Wrong(key, "a whole number");
}

template <typename T>
T Whole(const object& in, const Key& key) {
  const std::optional<element> found = Find(in, key);
  return found ? WholeOf<T>(*found, key) : T{};
}

double NumberOf(const element& value, const Key& key) {
  double number = 0;
  if (value.get(number) == simdjson::SUCCESS) return number;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
  }
  Wrong(key, "a number");
}

std::optional<double> Number(const object& in, const Key& key) {
  const std::optional<element> found = Find(in, key);
  if (!found) return std::nullopt;
  return NumberOf(*found, key);
}

bool Flag(const object& in, const Key& key) {
  const std::optional<element> found = Find(in, key);
  bool flag = false;
  if (found && found->get(flag) != simdjson::SUCCESS) Wrong(key, "true or false");
  return flag;
}

template <typename T>
std::vector<T> WholeList(const object& in, const Key& key) {
  std::vector<T> out;
  const std::optional<element> found = Find(in, key);
  if (!found) return out;
  array list;
  if (found->get(list) != simdjson::SUCCESS) Wrong(key, "a list");
  for (const element item : list) out.push_back(WholeOf<T>(item, key));
  return out;
}

std::vector<double> NumberList(const object& in, const Key& key) {
  std::vector<double> out;
  const std::optional<element> found = Find(in, key);
  if (!found) return out;
  array list;
  if (found->get(list) != simdjson::SUCCESS) Wrong(key, "a list");
  for (const element item : list) out.push_back(NumberOf(item, key));
  return out;
}

AnyValue ReadValue(const object& in, int depth) {
  if (depth > kMaxValueDepth) throw BadField("attributes: lists nested too deep");
  AnyValue value;
  if (Find(in, {"stringValue", "string_value"})) {
    value.kind = AnyValue::Kind::kString;
    value.text = Text(in, {"stringValue", "string_value"});
  } else if (Find(in, {"boolValue", "bool_value"})) {
    value.kind = AnyValue::Kind::kBool;
    value.flag = Flag(in, {"boolValue", "bool_value"});
  } else if (Find(in, {"intValue", "int_value"})) {
    value.kind = AnyValue::Kind::kInt;
    value.integer = Whole<int64_t>(in, {"intValue", "int_value"});
  } else if (const auto number = Number(in, {"doubleValue", "double_value"})) {
    value.kind = AnyValue::Kind::kDouble;
    value.number = *number;
  } else if (Find(in, {"bytesValue", "bytes_value"})) {
    // Base64 already, which is how it is shown.
    value.kind = AnyValue::Kind::kString;
    value.text = Text(in, {"bytesValue", "bytes_value"});
  } else if (const auto list = FindObject(in, {"arrayValue", "array_value"})) {
    value.kind = AnyValue::Kind::kList;
    ForEach(*list, {"values", "values"},
            [&](const object& item) { value.list.push_back(ReadValue(item, depth + 1)); });
  } else if (const auto map = FindObject(in, {"kvlistValue", "kvlist_value"})) {
    value.kind = AnyValue::Kind::kMap;
    ForEach(*map, {"values", "values"}, [&](const object& item) {
      const auto inner = FindObject(item, {"value", "value"});
      value.map.push_back(
          {Text(item, {"key", "key"}), inner ? ReadValue(*inner, depth + 1) : AnyValue()});
    });
  }
  return value;
}

Temporality TemporalityOf(const object& in) {
  constexpr Key kKey = {"aggregationTemporality", "aggregation_temporality"};
  const std::optional<element> found = Find(in, kKey);
  if (!found) return Temporality::kUnspecified;
  std::string_view name;
  if (found->get(name) == simdjson::SUCCESS) {
    if (name == "AGGREGATION_TEMPORALITY_DELTA") return Temporality::kDelta;
    if (name == "AGGREGATION_TEMPORALITY_CUMULATIVE") return Temporality::kCumulative;
  }
  switch (name.starts_with('A') ? 0 : WholeOf<int32_t>(*found, kKey)) {
    case 1:
      return Temporality::kDelta;
    case 2:
      return Temporality::kCumulative;
    default:
      return Temporality::kUnspecified;
  }
}

Buckets BucketsOf(const object& in, const Key& key) {
  const std::optional<object> buckets = FindObject(in, key);
  if (!buckets) return {};
  return {Whole<int32_t>(*buckets, {"offset", "offset"}),
          WholeList<uint64_t>(*buckets, {"bucketCounts", "bucket_counts"})};
}

struct DataField {
  Key key;
  MetricKind kind;
};
constexpr std::array<DataField, 5> kDataFields = {
    {{{"gauge", "gauge"}, MetricKind::kGauge},
     {{"sum", "sum"}, MetricKind::kSum},
     {{"histogram", "histogram"}, MetricKind::kHistogram},
     {{"exponentialHistogram", "exponential_histogram"}, MetricKind::kExponentialHistogram},
     {{"summary", "summary"}, MetricKind::kSummary}}};

}  // namespace

class JsonDecoder::Impl {
 public:
  Status Decode(std::string_view message, Visitor& visitor) {
    texts_.clear();
    metric_name_ = {};
    element root;
    if (const auto error = parser_.parse(message.data(), message.size()).get(root);
        error != simdjson::SUCCESS) {
      return InvalidArgument(std::string("OTLP metrics request: ") +
                             simdjson::error_message(error));
    }
    object request;
    if (root.get(request) != simdjson::SUCCESS)
      return InvalidArgument("OTLP metrics request: needs an object");
    try {
      ForEach(request, {"resourceMetrics", "resource_metrics"},
              [&](const object& resource) { Resource(resource, visitor); });
    } catch (const BadField& e) {
      std::string where = "OTLP metrics request: ";
      if (!metric_name_.empty()) where += "metric \"" + std::string(metric_name_) + "\": ";
      return InvalidArgument(where + e.what());
    }
    return OkStatus();
  }

 private:
  void Resource(const object& in, Visitor& visitor) {
    metric_name_ = {};
    Attributes attributes;
    if (const auto resource = FindObject(in, {"resource", "resource"}))
      attributes = ReadAttributes(*resource, {"attributes", "attributes"});
    visitor.BeginResource(attributes);
    ForEach(in, {"scopeMetrics", "scope_metrics"},
            [&](const object& scope) { ScopeMetrics(scope, visitor); });
    visitor.EndResource();
  }

  void ScopeMetrics(const object& in, Visitor& visitor) {
    Scope scope;
    scope.schema_url = Text(in, {"schemaUrl", "schema_url"});
    if (const auto inner = FindObject(in, {"scope", "scope"})) {
      scope.name = Text(*inner, {"name", "name"});
      scope.version = Text(*inner, {"version", "version"});
      scope.attributes = ReadAttributes(*inner, {"attributes", "attributes"});
    }
    visitor.BeginScope(scope);
    ForEach(in, {"metrics", "metrics"}, [&](const object& metric) { Metric(metric, visitor); });
  }

  void Metric(const object& in, Visitor& visitor) {
    MetricHeader header;
    header.name = Text(in, {"name", "name"});
    header.description = Text(in, {"description", "description"});
    header.unit = Text(in, {"unit", "unit"});
    metric_name_ = header.name;
    for (const DataField& field : kDataFields) {
      const std::optional<object> data = FindObject(in, field.key);
      if (!data) continue;
      header.kind = field.kind;
      header.temporality = TemporalityOf(*data);
      header.is_monotonic = Flag(*data, {"isMonotonic", "is_monotonic"});
      visitor.BeginMetric(header);
      ForEach(*data, {"dataPoints", "data_points"},
              [&](const object& point) { visitor.AddPoint(ReadPoint(point, field.kind)); });
      return;
    }
    visitor.SkipMetric(header.name);
  }

  Point ReadPoint(const object& in, MetricKind kind) {
    Point point;
    point.start_ns = Whole<uint64_t>(in, {"startTimeUnixNano", "start_time_unix_nano"});
    point.time_ns = Whole<uint64_t>(in, {"timeUnixNano", "time_unix_nano"});
    point.flags = Whole<uint32_t>(in, {"flags", "flags"});
    point.attributes = ReadAttributes(in, {"attributes", "attributes"});
    ForEach(in, {"exemplars", "exemplars"},
            [&](const object& exemplar) { point.exemplars.push_back(ReadExemplar(exemplar)); });
    if (kind == MetricKind::kGauge || kind == MetricKind::kSum) {
      point.value = ValueOf(in);
      return point;
    }
    point.count = Whole<uint64_t>(in, {"count", "count"});
    point.sum = Number(in, {"sum", "sum"});
    point.bucket_counts = kind == MetricKind::kHistogram
                              ? WholeList<uint64_t>(in, {"bucketCounts", "bucket_counts"})
                              : std::vector<uint64_t>();
    point.explicit_bounds = NumberList(in, {"explicitBounds", "explicit_bounds"});
    point.scale = Whole<int32_t>(in, {"scale", "scale"});
    point.zero_count = Whole<uint64_t>(in, {"zeroCount", "zero_count"});
    point.zero_threshold = Number(in, {"zeroThreshold", "zero_threshold"}).value_or(0);
    point.positive = BucketsOf(in, {"positive", "positive"});
    point.negative = BucketsOf(in, {"negative", "negative"});
    ForEach(in, {"quantileValues", "quantile_values"}, [&](const object& quantile) {
      point.quantiles.push_back({Number(quantile, {"quantile", "quantile"}).value_or(0),
                                 Number(quantile, {"value", "value"}).value_or(0)});
    });
    return point;
  }

  static std::optional<double> ValueOf(const object& in) {
    constexpr Key kInt = {"asInt", "as_int"};
    if (Find(in, kInt)) return static_cast<double>(Whole<int64_t>(in, kInt));
    return Number(in, {"asDouble", "as_double"});
  }

  Exemplar ReadExemplar(const object& in) {
    Exemplar exemplar;
    exemplar.time_ns = Whole<uint64_t>(in, {"timeUnixNano", "time_unix_nano"});
    exemplar.value = ValueOf(in);
    exemplar.trace_id = Text(in, {"traceId", "trace_id"});
    exemplar.span_id = Text(in, {"spanId", "span_id"});
    exemplar.attributes = ReadAttributes(in, {"filteredAttributes", "filtered_attributes"});
    return exemplar;
  }

  Attributes ReadAttributes(const object& in, const Key& key) {
    Attributes out;
    ForEach(in, key, [&](const object& item) {
      const auto inner = FindObject(item, {"value", "value"});
      const AnyValue value = inner ? ReadValue(*inner, 0) : AnyValue();
      std::string_view text = value.text;
      if (value.kind != AnyValue::Kind::kString) text = texts_.emplace_back(ToText(value));
      out.push_back({Text(item, {"key", "key"}), text});
    });
    return out;
  }

  simdjson::dom::parser parser_;
  std::deque<std::string> texts_;
  std::string_view metric_name_;
};

JsonDecoder::JsonDecoder() : impl_(std::make_unique<Impl>()) {}
JsonDecoder::~JsonDecoder() = default;
JsonDecoder::JsonDecoder(JsonDecoder&&) noexcept = default;
JsonDecoder& JsonDecoder::operator=(JsonDecoder&&) noexcept = default;

Status JsonDecoder::Decode(std::string_view message, Visitor& visitor) {
  return impl_->Decode(message, visitor);
}

}  // namespace basalt::ingest::otlp
