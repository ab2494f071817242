#include "engine/ingest/metadata_filter.h"

#include <string>

namespace basalt::ingest {

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
  if (passed_on_.size() >= kMaxPassedOn) passed_on_.clear();
  return passed_on_.insert(HashBytes128(key, static_cast<uint64_t>(tenant))).second;
}

}  // namespace basalt::ingest
