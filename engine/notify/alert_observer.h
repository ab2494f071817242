// engine/notify/alert_observer.h -- told what becomes of alerts, to keep their history.
#pragma once

#include <span>
#include <string_view>

#include "engine/base/time.h"
#include "engine/notify/alert.h"

namespace basalt::notify {

// Called by the outbox, never under its lock, from several threads.
class AlertObserver {
 public:
  virtual ~AlertObserver() = default;
  // These states were published; at start-up once more what was published before, so that a crash
  // between the outbox and its observer loses nothing.
  virtual void OnPublished(std::span<const Alert> alerts, Timestamp now) = 0;
  // A receiver has accepted these states.
  virtual void OnAccepted(std::span<const Alert> alerts, std::string_view receiver,
                          Timestamp now) = 0;
};

}  // namespace basalt::notify
