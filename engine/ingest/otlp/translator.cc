#include "engine/ingest/otlp/translator.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/stale.h"
#include "engine/ingest/otlp/native_histogram.h"
#include "engine/ingest/series_labels.h"

namespace basalt::ingest::otlp {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr std::string_view kTargetInfo = "target_info";
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Labels of exemplars in characters, as OpenMetrics has it; attributes that make more are left out.
constexpr size_t kMaxExemplarCharacters = 128;

constexpr int64_t ToMilliseconds(uint64_t ns) { return static_cast<int64_t>(ns / kNsPerMs); }

// 'le' and 'quantile': the shortest digits that read back to the same, never an exponent.
void WriteBound(double bound, std::string& out) {
  if (std::isinf(bound)) {
    out = bound > 0 ? "+Inf" : "-Inf";
    return;
  }
  if (std::isnan(bound)) {
    out = "NaN";
    return;
  }
  std::array<char, 400> buffer;  // a double's integer part has up to 309 digits
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), bound, std::chars_format::fixed);
  out.assign(buffer.data(), end.ptr);
}

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

storage::MetricType TypeOf(const MetricHeader& metric) {
  using storage::MetricType;
  // There is no type for deltas; what calls itself a counter would be taken for cumulative.
  if (metric.temporality == Temporality::kDelta) return MetricType::kUnknown;
  switch (metric.kind) {
    case MetricKind::kGauge:
      return MetricType::kGauge;
    case MetricKind::kSum:
      return metric.is_monotonic ? MetricType::kCounter : MetricType::kGauge;
    case MetricKind::kHistogram:
    case MetricKind::kExponentialHistogram:
      return MetricType::kHistogram;
    case MetricKind::kSummary:
      return MetricType::kSummary;
  }
  return MetricType::kUnknown;
}

NameRole RoleOf(const MetricHeader& metric) {
  if (metric.kind == MetricKind::kGauge) return NameRole::kGauge;
  const bool counts = metric.kind == MetricKind::kSum && metric.is_monotonic;
  return counts ? NameRole::kMonotonicCounter : NameRole::kOther;
}

bool NeedsTemporality(MetricKind kind) {
  return kind != MetricKind::kGauge && kind != MetricKind::kSummary;
}

}  // namespace

Translator::Translator(const Limits& limits, Settings settings)
    : limits_(limits), settings_(std::move(settings)), labels_(settings_) {}

void Translator::BeginRequest(TenantId tenant, Timestamp now, storage::BatchBuilder& builder,
                              storage::BatchBuilder& deltas, Report& report) {
  tenant_ = tenant;
  builder_ = &builder;
  deltas_ = &deltas;
  points_ = builder_;
  report_ = &report;
  accept_.emplace(limits_, now, builder, report);
  accept_deltas_.emplace(limits_, now, deltas, report);
  metadata_.BeginRequest(now);
  rejected_points_ = 0;
  sender_.reset();
  has_resource_ = false;
}

void Translator::BeginResource(const Attributes& attributes) {
  HaSender sender{.tenant = tenant_, .cluster = {}, .replica = {}};
  if (!limits_.ha.cluster.empty()) {
    for (const Attribute& attribute : attributes) {
      if (attribute.key == limits_.ha.cluster) sender.cluster = attribute.value;
      if (attribute.key == limits_.ha.replica) sender.replica = attribute.value;
    }
  }
  resource_ = attributes;
  if (!sender.cluster.empty() && !sender.replica.empty()) {
    std::erase_if(resource_, [this](const Attribute& attribute) {
      return attribute.key == limits_.ha.replica;
    });
    if (!has_resource_) sender_ = std::move(sender);
  }
  has_resource_ = true;
  labels_.SetResource(resource_);
  has_points_ = false;
}

void Translator::BeginScope(const Scope& scope) { labels_.SetScope(scope); }

void Translator::BeginMetric(const MetricHeader& metric) {
  metric_ = metric;
  points_ = builder_;
  if (settings_.delta_to_cumulative && metric.temporality == Temporality::kDelta &&
      NeedsTemporality(metric.kind)) {
    // From here on it is what it will be.
    metric_.temporality = Temporality::kCumulative;
    points_ = deltas_;
  }
  point_index_ = 0;
  place_ = "metrics[";
  AppendQuoted(metric.name, place_);
  place_ += "].data_points";
  labels_.SetMetric(metric);
  Result<std::string> name =
      MetricName(settings_.translation, metric.name, metric.unit, RoleOf(metric));
  metric_status_ = name.status();
  if (name.ok()) name_ = *std::move(name);
  if (metric_status_.ok() && NeedsTemporality(metric.kind) &&
      metric.temporality == Temporality::kUnspecified) {
    metric_status_ = InvalidArgument("aggregation_temporality is neither delta nor cumulative");
  }
  if (metric_status_.ok()) AddMetadata();
}

void Translator::SkipMetric(std::string_view name) {
  place_ = "metrics[";
  AppendQuoted(name, place_);
  place_ += "]";
  report_->Reject(Reason::kUnsupported, 1,
                  [&] { return place_ + ": its data is of no kind that is known here"; });
  ++rejected_points_;
}

void Translator::AddMetadata() {
  storage::MetadataEntry entry;
  entry.metric = name_;
  entry.type = TypeOf(metric_);
  entry.unit = UnitName(metric_.unit);
  entry.help = metric_.description;
  if (entry.type == storage::MetricType::kUnknown && entry.unit.empty() && entry.help.empty())
    return;
  if (!accept_->CheckMetadataEntry(Here(), entry)) return;
  if (metadata_.IsNews(tenant_, entry)) builder_->AddMetadata(std::move(entry));
}

void Translator::AddPoint(const Point& point) {
  const uint64_t refused_before = refused();
  has_labels_ = false;
  if (!metric_status_.ok()) {
    Refuse(Reason::kUnsupported, 1, metric_status_.message());
  } else if (point.time_ns == 0) {
    Refuse(Reason::kTimestamp, 1, "time_unix_nano is missing");
  } else {
    if (point.time_ns % kNsPerMs != 0) ++report_->finer_than_1ms;
    labels_.FingerprintBytes(point.attributes, point_bytes_);
    attributes_ = &point.attributes;
    AddSamples(point);
  }
  if (refused() != refused_before) {
    ++rejected_points_;
  } else {
    const int64_t ms = ToMilliseconds(point.time_ns);
    earliest_ms_ = has_points_ ? std::min(earliest_ms_, ms) : ms;
    latest_ms_ = has_points_ ? std::max(latest_ms_, ms) : ms;
    has_points_ = true;
  }
  ++point_index_;
}

void Translator::AddSamples(const Point& point) {
  switch (metric_.kind) {
    case MetricKind::kGauge:
    case MetricKind::kSum:
      if (!point.value && !point.has_no_recorded_value())
        return Refuse(Reason::kUnsupported, 1, "has neither as_double nor as_int");
      if (AddSample(point, {}, point.value.value_or(0))) AddExemplars(point, {});
      return;
    case MetricKind::kHistogram:
      if (!settings_.convert_histograms_to_nhcb) return AddClassicHistogram(point);
      return AddNative(point, FromExplicitBounds(point, metric_.temporality));
    case MetricKind::kExponentialHistogram:
      return AddNative(point, FromExponential(point, metric_.temporality));
    case MetricKind::kSummary:
      return AddSummary(point);
  }
}

void Translator::AddClassicHistogram(const Point& point) {
  if (const Status status = CheckBounds(point); !status.ok())
    return Refuse(Reason::kHistogram, 1, status.message());
  if (point.sum) AddSample(point, {.kind = 's', .suffix = "_sum"}, *point.sum);
  AddSample(point, {.kind = 'c', .suffix = "_count"}, static_cast<double>(point.count));
  uint64_t cumulative = 0;
  double above = -kInfinity;
  for (size_t i = 0; i < point.explicit_bounds.size(); ++i) {
    const double bound = point.explicit_bounds[i];
    cumulative += point.bucket_counts[i];
    if (AddSample(point, {.kind = 'b', .suffix = "_bucket", .label = "le", .bound = bound},
                  static_cast<double>(cumulative))) {
      AddExemplars(point, {.above = above, .up_to = bound});
    }
    above = bound;
  }
  if (AddSample(point, {.kind = 'b', .suffix = "_bucket", .label = "le", .bound = kInfinity},
                static_cast<double>(point.count))) {
    AddExemplars(point, {.above = above, .up_to = kInfinity});
  }
}

void Translator::AddSummary(const Point& point) {
  AddSample(point, {.kind = 's', .suffix = "_sum"}, point.sum.value_or(0));
  AddSample(point, {.kind = 'c', .suffix = "_count"}, static_cast<double>(point.count));
  for (const Quantile& quantile : point.quantiles) {
    AddSample(point, {.kind = 'q', .suffix = {}, .label = "quantile", .bound = quantile.quantile},
              quantile.value);
  }
}

void Translator::AddNative(const Point& point, Result<NativeHistogram> histogram) {
  if (!histogram.ok()) return Refuse(Reason::kHistogram, 1, histogram.status().message());
  if (!Select({.kind = 'h'})) return;
  accept_points().AddHistogram(Here(), ToMilliseconds(point.time_ns), *std::move(histogram),
                               ToMilliseconds(point.start_ns));
  AddExemplars(point, {});
}

bool Translator::AddSample(const Point& point, const Part& part, double value) {
  if (!Select(part)) return false;
  accept_points().AddSample(Here(), ToMilliseconds(point.time_ns),
                            point.has_no_recorded_value() ? kStaleMarker : value,
                            ToMilliseconds(point.start_ns));
  return true;
}

void Translator::AddExemplars(const Point& point, const ValueRange& range) {
  for (const Exemplar& exemplar : point.exemplars) {
    if (!exemplar.value) {
      Refuse(Reason::kExemplar, 1, "an exemplar has neither as_double nor as_int");
      continue;
    }
    const double value = *exemplar.value;
    // The lowest bucket takes -Inf, too; NaN is above all bounds.
    const bool is_above = value > range.above || range.above == -kInfinity || std::isnan(value);
    const bool is_inside = range.up_to == kInfinity || value <= range.up_to;
    if (!is_above || !is_inside) continue;
    views_.clear();
    size_t characters = 0;
    for (const auto& [name, id] :
         {std::pair<std::string_view, std::string_view>{"trace_id", exemplar.trace_id},
          {"span_id", exemplar.span_id}}) {
      if (id.empty()) continue;
      views_.push_back({name, id});
      characters += Characters(name) + Characters(id);
    }
    for (const Attribute& attribute : exemplar.attributes)
      characters += Characters(attribute.key) + Characters(attribute.value);
    if (characters <= kMaxExemplarCharacters) {
      for (const Attribute& attribute : exemplar.attributes)
        views_.push_back({attribute.key, attribute.value});
    }
    const uint64_t time_ns = exemplar.time_ns == 0 ? point.time_ns : exemplar.time_ns;
    accept_points().AddExemplar(Here(), ToMilliseconds(time_ns), value, views_);
  }
}

bool Translator::Select(const Part& part) {
  const size_t common = point_bytes_.size();
  point_bytes_ += part.kind;
  point_bytes_.append(reinterpret_cast<const char*>(&part.bound), sizeof(part.bound));
  const Hash128 fingerprint = HashBytes128(point_bytes_);
  point_bytes_.resize(common);
  if (points_->SelectKnown(fingerprint)) return true;

  if (!has_labels_) {
    if (const Status status = labels_.Build(*attributes_); !status.ok()) {
      Refuse(Reason::kLabels, 1, "attributes: " + std::string(status.message()));
      return false;
    }
    has_labels_ = true;
  }
  part_name_ = name_;
  part_name_ += part.suffix;
  if (!part.label.empty()) WriteBound(part.bound, part_value_);
  views_.clear();
  for (const Label& label : labels_.labels()) {
    if (label.name != part.label) views_.push_back({label.name, label.value});
  }
  views_.push_back({kMetricName, part_name_});
  if (!part.label.empty()) views_.push_back({part.label, part_value_});
  return SelectViews(fingerprint);
}

bool Translator::SelectViews(const Hash128& fingerprint) {
  std::sort(views_.begin(), views_.end());
  Reason reason = Reason::kLabels;
  if (const Status status = NormalizeSeriesLabels(limits_, views_, reason); !status.ok()) {
    Refuse(reason, 1, "attributes: " + std::string(status.message()));
    return false;
  }
  points_->SelectLabels(fingerprint, views_);
  return true;
}

void Translator::EndResource() {
  points_ = builder_;
  if (!has_points_) return;
  place_ = "resource.attributes";
  point_index_ = 0;
  const Result<Labels> info = labels_.TargetInfo();
  if (!info.ok()) return Refuse(Reason::kLabels, 1, info.status().message());
  if (info->empty()) return;
  views_.clear();
  for (const Label& label : *info) views_.push_back({label.name, label.value});
  views_.push_back({kMetricName, kTargetInfo});
  std::string canonical(kTargetInfo);
  AppendCanonical(*info, canonical);
  if (!SelectViews(HashBytes128(canonical))) return;
  storage::MetadataEntry entry;
  entry.metric = kTargetInfo;
  entry.type = storage::MetricType::kGauge;
  entry.help = "Target metadata";
  if (metadata_.IsNews(tenant_, entry)) builder_->AddMetadata(std::move(entry));

  const int64_t step = std::max<int64_t>(1, settings_.lookback.count() / 2);
  const int64_t steps = (latest_ms_ - earliest_ms_ + step - 1) / step;
  for (int64_t i = std::max<int64_t>(0, steps - kMaxTargetInfos); i < steps; ++i)
    accept_->AddSample(Here(), earliest_ms_ + i * step, 1);
  accept_->AddSample(Here(), latest_ms_, 1);
}

void Translator::Refuse(Reason reason, uint64_t items, std::string_view what) {
  report_->Reject(reason, items, [&] { return Here().Text() + ": " + std::string(what); });
}

}  // namespace basalt::ingest::otlp
