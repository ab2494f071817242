// engine/ingest/tenants.h -- what each tenant may send, and what it does send.
//
// Decided before the log, so that apply stays a pure function: a request beyond the tenant's rate
// is refused whole (429, to be sent again); series beyond its number are folded (firewall.h) or
// left out, counted and named, while the samples of all other series are stored.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/ingest/batch_surgery.h"
#include "engine/ingest/firewall.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/store.h"

namespace basalt::ingest {

// The limits of all tenants.
struct LimitTable {
  LimitTable() = default;
  LimitTable(const Limits& limits)
      : all(limits) {}  // NOLINT(google-explicit-constructor): the same for all

  Limits all;                          // of whoever is not named
  std::map<TenantId, Limits> tenants;  // whole: what is not said for one is `all`'s

  [[nodiscard]] const Limits& Of(TenantId tenant) const {
    const auto found = tenants.find(tenant);
    return found == tenants.end() ? all : found->second;
  }
};

// "7 max_samples_per_second=1000 max_active_series=50000": a tenant's own limits, over `all`. Keys
// are those of `ingest.` in the configuration. kInvalidArgument naming the word that is wrong.
Result<std::pair<TenantId, Limits>> ParseTenantLimits(std::string_view text, const Limits& all);

// Counts the series of a tenant that are active now.
using CountActiveSeries = std::function<Result<uint64_t>(TenantId)>;
// By the store's index: a series is active while it has a sample on a UTC day that reaches into the
// last hour.
CountActiveSeries CountByIndex(const storage::Store& store, const Clock& clock);

// Thread-safe. `clock` and `firewall` must outlive it.
class Tenants {
 public:
  // How often the active series of a tenant with a limit are counted; in between, new ones are
  // added.
  static constexpr Duration kRecount = std::chrono::seconds(60);
  // A tenant that paused may send this much at once.
  static constexpr Duration kBurst = std::chrono::seconds(10);
  // Tenants whose use is remembered; beyond it those that sent nothing lately are forgotten.
  static constexpr size_t kMaxTenants = 10'000;

  // Without a firewall nothing is folded.
  Tenants(CountActiveSeries count, const Clock& clock, LimitTable limits,
          Firewall* firewall = nullptr);

  [[nodiscard]] std::shared_ptr<const LimitTable> limits() const BASALT_EXCLUDES(mu_);
  // From the next request on.
  void SetLimits(LimitTable limits) BASALT_EXCLUDES(mu_);

  // What a decoded request may store. OK: `batches` is what is left of it, and what was left out
  // stands in `report`. kResourceExhausted: beyond the tenant's rate; nothing may be stored, and
  // `retry_after_seconds` says when to come again.
  struct Admission {
    Status status;
    int retry_after_seconds = 0;
    Folds folds;  // what else is to be stored, by Firewall::Append
  };
  Admission Admit(TenantId tenant, std::vector<storage::IngestBatch>& batches, Report& report)
      BASALT_EXCLUDES(mu_);
  // An admitted request was stored.
  void Stored(TenantId tenant, const storage::AppendResult& result) BASALT_EXCLUDES(mu_);

  struct Use {
    TenantId tenant = kDefaultTenant;
    uint64_t samples = 0;  // admitted since the start
    uint64_t series_created = 0;
    std::optional<uint64_t> active_series;  // counted for tenants with a limit only
    uint64_t max_samples_per_second = 0;    // 0: unlimited
    uint64_t max_active_series = 0;
  };
  [[nodiscard]] std::vector<Use> Uses() const BASALT_EXCLUDES(mu_);

 private:
  struct State {
    uint64_t samples = 0;
    uint64_t series_created = 0;
    double tokens = 0;  // samples that may come now; below 0 after a request larger than that
    std::chrono::nanoseconds filled{-1};  // when `tokens` was right; -1: never
    uint64_t active_series = 0;
    std::chrono::nanoseconds counted{-1};
    bool counting = false;
    std::chrono::nanoseconds last_used{0};
  };
  State& StateOf(TenantId tenant) BASALT_REQUIRES(mu_);
  // Brings the count up to date if it is old; one caller counts, the others go on with the old one.
  void Recount(TenantId tenant) BASALT_EXCLUDES(mu_);

  const CountActiveSeries count_;
  const Clock& clock_;
  Firewall* const firewall_;
  mutable Mutex mu_;
  std::shared_ptr<const LimitTable> limits_ BASALT_GUARDED_BY(mu_);
  std::unordered_map<TenantId, State> states_ BASALT_GUARDED_BY(mu_);
};

// Takes the new series beyond the first `room` out of `batches`, with everything of theirs.
// `example` becomes the labels of the first.
LeftOut LeaveOutNewSeries(size_t room, std::vector<storage::IngestBatch>& batches,
                          std::string& example);

}  // namespace basalt::ingest
