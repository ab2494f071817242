// engine/notify/outbox_state.h -- what the outbox remembers of alerts and receivers; for its own
// sources only.
#pragma once

#include <random>

#include "engine/notify/outbox.h"

namespace basalt::notify {

// What one receiver knows of one alert.
struct Outbox::PerReceiver {
  enum class Told : uint8_t { kNothing, kFiring, kResolved };

  uint64_t receiver = 0;  // ReceiverId
  uint64_t version = 0;   // of the latest state that it has answered, or that is not for it
  std::chrono::nanoseconds at{0};
  Told told = Told::kNothing;  // what it has accepted last
  Timestamp told_starts{};
  bool refused = false;  // it answered 400 to `version`
};

struct Outbox::Entry {
  std::shared_ptr<const Alert> alert;
  uint64_t version = 0;  // grows with each published state
  std::chrono::nanoseconds published{0};
  uint64_t measured = 0;  // version whose delivery has been timed
  std::optional<Timestamp> delivered_at;
  std::vector<PerReceiver> receivers;  // a few; searched from the beginning
};

// Its sending half is used by one thread at a time; what is marked is under the outbox's lock.
struct Outbox::Receiver {
  Endpoint endpoint;
  uint64_t id = 0;
  std::unique_ptr<AlertPoster> poster;  // null: it could not be made, `broken` says why
  std::string broken;
  std::mt19937_64 random;  // jitter, so that many of us do not probe at once
  std::atomic<bool> cancelled = false;
  std::thread thread;

  // Under the lock.
  bool stopping = false;
  ReceiverStats stats;
  uint32_t failures = 0;  // in a row
  std::chrono::nanoseconds not_before{0};
};

inline Labels AllLabels(const Alert& alert, const Labels& external) {
  Labels labels = alert.labels;
  for (const Label& label : alert.identity) labels.Set(label.name, label.value);
  for (const Label& label : external) {
    if (!labels.Has(label.name)) labels.Set(label.name, label.value);
  }
  return labels;
}

}  // namespace basalt::notify
