// engine/ingest/rejection_log.h -- what was refused and why: counts since the start, and the latest
// with an example each, for people who look where their samples went.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/protocol.h"
#include "engine/ingest/report.h"

namespace basalt::ingest {

// Why a whole request was refused; the `reason` label of basalt_ingest_requests_refused_total.
enum class Refusal : uint8_t {
  kMalformed,    // cannot be decoded
  kTooLarge,     // beyond ingest.max_body
  kContentType,  // a type or coding that is not spoken
  kRateLimit,    // of its tenant
  kOverload,     // no room just now: too much in flight, the disk is full
  kUnavailable,  // starting, stopping
  kFailed,       // the store failed
};
inline constexpr size_t kRefusals = 7;
std::string_view RefusalName(Refusal refusal);
// How a store's error counts.
Refusal RefusalOf(const Status& status);

// One refusal, for people.
struct Rejection {
  Timestamp time;
  TenantId tenant = kDefaultTenant;
  Protocol protocol = Protocol::kRemoteWrite1;
  std::string_view reason;  // a ReasonName or RefusalName
  std::string example;      // names the field
};

// Thread-safe.
class RejectionLog {
 public:
  static constexpr size_t kKept = 100;             // of all reasons together
  static constexpr size_t kMaxExampleBytes = 512;  // the rest of a text is cut off

  // What was left out of a request; costs nothing if that is nothing.
  void Add(Timestamp now, TenantId tenant, Protocol protocol, const Report& report)
      BASALT_EXCLUDES(mu_);
  // A request that was refused whole.
  void Add(Timestamp now, TenantId tenant, Protocol protocol, Refusal refusal,
           std::string_view example) BASALT_EXCLUDES(mu_);

  struct OfReason {
    std::string_view reason;
    uint64_t count = 0;  // items, or requests
    std::optional<Rejection> last;
  };
  struct Summary {
    std::vector<OfReason> items;     // by Reason
    std::vector<OfReason> requests;  // by Refusal
    std::vector<Rejection> recent;   // newest first
  };
  [[nodiscard]] Summary Summarize() const BASALT_EXCLUDES(mu_);

 private:
  void Keep(Rejection rejection, std::optional<Rejection>& last) BASALT_REQUIRES(mu_);

  mutable Mutex mu_;
  std::array<uint64_t, kReasons> items_ BASALT_GUARDED_BY(mu_){};
  std::array<uint64_t, kRefusals> requests_ BASALT_GUARDED_BY(mu_){};
  std::array<std::optional<Rejection>, kReasons> last_item_ BASALT_GUARDED_BY(mu_);
  std::array<std::optional<Rejection>, kRefusals> last_request_ BASALT_GUARDED_BY(mu_);
  std::deque<Rejection> recent_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::ingest
