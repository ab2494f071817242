#include "engine/notify/alert.h"

namespace basalt::notify {

Hash128 Fingerprint(const Labels& identity) {
  std::string bytes;
  AppendCanonical(identity, bytes);
  return HashBytes128(bytes);
}

Hash128 Fingerprint(const Alert& alert) { return Fingerprint(alert.identity); }

}  // namespace basalt::notify
