// engine/ingest/otlp/translator.h -- the points of a metrics request as samples of Prometheus
// series.
//
// Semantics: the Prometheus OTLP receiver (storage/remote/otlptranslator there), with these
// differences: a point that cannot be taken does not stop the others; deltas are stored as they
// were sent, with their start timestamps, or become totals (delta_totals.h); a zero_threshold that
// was sent is kept.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/ingest/acceptor.h"
#include "engine/ingest/ha_tracker.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/metadata_filter.h"
#include "engine/ingest/otlp/point_labels.h"
#include "engine/ingest/otlp/points.h"
#include "engine/ingest/otlp/settings.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest::otlp {

// One thread; reused. BeginRequest, then a decoder's visit, then read what became of it.
class Translator final : public Visitor {
 public:
  // target_info of a resource whose points lie further apart than this many half look-backs is
  // written for the latest of them only: one wild time must not cost a million samples.
  static constexpr int64_t kMaxTargetInfos = 1000;

  Translator(const Limits& limits, Settings settings);

  // `builder`, `deltas` and `report` are borrowed until the visit is over. `deltas` gets the points
  // that are to become totals, if the settings want that.
  void BeginRequest(TenantId tenant, Timestamp now, storage::BatchBuilder& builder,
                    storage::BatchBuilder& deltas, Report& report);
  // The pair's replica that sent it, if the first resource's attributes name one (limits.h,
  // HaLabels); its tenant is the request's. The replica's attribute becomes no label.
  [[nodiscard]] const std::optional<HaSender>& sender() const { return sender_; }
  // Points of which a sample, or everything, was refused.
  [[nodiscard]] uint64_t rejected_points() const { return rejected_points_; }

  void BeginResource(const Attributes& attributes) override;
  void EndResource() override;
  void BeginScope(const Scope& scope) override;
  void BeginMetric(const MetricHeader& metric) override;
  void SkipMetric(std::string_view name) override;
  void AddPoint(const Point& point) override;

 private:
  // The series of one point differ in what follows the metric's name and in one more label.
  struct Part {
    char kind = 'v';               // tells the parts of a point apart in fingerprints
    std::string_view suffix = {};  // of the name: "_bucket"
    std::string_view label = {};   // "le", "quantile" or none
    double bound = 0;              // that label's value
  };

  // (above, up_to]: the exemplars of a classic bucket. All of them by default.
  struct ValueRange {
    double above = -std::numeric_limits<double>::infinity();
    double up_to = std::numeric_limits<double>::infinity();
  };

  void AddMetadata();
  void AddSamples(const Point& point);
  void AddClassicHistogram(const Point& point);
  void AddSummary(const Point& point);
  void AddNative(const Point& point, Result<NativeHistogram> histogram);
  // False: refused and reported.
  bool AddSample(const Point& point, const Part& part, double value);
  // To the series that is selected.
  void AddExemplars(const Point& point, const ValueRange& range);

  // Selects a series of the current point in the builder. False: refused and reported.
  bool Select(const Part& part);
  bool SelectViews(const Hash128& fingerprint);  // by views_
  void Refuse(Reason reason, uint64_t items, std::string_view what);
  [[nodiscard]] Place Here() const { return {.list = place_.c_str(), .index = point_index_}; }
  // Samples and histograms refused so far.
  [[nodiscard]] uint64_t refused() const {
    return report_->rejected() - report_->rejected(Reason::kExemplar);
  }

  const Limits limits_;
  const Settings settings_;
  MetadataFilter metadata_;
  PointLabels labels_;

  // Of the request.
  TenantId tenant_ = kDefaultTenant;
  storage::BatchBuilder* builder_ = nullptr;  // for all that is stored as it came
  storage::BatchBuilder* deltas_ = nullptr;
  storage::BatchBuilder* points_ = nullptr;  // of the two, where the metric's points go
  Report* report_ = nullptr;
  std::optional<Acceptor> accept_;         // into `builder_`
  std::optional<Acceptor> accept_deltas_;  // into `deltas_`
  [[nodiscard]] Acceptor& accept_points() {
    return points_ == deltas_ ? *accept_deltas_ : *accept_;
  }
  uint64_t rejected_points_ = 0;

  std::optional<HaSender> sender_;
  bool has_resource_ = false;  // there was one before

  // Of the resource: its attributes without the replica's, when its points were.
  Attributes resource_;
  int64_t earliest_ms_ = 0;
  int64_t latest_ms_ = 0;
  bool has_points_ = false;

  // Of the metric.
  MetricHeader metric_;
  std::string name_;
  Status metric_status_;
  std::string place_;  // "metrics[\"x\"].data_points"

  // Of the point.
  uint64_t point_index_ = 0;
  const Attributes* attributes_ = nullptr;
  std::string point_bytes_;  // what its fingerprints begin with
  bool has_labels_ = false;
  std::string part_name_;
  std::string part_value_;
  std::vector<LabelView> views_;
};

}  // namespace basalt::ingest::otlp
