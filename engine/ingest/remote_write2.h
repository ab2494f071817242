// engine/ingest/remote_write2.h -- Prometheus remote write 2.0 (io.prometheus.write.v2.Request)
// into batches.
//
// Wire: prompb/io/prometheus/write/v2/types.proto of Prometheus. Texts come once, in a table of
// symbols; series refer to them, and carry their metadata and start timestamps along.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// As RemoteWriteDecoder (remote_write.h), for 2.0. One thread.
class RemoteWrite2Decoder {
 public:
  static constexpr Duration kMetadataRepeat = std::chrono::minutes(10);
  static constexpr size_t kMaxPassedOn = 1u << 16;

  explicit RemoteWrite2Decoder(const Limits& limits) : limits_(limits) {}
  Status Decode(std::string_view message, Timestamp now, storage::BatchBuilder& builder,
                Report& report, TenantId tenant = kDefaultTenant);

 private:
  class Series;
  bool IsNews(TenantId tenant, const storage::MetadataEntry& entry);

  Limits limits_;
  std::vector<std::string_view> symbols_;
  std::vector<LabelView> labels_;
  std::string canonical_;
  // Metadata comes with every series of every request and hardly ever changes: what was passed on
  // is not passed on again for kMetadataRepeat. (Passed on is not stored: a request may fail, so it
  // is repeated.)
  absl::flat_hash_set<Hash128, Hash128Hash> passed_on_;
  Timestamp forget_at_{};
};

}  // namespace basalt::ingest
