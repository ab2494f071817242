#include "tools/self_slo.h"

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
    const notify::OutboxStats o = outbox.Stats();
    AppendValue(out, "basalt_alert_deliveries_total",
                "Transitions that a first receiver has accepted.", Type::kCounter,
                number(o.deliveries));
    AppendValue(out, "basalt_alert_delivery_seconds_total", "Time from transition to acceptance.",
                Type::kCounter, seconds(o.delivery_ns));
    AppendValue(out, "basalt_alert_slowest_delivery_seconds", "The longest delivery since start.",
                Type::kGauge, seconds(o.slowest_delivery_ns));
    for (const notify::ReceiverStats& receiver : o.receivers) {
      const Labels labels{{"alertmanager", receiver.url}};
      AppendValue(out, "basalt_alertmanager_waiting",
                  "Alerts whose latest state the receiver has not taken.", Type::kGauge,
                  number(receiver.waiting), labels);
    }
    for (const notify::ReceiverStats& receiver : o.receivers) {
      AppendValue(out, "basalt_alertmanager_failures_total", "Posts that were not accepted.",
                  Type::kCounter, number(receiver.failures),
                  Labels{{"alertmanager", receiver.url}});
    }
    for (const notify::ReceiverStats& receiver : o.receivers) {
      AppendValue(out, "basalt_alertmanager_rejected_total",
                  "Alerts that the receiver refused for good.", Type::kCounter,
                  number(receiver.rejected), Labels{{"alertmanager", receiver.url}});
    }
  });
}

}  // namespace basalt::cli
