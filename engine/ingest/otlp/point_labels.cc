#include "engine/ingest/otlp/point_labels.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace basalt::ingest::otlp {
namespace {

constexpr std::string_view kServiceName = "service.name";
constexpr std::string_view kServiceNamespace = "service.namespace";
constexpr std::string_view kServiceInstance = "service.instance.id";
constexpr std::string_view kScopePrefix = "otel_scope_";

bool IsIdentifying(std::string_view key) {
  return key == kServiceName || key == kServiceNamespace || key == kServiceInstance;
}

void AppendText(std::string_view text, std::string& out) {
  const auto size = static_cast<uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof(size));
  out += text;
}

void AppendHash(const Hash128& hash, std::string& out) {
  out.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
}

void AppendAttributes(const Attributes& attributes, std::string& out) {
  for (const Attribute& attribute : attributes) {
    AppendText(attribute.key, out);
    AppendText(attribute.value, out);
  }
}

bool Contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// The same attributes mean other labels under other settings.
Hash128 FingerprintOf(const Settings& settings) {
  std::string bytes = "otlp";
  AppendText(TranslationName(settings.translation), bytes);
  for (const bool flag :
       {settings.promote_all_resource_attributes, settings.promote_scope_metadata,
        settings.convert_histograms_to_nhcb, settings.label_name_preserve_multiple_underscores,
        settings.label_name_underscore_sanitization}) {
    bytes += flag ? '1' : '0';
  }
  for (const auto* list :
       {&settings.promote_resource_attributes, &settings.ignore_resource_attributes}) {
    for (const std::string& key : *list) AppendText(key, bytes);
    bytes += ';';
  }
  return HashBytes128(bytes);
}

}  // namespace

PointLabels::PointLabels(const Settings& settings)
    : settings_(settings),
      naming_{.escape = Escapes(settings.translation),
              .keep_underscore_runs = settings.label_name_preserve_multiple_underscores,
              .prefix_leading_underscore = settings.label_name_underscore_sanitization},
      settings_fingerprint_(FingerprintOf(settings)) {}

void PointLabels::SetResource(const Attributes& attributes) {
  resource_.clear();
  job_.clear();
  instance_.clear();
  std::string space;
  for (const Attribute& attribute : attributes) {
    resource_.push_back({std::string(attribute.key), std::string(attribute.value)});
    if (attribute.key == kServiceName) job_ = attribute.value;
    if (attribute.key == kServiceNamespace) space = attribute.value;
    if (attribute.key == kServiceInstance) instance_ = attribute.value;
  }
  if (!job_.empty() && !space.empty()) job_ = space + "/" + job_;
  promoted_ = Promoted();
  std::string bytes;
  AppendHash(settings_fingerprint_, bytes);
  AppendAttributes(attributes, bytes);
  resource_fingerprint_ = HashBytes128(bytes);
}

Result<Labels> PointLabels::Promoted() const {
  Labels out;
  for (const Label& attribute : resource_) {
    const bool wanted = settings_.promote_all_resource_attributes
                            ? !Contains(settings_.ignore_resource_attributes, attribute.name)
                            : Contains(settings_.promote_resource_attributes, attribute.name);
    if (!wanted) continue;
    BASALT_TRY_ASSIGN(const std::string name, Name(attribute.name));
    out.Set(name, attribute.value);
  }
  return out;
}

void PointLabels::SetScope(const Scope& scope) {
  std::string bytes;
  AppendHash(resource_fingerprint_, bytes);
  scope_ = Labels();
  if (settings_.promote_scope_metadata && !scope.name.empty()) {
    scope_ = ScopeLabels(scope);
    for (const std::string_view text : {scope.name, scope.version, scope.schema_url})
      AppendText(text, bytes);
    AppendAttributes(scope.attributes, bytes);
  }
  scope_fingerprint_ = HashBytes128(bytes);
}

Result<Labels> PointLabels::ScopeLabels(const Scope& scope) const {
  Labels out;
  for (const Attribute& attribute : scope.attributes) {
    BASALT_TRY_ASSIGN(const std::string name,
                      Name(std::string(kScopePrefix) + std::string(attribute.key)));
    out.Set(name, attribute.value);
  }
  out.Set("otel_scope_name", scope.name);
  out.Set("otel_scope_version", scope.version);
  out.Set("otel_scope_schema_url", scope.schema_url);
  return out;
}

void PointLabels::SetMetric(const MetricHeader& metric) {
  std::string bytes;
  AppendHash(scope_fingerprint_, bytes);
  AppendText(metric.name, bytes);
  AppendText(metric.unit, bytes);
  bytes += static_cast<char>(metric.kind);
  bytes += metric.is_monotonic ? '1' : '0';
  metric_fingerprint_ = HashBytes128(bytes);
}

void PointLabels::FingerprintBytes(const Attributes& attributes, std::string& out) const {
  out.clear();
  AppendHash(metric_fingerprint_, out);
  AppendAttributes(attributes, out);
}

Result<std::string> PointLabels::Name(std::string_view key) const {
  return LabelName(naming_, key);
}

// By rising key, so that values of keys that become one name are joined in an order that does not
// depend on the sender's.
Result<Labels> PointLabels::Sanitize(std::vector<Attribute> attributes) const {
  std::stable_sort(attributes.begin(), attributes.end(),
                   [](const Attribute& a, const Attribute& b) { return a.key < b.key; });
  Labels out;
  for (const Attribute& attribute : attributes) {
    if (attribute.key == kMetricName) continue;  // the metric's name is not an attribute's to say
    BASALT_TRY_ASSIGN(const std::string name, Name(attribute.key));
    const std::string_view known = out.Get(name);
    if (known.empty() || !naming_.escape) {
      out.Set(name, attribute.value);
    } else {
      out.Set(name, std::string(known) + ";" + std::string(attribute.value));
    }
  }
  return out;
}

void PointLabels::AddTarget(Labels& out) const {
  if (!job_.empty()) out.Set("job", job_);
  if (!instance_.empty()) out.Set("instance", instance_);
}

Status PointLabels::Build(const Attributes& attributes) {
  BASALT_TRY_ASSIGN(labels_, Sanitize(attributes));
  BASALT_TRY(promoted_.status());
  for (const Label& label : *promoted_) {
    if (!labels_.Has(label.name)) labels_.Set(label.name, label.value);
  }
  AddTarget(labels_);
  BASALT_TRY(scope_.status());
  for (const Label& label : *scope_) labels_.Set(label.name, label.value);
  return OkStatus();
}

Result<Labels> PointLabels::TargetInfo() const {
  std::vector<Attribute> told;
  bool tells_more = false;
  for (const Label& attribute : resource_) {
    const bool identifies = IsIdentifying(attribute.name);
    tells_more |= !identifies;
    if (!identifies || settings_.keep_identifying_resource_attributes)
      told.push_back({attribute.name, attribute.value});
  }
  if (!tells_more || (job_.empty() && instance_.empty())) return Labels();
  BASALT_TRY_ASSIGN(Labels out, Sanitize(std::move(told)));
  AddTarget(out);
  return out;
}

}  // namespace basalt::ingest::otlp
