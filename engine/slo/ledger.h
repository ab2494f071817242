// engine/slo/ledger.h -- what people have said about budgets afterwards or beforehand: times that
// do not count, because of maintenance or because of somebody else's outage.
//
// An exclusion masks events by their time, in budgets and in the windows of alerts, whenever it is
// entered; taking it back restores every number. The file is YAML, replaced atomically.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/slo/recurrence.h"

namespace basalt::slo {

struct Exclusion {
  std::string id;       // the ledger gives it
  std::string slo;      // an id; empty: every SLO
  Labels group;         // groups that have all of these; empty: every group
  int64_t from_ms = 0;  // (from, to]: widened to whole minutes
  int64_t to_ms = 0;
  std::string rrule;  // empty: once
  std::string zone;   // of the rule's local times; empty: UTC
  std::string reason;
  std::string author;
  std::string ticket;
  int64_t created_ms = 0;
  int64_t removed_ms = 0;                        // 0: in force
  std::shared_ptr<const Recurrence> recurrence;  // of rrule

  [[nodiscard]] bool Covers(const std::string& slo_id, const Labels& group_labels) const;
  [[nodiscard]] std::vector<TimeSpan> Within(TimeSpan span) const;
};

// Entries that a ledger holds, removed ones included.
inline constexpr size_t kMaxExclusions = 10'000;

// Thread-safe.
class Ledger {
 public:
  // Reads `path` if it exists. kDataLoss if it is not a ledger; kUnavailable if it cannot be read.
  static Result<std::unique_ptr<Ledger>> Open(const std::string& path);

  // Checks, gives an id, and makes it durable. kInvalidArgument names the field; kResourceExhausted
  // beyond kMaxExclusions; kUnavailable if it cannot be written, and then it does not hold.
  Result<Exclusion> Add(Exclusion exclusion, int64_t now_ms) BASALT_EXCLUDES(mu_);
  // It does not hold any more; the entry stays, with the time. kNotFound.
  Status Remove(const std::string& id, int64_t now_ms) BASALT_EXCLUDES(mu_);
  // All of them, removed ones too, oldest first.
  [[nodiscard]] std::vector<Exclusion> All() const BASALT_EXCLUDES(mu_);

 private:
  explicit Ledger(std::string path) : path_(std::move(path)) {}
  Status Write(const std::vector<Exclusion>& entries) const;

  const std::string path_;
  mutable Mutex mu_;
  std::vector<Exclusion> entries_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::slo
