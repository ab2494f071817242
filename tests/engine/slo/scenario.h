// tests/engine/slo/scenario.h -- an SLO over a store in memory, stepped by a test, compared with
// the oracle after every step.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/notify/alert.h"
#include "engine/slo/evaluator.h"
#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/oracle.h"

namespace basalt::slo {

// Remembers everything; durable in the sense that it outlives evaluators.
class RecordingSink final : public notify::AlertSink {
 public:
  Status Publish(std::span<const notify::Alert> alerts) override {
    for (const notify::Alert& alert : alerts) {
      published.push_back(alert);
      latest[notify::Fingerprint(alert)] = alert;
    }
    return OkStatus();
  }
  [[nodiscard]] std::vector<notify::Alert> Firing() const override {
    std::vector<notify::Alert> firing;
    for (const auto& [fingerprint, alert] : latest) {
      if (!alert.resolved()) firing.push_back(alert);
    }
    return firing;
  }
  [[nodiscard]] std::optional<Timestamp> DeliveredAt(const Hash128&) const override {
    return std::nullopt;
  }
  std::vector<notify::Alert> published;
  std::map<Hash128, notify::Alert> latest;
};

// A time on no grid of slots.
inline constexpr int64_t kStartMs = 1'700'000'003'217;

// "sum(rate(errors)) / sum(rate(requests))" at 99.9 %, grouped by `group_by` if given.
// `more`: further keys of the SLO in basalt/v1. `total_alerts`: the sum of all groups alerts too.
std::vector<Definition> ShopSlo(const std::string& group_by = "", const std::string& more = "",
                                bool total_alerts = false);

class Scenario {
 public:
  explicit Scenario(const std::string& group_by = "", const std::string& more = "",
                    int64_t start_ms = kStartMs, bool total_alerts = false);

  // Writes a sample to the store and to the oracle. `series` names it: "errors a" is
  // errors_total{job="shop",instance="a"}; likewise "requests a", "up a", and "other a", which no
  // SLO counts.
  void Write(const std::string& series, int64_t t_ms, double value, int64_t start_ms = 0);
  void WriteStale(const std::string& series, int64_t t_ms);

  // Sweeps at `now_ms`.
  void Sweep(int64_t now_ms);
  // Sweeps a moment after `t_ms`, takes it for a settled round, and compares everything.
  void Round(int64_t t_ms);
  // The same without comparing the sums of windows, for long runs.
  void QuickRound(int64_t t_ms);
  // A new evaluator over the same store and sink.
  void Restart(int64_t now_ms);

  [[nodiscard]] GroupView View();
  [[nodiscard]] static Labels LabelsOf(const std::string& series);

  FakeClock clock;
  FakeStore store;
  RecordingSink sink;
  oracle::Oracle truth{1, 1000};
  std::unique_ptr<Evaluator> evaluator;

 private:
  oracle::Series& TrueSeries(const std::string& series);
  const std::string group_by_;
  const std::string more_;
  const bool total_alerts_;
};

}  // namespace basalt::slo
