#include "engine/actionability/metrics.h"

#include <functional>

namespace basalt::actionability {

void RegisterMetrics(metrics::Registry& registry, const Journal& journal) {
  using metrics::AppendValue;
  using metrics::Type;
  registry.AddCollector([&journal](std::vector<metrics::Family>& out) {
    const std::map<TotalsKey, Totals> all = journal.AllTotals();
    const auto labels = [](const TotalsKey& key) {
      return Labels{
          {"team", key.team}, {"service", key.service}, {"severity", key.page ? "page" : "ticket"}};
    };
    const auto each = [&](const char* name, const char* help,
                          const std::function<double(const Totals&)>& value) {
      for (const auto& [key, totals] : all)
        AppendValue(out, name, help, Type::kCounter, value(totals), labels(key));
    };
    const auto number = [](uint64_t v) { return static_cast<double>(v); };
    each("basalt_alerts_fired_total", "Alerts that began to fire.",
         [&](const Totals& t) { return number(t.fired); });
    each("basalt_alerts_delivered_total", "Alerts that a receiver accepted while they fired.",
         [&](const Totals& t) { return number(t.delivered); });
    each("basalt_alerts_undelivered_total", "Alerts that came and went and nobody was told.",
         [&](const Totals& t) { return number(t.undelivered); });
    each("basalt_alerts_acknowledged_total", "Alerts that somebody has acknowledged.",
         [&](const Totals& t) { return number(t.acknowledged); });
    each("basalt_alerts_acknowledge_seconds_total",
         "Time from delivery to acknowledgement, summed; over basalt_alerts_acknowledged_total it "
         "is the mean.",
         [&](const Totals& t) { return t.acknowledge_seconds; });
    each("basalt_alerts_resolved_total", "Alerts that resolved.",
         [&](const Totals& t) { return number(t.resolved); });
    each("basalt_alerts_flaps_total", "Alerts that fired again within an hour of resolving.",
         [&](const Totals& t) { return number(t.flaps); });
    each("basalt_alerts_spent_seconds_total", "Work that alerts made, as feedback says.",
         [&](const Totals& t) { return t.minutes * 60; });
    for (const auto& [key, totals] : all) {
      for (size_t i = 0; i < totals.verdicts.size(); ++i) {
        Labels with = labels(key);
        with.Set("actionable", VerdictName(static_cast<Verdict>(i)));
        AppendValue(out, "basalt_alerts_feedback_total",
                    "Alerts by whether there was something to do.", Type::kCounter,
                    number(totals.verdicts[i]), with);
      }
    }
    const Journal::Stats stats = journal.stats();
    AppendValue(out, "basalt_alert_history_records", "Alert instances that are remembered.",
                Type::kGauge, number(stats.records));
    AppendValue(out, "basalt_alert_history_errors_total", "Changes that were not written down.",
                Type::kCounter, number(stats.errors));
  });
}

}  // namespace basalt::actionability
