// engine/notify/alert.h -- an alert as its receivers see it, and the door through which evaluators
// publish it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::notify {

// One alert instance. Its identity is `identity`; `labels` adds what may change without making it
// another alert (its owner).
struct Alert {
  Labels identity;  // alertname included
  Labels labels;    // sent together with `identity`
  Labels annotations;
  Timestamp starts_at{};
  std::optional<Timestamp> ends_at;  // set: resolved then
  std::string generator_url;
  bool urgent = false;  // pages go before tickets in every queue

  [[nodiscard]] bool resolved() const { return ends_at.has_value(); }
  friend bool operator==(const Alert&, const Alert&) = default;
};

// Of the identity; the same on every machine and after every restart.
Hash128 Fingerprint(const Alert& alert);
Hash128 Fingerprint(const Labels& identity);

// Where alerts go. Thread-safe.
class AlertSink {
 public:
  virtual ~AlertSink() = default;
  // The latest state of each of these alerts, as one durable step: when it returns, a crash loses
  // none of them. An error means that they are not durable; they are delivered all the same,
  // because a page matters more than its record.
  virtual Status Publish(std::span<const Alert> alerts) = 0;
  // The alerts that have not resolved, as published last; after a restart, as they were before it.
  [[nodiscard]] virtual std::vector<Alert> Firing() const = 0;
  // When the first receiver accepted this alert's latest episode.
  [[nodiscard]] virtual std::optional<Timestamp> DeliveredAt(const Hash128& fingerprint) const = 0;
};

}  // namespace basalt::notify
