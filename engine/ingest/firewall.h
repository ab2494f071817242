// engine/ingest/firewall.h -- the cardinality firewall: new counters beyond a tenant's active
// series are folded into `__other__` series with sums preserved, instead of being stored or lost.
//
// Two steps. Screen, where a request is admitted, takes the samples of series that are folded out
// of its batches. Append gives the store what is left, together with the sums that the folded
// samples have come to; one such append after another, so that the sums stand in the log in the
// order in which they rose. Why so, and what survives what: docs/0001-cardinality-firewall.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/record_file.h"
#include "engine/ingest/batch_surgery.h"
#include "engine/ingest/fold_cache.h"
#include "engine/ingest/fold_rules.h"
#include "engine/ingest/fold_table.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/store.h"

namespace basalt::ingest {

// What of a request is folded, between Screen and Append.
struct Folds {
  struct Exemplar {
    FoldGroup group{0};
    storage::ExemplarSample sample;
  };
  std::vector<FoldedSample> samples;
  std::vector<Exemplar> exemplars;
  storage::WriterSequence writer;  // of the request
  [[nodiscard]] bool empty() const { return samples.empty() && exemplars.empty(); }
};

// Thread-safe. `store` and `clock` must outlive it.
class Firewall {
 public:
  // At least so long between two looks for members that are idle, when a tenant has no room for
  // more.
  static constexpr Duration kSweep = std::chrono::minutes(1);
  // The journal is written anew when it is longer than this and than twice what is in it.
  static constexpr uint64_t kRewriteBytes = 8u << 20;

  Firewall(storage::Store& store, const Clock& clock);
  ~Firewall();
  Firewall(const Firewall&) = delete;
  Firewall& operator=(const Firewall&) = delete;

  // Keeps its state in this file from now on, and begins with what is there. Without it a restart
  // forgets what members had, and their sums go on where the store's are.
  Status Open(const std::string& path) BASALT_EXCLUDES(mu_);
  // Reads such a file and says what in it is damaged; writes nothing.
  static Result<std::vector<RecordFile::Damage>> Check(const std::string& path);

  // Members by their fingerprints, for builders (BatchBuilder::SetAside) whose batches come to
  // TakeMembers.
  [[nodiscard]] const storage::SeriesAside& cache() const { return cache_; }
  // Whether a builder may have found a member there.
  [[nodiscard]] bool may_recall() const { return cache_.in_use(); }

  // Which series TakeMembers looks at.
  enum class Members : uint8_t {
    kAll,
    kRecalled,  // that a builder has found in the cache, and which nobody else can take
  };
  // Takes series that are folded already out of `batches`, whatever room there is: a series does
  // not go back and forth.
  void TakeMembers(TenantId tenant, Members which, std::vector<storage::IngestBatch>& batches,
                   Folds& folds) BASALT_EXCLUDES(mu_);
  // Of the series of `batches` that are new, the first `room` stay. All others are folded or, if
  // they are no counters or the tenant has limits.max_folded_series, left out and reported.
  // `active` is for the message.
  void Screen(TenantId tenant, size_t room, uint64_t active, const Limits& limits,
              std::vector<storage::IngestBatch>& batches, Report& report, Folds& folds)
      BASALT_EXCLUDES(mu_);
  // Store::Append of `batches` and the sums of `folds`. `done` may be called before this returns.
  void Append(TenantId tenant, Folds folds, std::vector<storage::IngestBatch> batches,
              storage::AppendDone done) BASALT_EXCLUDES(mu_);

  // Of one tenant, for people.
  struct Use {
    TenantId tenant = kDefaultTenant;
    uint64_t folded_series = 0;  // members
    uint64_t into_series = 0;    // groups
    uint64_t memory_bytes = 0;
    uint64_t samples = 0;  // folded since the start
    uint64_t late = 0;     // of these: older than their member's newest, or sent again
    uint64_t not_finite = 0;
    std::string example;  // the series folded last, and what stands for it
    std::string example_into;
  };
  [[nodiscard]] std::vector<Use> Uses() const BASALT_EXCLUDES(mu_);

 private:
  struct Tenant {
    FoldTable table;
    FoldRules rules;
    std::chrono::nanoseconds swept{-1};
    uint64_t samples = 0;
    uint64_t late = 0;
    uint64_t not_finite = 0;
    std::string example;
    std::string example_into;
  };
  class Knowledge;
  // What becomes of the new series of a batch.
  struct Verdicts;
  // Collects what `verdicts` folds, then takes it and what they refuse out of `batches`. Returns
  // what was refused.
  static LeftOut Carry(const std::vector<Verdicts>& verdicts,
                       std::vector<storage::IngestBatch>& batches, Folds& folds);
  // Makes the series a member if it may be one. `is_full`: only the second limit is in its way.
  std::optional<FoldGroup> AddMember(FoldMember member, std::span<const LabelView> labels,
                                     const Limits& limits, const FoldKnowledge& knowledge,
                                     Tenant& tenant, bool& is_full) BASALT_REQUIRES(mu_);
  // The folded samples into the table, and the sums they come to, at each of their times, into
  // batches.
  std::vector<storage::IngestBatch> Sum(TenantId id, Folds& folds, Tenant& tenant)
      BASALT_REQUIRES(mu_);
  // Finds the series, which is a member, by its fingerprints from now on.
  void Remember(const storage::BatchSeries& series) BASALT_REQUIRES(mu_);
  void CompareWithStore(TenantId id, FoldGroup group, Tenant& tenant) BASALT_REQUIRES(mu_);
  void WriteJournal(TenantId id, const Tenant& tenant, const Folds& folds) BASALT_REQUIRES(mu_);
  Status RewriteJournal() BASALT_REQUIRES(mu_);
  Tenant& TenantOf(TenantId id) BASALT_REQUIRES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  FoldCache cache_;  // changed under mu_
  mutable Mutex mu_;
  std::map<TenantId, std::unique_ptr<Tenant>> tenants_ BASALT_GUARDED_BY(mu_);
  std::unique_ptr<RecordFile> journal_ BASALT_GUARDED_BY(mu_);  // null: none
  std::string path_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::ingest
