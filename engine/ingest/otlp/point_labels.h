// engine/ingest/otlp/point_labels.h -- the labels of a point, from its attributes and from the
// resource and the scope around it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/ingest/otlp/points.h"
#include "engine/ingest/otlp/settings.h"

namespace basalt::ingest::otlp {

// Labels are made only for points whose fingerprint is new; what goes into fingerprints is copied
// as it comes. One thread.
class PointLabels {
 public:
  explicit PointLabels(const Settings& settings);

  void SetResource(const Attributes& attributes);
  void SetScope(const Scope& scope);
  void SetMetric(const MetricHeader& metric);

  // Bytes that are different for points of different labels or metrics: what stands outside, and
  // the attributes. Replaces `out`.
  void FingerprintBytes(const Attributes& attributes, std::string& out) const;

  // kInvalidArgument naming the attribute that cannot be a label.
  Status Build(const Attributes& attributes);
  // What Build made; without a metric name.
  [[nodiscard]] const Labels& labels() const { return labels_; }

  // The labels of the resource's target_info; empty if it would tell nothing.
  [[nodiscard]] Result<Labels> TargetInfo() const;

 private:
  Result<std::string> Name(std::string_view key) const;
  Result<Labels> Sanitize(std::vector<Attribute> attributes) const;
  void AddTarget(Labels& out) const;
  Result<Labels> Promoted() const;
  Result<Labels> ScopeLabels(const Scope& scope) const;

  const Settings settings_;
  const LabelNaming naming_;
  const Hash128 settings_fingerprint_;

  std::vector<Label> resource_;  // attributes, owned: target_info comes last
  std::string job_;
  std::string instance_;
  Result<Labels> promoted_ = Labels();
  Hash128 resource_fingerprint_;
  Result<Labels> scope_ = Labels();
  Hash128 scope_fingerprint_;
  Hash128 metric_fingerprint_;
  Labels labels_;
};

}  // namespace basalt::ingest::otlp
