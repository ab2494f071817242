#include "tools/self_slo.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace basalt::cli {

const char* const kSelfSlo = R"(
version: prometheus/v1
service: basalt
labels:
  owner: basalt-operators
slos:
  - name: requests-availability
    objective: 99.9
    description: Writes and queries are answered without a server error.
    sli:
      events:
        error_query: sum(rate(basalt_http_requests_total{job="basalt",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(basalt_http_requests_total{job="basalt"}[{{.window}}]))
    alerting:
      name: BasaltRequestsFail
      annotations:
        summary: Basalt answers requests with server errors.
      page_alert:
        labels:
          severity: page
      ticket_alert:
        labels:
          severity: ticket
)";

namespace {

// A classic histogram of one label.
void AppendTimes(const notify::DeliveryTimes& times, const char* severity,
                 metrics::Family& family) {
  const auto number = [](uint64_t v) { return static_cast<double>(v); };
  uint64_t below = 0;
  for (size_t i = 0; i <= notify::kDeliveryBounds.size(); ++i) {
    below += times.buckets[i];
    std::array<char, 32> bound{};
    if (i < notify::kDeliveryBounds.size())
      std::snprintf(bound.data(), bound.size(), "%g", notify::kDeliveryBounds[i]);
    family.samples.push_back(
        {Labels{{"__name__", family.name + "_bucket"},
                {"severity", severity},
                {"le", i < notify::kDeliveryBounds.size() ? bound.data() : "+Inf"}},
         number(below)});
  }
  family.samples.push_back({Labels{{"__name__", family.name + "_sum"}, {"severity", severity}},
                            number(times.sum_ns) * 1e-9});
  family.samples.push_back(
      {Labels{{"__name__", family.name + "_count"}, {"severity", severity}}, number(times.count)});
}

void AppendDelivery(const notify::OutboxStats& o, std::vector<metrics::Family>& out) {
  using metrics::AppendValue;
  using metrics::Type;
  const auto number = [](uint64_t v) { return static_cast<double>(v); };
  metrics::Family times;
  times.name = "basalt_alert_delivery_seconds";
  times.help = "From a transition to the first receiver's acceptance.";
  times.type = Type::kHistogram;
  AppendTimes(o.pages, "page", times);
  AppendTimes(o.tickets, "ticket", times);
  out.push_back(std::move(times));
  AppendValue(out, "basalt_alert_slowest_delivery_seconds", "The longest delivery since start.",
              Type::kGauge, number(std::max(o.pages.slowest_ns, o.tickets.slowest_ns)) * 1e-9);
  AppendValue(out, "basalt_alert_outbox_depth", "Alerts in the outbox, resolved ones included.",
              Type::kGauge, number(o.alerts));
  AppendValue(out, "basalt_alert_outbox_shed_total", "Tickets that found no room in the outbox.",
              Type::kCounter, number(o.shed));
  AppendValue(out, "basalt_alert_log_errors_total",
              "Alerts that could not be made durable; they were delivered all the same.",
              Type::kCounter, number(o.log_errors));
  AppendValue(out, "basalt_alert_discovery_problems",
              "Names and files of receivers that cannot be read at present.", Type::kGauge,
              number(o.discovery_problems.size()));
  // Under Prometheus' name too, for dashboards that exist.
  double alertmanagers = 0;
  for (const notify::ReceiverStats& receiver : o.receivers)
    alertmanagers += receiver.webhook ? 0 : 1;
  AppendValue(out, "prometheus_notifications_alertmanagers_discovered",
              "Alertmanagers that are sent alerts.", Type::kGauge, alertmanagers);
  const auto each = [&](const char* name, const char* help, Type type, auto value) {
    for (const notify::ReceiverStats& receiver : o.receivers)
      AppendValue(out, name, help, type, value(receiver), Labels{{"alertmanager", receiver.key}});
  };
  using Stats = notify::ReceiverStats;
  each("basalt_alertmanager_sent_total", "Alerts accepted, repetitions included.", Type::kCounter,
       [&](const Stats& r) { return number(r.sent); });
  each("basalt_alertmanager_waiting", "Alerts whose latest state the receiver has not taken.",
       Type::kGauge, [&](const Stats& r) { return number(r.waiting); });
  each("basalt_alertmanager_failures_total", "Posts that were not accepted.", Type::kCounter,
       [&](const Stats& r) { return number(r.failures); });
  each("basalt_alertmanager_rejected_total", "Alerts that the receiver refused for good.",
       Type::kCounter, [&](const Stats& r) { return number(r.rejected); });
  each("basalt_alertmanager_relabel_dropped_total", "States that relabelling drops.",
       Type::kCounter, [&](const Stats& r) { return number(r.dropped); });
  each("basalt_alertmanager_breaker_open", "1: it does not answer and is probed only.",
       Type::kGauge, [&](const Stats& r) { return r.breaker_open ? 1.0 : 0.0; });
  each("basalt_alertmanager_insecure", "1: any certificate is believed.", Type::kGauge,
       [&](const Stats& r) { return r.insecure ? 1.0 : 0.0; });
}

}  // namespace

void RegisterSloMetrics(metrics::Registry& registry, const slo::Evaluator& slos,
                        const notify::Outbox& outbox) {
  using metrics::AppendValue;
  using metrics::Type;
  registry.AddCollector([&slos, &outbox](std::vector<metrics::Family>& out) {
    const slo::EvaluatorStats s = slos.Stats();
    const auto number = [](uint64_t v) { return static_cast<double>(v); };
    const auto seconds = [](uint64_t ns) { return static_cast<double>(ns) * 1e-9; };
    AppendValue(out, "basalt_slo_definitions", "SLOs that are evaluated.", Type::kGauge,
                number(s.slos));
    AppendValue(out, "basalt_slo_groups", "Groups of all SLOs.", Type::kGauge, number(s.groups));
    AppendValue(out, "basalt_slo_firing", "Alerts that fire.", Type::kGauge, number(s.firing));
    AppendValue(out, "basalt_slo_sweeps_total", "Sweeps over all windows of all SLOs.",
                Type::kCounter, number(s.sweeps));
    AppendValue(out, "basalt_slo_sweep_seconds_total", "Time spent in sweeps.", Type::kCounter,
                seconds(s.sweep_ns));
    AppendValue(out, "basalt_slo_slowest_sweep_seconds", "The longest sweep since start.",
                Type::kGauge, seconds(s.slowest_sweep_ns));
    AppendValue(out, "basalt_slo_transitions_total", "Alerts that began to fire or resolved.",
                Type::kCounter, number(s.transitions));
    AppendValue(out, "basalt_slo_audited_slots_total",
                "Slots that were recomputed from stored samples.", Type::kCounter,
                number(s.audited_slots));
    AppendValue(out, "basalt_slo_audit_mismatch_total",
                "Of these, those that differed. Has to stay 0.", Type::kCounter,
                number(s.audit_mismatches));
    for (const slo::SloProblem& one : s.problems) {
      Labels labels{{"sloth_id", one.id}};
      if (one.tenant != kDefaultTenant) {
        labels.Set("tenant", std::to_string(static_cast<uint32_t>(one.tenant)));
      }
      AppendValue(out, "basalt_slo_problem",
                  "1: the SLO is not evaluated, or not over all of its series; "
                  "/api/v1/slo/<id> says why.",
                  Type::kGauge, 1, std::move(labels));
    }
    const notify::OutboxStats o = outbox.Stats();
    AppendDelivery(o, out);
  });
}

}  // namespace basalt::cli
