#include "engine/slo/recorded_series.h"

#include <string>
#include <utility>

#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

class Recorder {
 public:
  Recorder(const SloView& view, PeriodRatio period) : view_(view), period_(period) {}

  std::vector<RecordedSample> Take() {
    OfSlo();
    // Dashboards of formats that know of no total would add it to its groups.
    if (view_.total.has_value() && view_.total_alerts) OfAll(*view_.total);
    for (const GroupView& group : view_.groups) OfAll(group);
    return std::move(out_);
  }

 private:
  void Add(const std::string& name, Labels labels, double value) {
    labels.Set(kMetricName, name);
    out_.push_back({std::move(labels), value});
  }
  [[nodiscard]] Labels LabelsOf(const Labels& group) const {
    return RecordedLabels(view_.id, view_.service, view_.name, view_.labels, group);
  }

  void OfSlo() {
    const Labels labels = LabelsOf({});
    const double days = std::chrono::duration<double>(view_.period).count() / 86'400;
    Add("slo:objective:ratio", labels, view_.objective);
    Add("slo:error_budget:ratio", labels, view_.budget_share);
    Add("slo:time_period:days", labels, days);
    Labels info = labels;
    for (const Label& label : view_.info_labels) info.Set(label.name, label.value);
    info.Set("sloth_version", "basalt");
    info.Set("sloth_mode", view_.polled ? "polled" : "streamed");
    info.Set("sloth_spec", view_.origin == Origin::kOpenSlo ? "openslo/v1" : "prometheus/v1");
    info.Set("sloth_objective", view_.objective_text);
    Add("sloth_slo_info", info, 1);
    if (view_.origin == Origin::kPyrra) {
      Add("pyrra_objective", view_.record_labels, view_.objective);
      Add("pyrra_window", view_.record_labels, std::chrono::duration<double>(view_.period).count());
    }
  }

  void OfAll(const GroupView& group) {
    OfGroup(group);
    if (view_.origin == Origin::kPyrra) PyrraOfGroup(group);
    for (const SeverityView& severity : group.severities) OfAlert(severity);
  }

  void OfGroup(const GroupView& group) {
    if (!group.as_of.has_value()) return;
    const Labels labels = LabelsOf(group.labels);
    for (const WindowView& window : group.windows) {
      if (!window.ratio.has_value()) continue;
      if (period_ == PeriodRatio::kSloth && window.length == view_.period) continue;
      const std::string length = FormatDuration(window.length);
      Labels own = labels;
      own.Set("sloth_window", length);
      Add("slo:sli_error:ratio_rate" + length, own, *window.ratio);
      if (&window == &group.windows.front() && window.burn_rate.has_value()) {
        Add("slo:current_burn_rate:ratio", labels, *window.burn_rate);
      }
    }
    if (!group.budget.remaining_ratio.has_value() || period_ == PeriodRatio::kSloth) return;
    Add("slo:period_burn_rate:ratio", labels, 1 - *group.budget.remaining_ratio);
    Add("slo:period_error_budget_remaining:ratio", labels, *group.budget.remaining_ratio);
  }

  void PyrraOfGroup(const GroupView& group) {
    Labels labels = view_.record_labels;
    for (const Label& label : group.labels) labels.Set(label.name, label.value);
    for (const WindowView& window : group.windows) {
      if (window.length == kPyrraRateWindow && group.as_of.has_value()) {
        const double seconds = std::chrono::duration<double>(window.length).count();
        Add("pyrra_requests:rate5m", labels, window.total / seconds);
        Add("pyrra_errors:rate5m", labels, window.bad / seconds);
      }
      if (!window.ratio.has_value()) continue;
      if (window.length == view_.period) Add("pyrra_availability", labels, 1 - *window.ratio);
      Labels own = labels;
      for (const Label& label : view_.record_matchers) own.Set(label.name, label.value);
      Add(view_.record_metric + ":burnrate" + FormatDuration(window.length), own, *window.ratio);
    }
  }

  void OfAlert(const SeverityView& severity) {
    if (!severity.starts_at.has_value()) return;
    Labels labels = severity.labels;
    Add("ALERTS_FOR_STATE", labels, static_cast<double>(ToMs(*severity.starts_at)) * 1e-3);
    labels.Set("alertstate", "firing");
    Add("ALERTS", labels, 1);
  }

  const SloView& view_;
  const PeriodRatio period_;
  std::vector<RecordedSample> out_;
};

}  // namespace

Labels RecordedLabels(std::string_view id, std::string_view service, std::string_view name,
                      const Labels& user, const Labels& group) {
  Labels labels = group;
  for (const Label& label : user) labels.Set(label.name, label.value);
  labels.Set("sloth_id", id);
  labels.Set("sloth_service", service);
  labels.Set("sloth_slo", name);
  return labels;
}

std::vector<RecordedSample> RecordedSeries(const SloView& view, PeriodRatio period) {
  return Recorder(view, period).Take();
}

std::string SlothPeriodQuery(const SloView& view) {
  if (view.groups.empty() || view.groups[0].windows.empty()) return "";
  // Windows are by rising length: sloth takes the shortest one's.
  std::string selector = "slo:sli_error:ratio_rate" +
                         FormatDuration(view.groups[0].windows.front().length) + "{sloth_id=";
  AppendQuoted(view.id, selector);
  selector += ", sloth_service=";
  AppendQuoted(view.service, selector);
  selector += ", sloth_slo=";
  AppendQuoted(view.name, selector);
  selector += "}[" + FormatDuration(view.period) + "]";
  return "sum_over_time(" + selector + ") / ignoring(sloth_window) count_over_time(" + selector +
         ")";
}

std::vector<RecordedSample> SlothPeriodSeries(const SloView& view,
                                              const std::vector<SliSeries>& answer) {
  std::vector<RecordedSample> out;
  const std::string period = FormatDuration(view.period);
  const auto add = [&](const std::string& name, Labels labels, double value) {
    labels.Set(kMetricName, name);
    out.push_back({std::move(labels), value});
  };
  for (const SliSeries& group : answer) {
    if (group.points.empty()) continue;
    const double ratio = group.points.back().second;
    Labels own = group.labels;
    own.Set("sloth_window", period);
    add("slo:sli_error:ratio_rate" + period, own, ratio);
    if (view.budget_share <= 0) continue;  // nothing may fail: nothing is left to burn
    const double burn = ratio / view.budget_share;
    add("slo:period_burn_rate:ratio", group.labels, burn);
    add("slo:period_error_budget_remaining:ratio", group.labels, 1 - burn);
  }
  return out;
}

}  // namespace basalt::slo
