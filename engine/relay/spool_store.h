// engine/relay/spool_store.h -- a store whose only room is a spool: what the write path has decoded
// and admitted goes to disk as messages for a Push stream, and is acknowledged then.
//
// So a relay speaks every protocol of the server, checks with the same rules, and answers alike;
// engine/ingest does not know the difference. Nothing can be read from it.
#pragma once

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/relay/spool.h"
#include "storage/resolver.h"
#include "storage/store.h"

namespace basalt::relay {

// Thread-safe. All arguments must outlive it.
class SpoolStore final : public storage::Store {
 public:
  // Appends wait for the disk on threads of `syncs`; beyond its queue they are refused with
  // kResourceExhausted. All that is appended must be of `tenant`.
  SpoolStore(Spool& spool, TenantId tenant, const Clock& clock, Executor& syncs);

  void Append(std::vector<storage::IngestBatch> batches, storage::AppendDone done) override;

  [[nodiscard]] uint64_t LastSequence(const Hash128& /*writer*/) const override { return 0; }
  Result<LogPosition> Delete(const storage::DeleteRequest& request) override;
  Status Settle() override { return OkStatus(); }
  void SealIfDue() override {}
  Status Checkpoint(const std::string& directory) override;
  Result<storage::ScrubReport> Scrub(const storage::ScrubOptions& options) override;
  [[nodiscard]] std::vector<storage::Damage> Quarantine() const override { return {}; }
  void Observe(storage::ApplyObserver* observer,
               const std::function<void(PartitionId)>& at_cut) override;
  [[nodiscard]] const storage::Reader& reader() const override { return reader_; }
  [[nodiscard]] storage::Resolver& resolver() override { return resolver_; }
  [[nodiscard]] storage::StoreStats Stats() const override { return {}; }
  Status Close() override { return OkStatus(); }

 private:
  // Knows no series, so that each comes with its labels.
  class Stranger final : public storage::SeriesFinder {
   public:
    [[nodiscard]] SeriesOrdinal FindSeries(PartitionId, const SeriesId&) const override {
      return kUnknownOrdinal;
    }
    void FillIds(PartitionId, std::span<storage::BatchSeries>) const override {}
  };
  class NoReader final : public storage::Reader {
   public:
    [[nodiscard]] uint32_t partition_count() const override { return 1; }
    Result<std::shared_ptr<const storage::Snapshot>> TakeSnapshot(
        std::optional<LogPosition> at_least, Duration timeout) const override;
  };

  Spool& spool_;
  const TenantId tenant_;
  const Clock& clock_;
  Executor& syncs_;
  Stranger stranger_;
  NoReader reader_;
  storage::Resolver resolver_;
};

}  // namespace basalt::relay
