#include "engine/ingest/metadata_filter.h"

#include <string>

namespace basalt::ingest {
namespace {

Hash128 KeyOf(TenantId tenant, const Hash128& fingerprint) {
  return {fingerprint.high ^ static_cast<uint64_t>(tenant) * 0x9E37'79B9'7F4A'7C15U,
          fingerprint.low};
}

}  // namespace

void MetadataFilter::BeginRequest(Timestamp now) {
  if (now < forget_at_) return;
  passed_on_.clear();
  forget_at_ = now + kRepeat;
}

bool MetadataFilter::IsNews(TenantId tenant, const storage::MetadataEntry& entry) {
  std::string key = entry.metric;
  for (const std::string* text : {&entry.help, &entry.unit}) {
    key += '\0';
    key += *text;
  }
  key += static_cast<char>(entry.type);
  return PassOn(tenant, HashBytes128(key));
}

bool MetadataFilter::WasPassedOn(TenantId tenant, const Hash128& fingerprint) const {
  return passed_on_.contains(KeyOf(tenant, fingerprint));
}

bool MetadataFilter::PassOn(TenantId tenant, const Hash128& fingerprint) {
  if (passed_on_.size() >= kMaxPassedOn) passed_on_.clear();
  return passed_on_.insert(KeyOf(tenant, fingerprint)).second;
}

}  // namespace basalt::ingest
