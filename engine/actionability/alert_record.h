// engine/actionability/alert_record.h -- one alert's one time of firing, and what people made of
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::actionability {

// Was there something to do?
enum class Verdict : uint8_t {
  kActionable,
  kNotActionable,
  kSelfHealed,  // real, and over before anybody could act
  kVendor,      // real, and somebody else's to repair
};
// "yes", "no", "self_healed", "vendor".
std::string_view VerdictName(Verdict verdict);
// kInvalidArgument with the names there are.
Result<Verdict> ParseVerdict(std::string_view name);

struct Feedback {
  Verdict verdict = Verdict::kActionable;
  double minutes = 0;  // of somebody's work
  std::string by = {};
  std::string ticket = {};
  std::string note = {};
  Timestamp at{};
  friend bool operator==(const Feedback&, const Feedback&) = default;
};

// A value type.
struct AlertRecord {
  uint64_t id = 0;        // never given twice
  Hash128 fingerprint{};  // of its identity: the same each time it fires
  Labels identity;
  Labels labels;          // identity and what was sent with it (its owner)
  bool page = false;      // else a ticket
  bool flap = false;      // began within kFlapWithin of its last end
  Timestamp starts_at{};  // event time, as sent
  Timestamp published_at{};
  std::optional<Timestamp> ends_at;       // resolved then
  std::optional<Timestamp> delivered_at;  // the first receiver accepted it while it fired
  std::string delivered_to;
  std::optional<Timestamp> acknowledged_at;
  std::string acknowledged_by;
  std::optional<Feedback> feedback;
  friend bool operator==(const AlertRecord&, const AlertRecord&) = default;

  // Who answers for it: label `team`, else `owner`, else "none".
  [[nodiscard]] std::string team() const;
  [[nodiscard]] std::string service() const;  // sloth_service or service
  [[nodiscard]] std::string slo() const;      // sloth_id
  // It came and went and nobody was told.
  [[nodiscard]] bool undelivered() const {
    return ends_at.has_value() && !delivered_at.has_value();
  }
};

// An alert that fires again so soon after it has resolved should not have resolved.
inline constexpr Duration kFlapWithin = std::chrono::hours(1);

// How the API names an alert: 32 hex digits.
std::string FingerprintText(const Hash128& fingerprint);

void EncodeRecord(const AlertRecord& record, std::string& out);
// Safe on hostile bytes. kDataLoss.
Result<AlertRecord> DecodeRecord(std::string_view payload);

}  // namespace basalt::actionability
