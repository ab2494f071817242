#include "engine/relay/spool_store.h"

#include <memory>
#include <utility>

#include "engine/rpc/push_relay.h"

namespace basalt::relay {
namespace {

constexpr const char* kNothingHere = "a relay stores nothing; ask its server";

}  // namespace

SpoolStore::SpoolStore(Spool& spool, TenantId tenant, const Clock& clock, Executor& syncs)
    : spool_(spool),
      tenant_(tenant),
      clock_(clock),
      syncs_(syncs),
      resolver_({.partitions = 1, .max_fingerprints = 1024}, stranger_) {}

void SpoolStore::Append(std::vector<storage::IngestBatch> batches, storage::AppendDone done) {
  for (const storage::IngestBatch& batch : batches) {
    if (batch.tenant == tenant_) continue;
    return done(InvalidArgument("tenant " + std::to_string(static_cast<uint32_t>(batch.tenant)) +
                                ": this relay writes for tenant " +
                                std::to_string(static_cast<uint32_t>(tenant_)) + " (--tenant)"));
  }
  Result<std::string> message = rpc::EncodePushMessage(batches);
  if (!message.ok()) return done(message.status());
  // std::function wants copyable.
  auto shared = std::make_shared<std::pair<std::string, storage::AppendDone>>(*std::move(message),
                                                                              std::move(done));
  const bool posted = syncs_.Post([this, shared] {
    const Result<uint64_t> number = spool_.Append(clock_.Now(), shared->first);
    if (!number.ok()) return shared->second(number.status());
    storage::AppendResult result;
    result.token = {.lane = 0, .seq = *number};
    shared->second(result);
  });
  if (!posted) shared->second(ResourceExhausted("too many requests wait for the spool's disk"));
}

Result<LogPosition> SpoolStore::Delete(const storage::DeleteRequest& /*request*/) {
  return Unimplemented(kNothingHere);
}

Status SpoolStore::Checkpoint(const std::string& /*directory*/) {
  return Unimplemented(kNothingHere);
}

Result<storage::ScrubReport> SpoolStore::Scrub(const storage::ScrubOptions& /*options*/) {
  return Unimplemented(kNothingHere);
}

void SpoolStore::Observe(storage::ApplyObserver* /*observer*/,
                         const std::function<void(PartitionId)>& /*at_cut*/) {
  BASALT_CHECK(false, "a relay's store cannot be observed");
}

Result<std::shared_ptr<const storage::Snapshot>> SpoolStore::NoReader::TakeSnapshot(
    std::optional<LogPosition> /*at_least*/, Duration /*timeout*/) const {
  return Unavailable(kNothingHere);
}

}  // namespace basalt::relay
