// engine/http/api/alerts_view.h -- what /api/v1/rules and /api/v1/alerts show. Whoever evaluates
// rules implements it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/time.h"

namespace basalt::http::api {

enum class AlertState : uint8_t { kInactive, kPending, kFiring };

// One element of an alerting rule that is pending or firing.
struct AlertView {
  Labels labels;  // alertname included
  Labels annotations;
  AlertState state = AlertState::kPending;
  Timestamp active_at{};
  std::optional<Timestamp> keep_firing_since;
  double value = 0;
};

struct RuleView {
  bool alerting = false;  // false: a recording rule; the fields marked (a) then mean nothing
  std::string name;       // alertname, or the metric that is recorded
  std::string query;
  Labels labels;
  Labels annotations;                        // (a)
  Duration hold{0};                          // (a) "for"
  Duration keep_firing_for{0};               // (a)
  AlertState state = AlertState::kInactive;  // (a) the worst of its alerts
  std::vector<AlertView> alerts;             // (a)
  std::string health = "ok";                 // "ok", "err" or "unknown"
  std::string last_error;
  std::chrono::nanoseconds evaluation_time{0};
  Timestamp last_evaluation{};
};

struct RuleGroupView {
  std::string name;
  std::string file;
  Duration interval{0};
  int64_t limit = 0;
  std::chrono::nanoseconds evaluation_time{0};
  Timestamp last_evaluation{};
  std::vector<RuleView> rules;
};

// Thread-safe.
class AlertsView {
 public:
  virtual ~AlertsView() = default;
  // A consistent copy, in the order in which the groups are shown (pages of it are told apart by
  // file and name).
  [[nodiscard]] virtual std::vector<RuleGroupView> RuleGroups(TenantId tenant) const = 0;
};

}  // namespace basalt::http::api
