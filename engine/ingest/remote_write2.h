// engine/ingest/remote_write2.h -- Prometheus remote write 2.0 (io.prometheus.write.v2.Request)
// into batches.
//
// Wire: prompb/io/prometheus/write/v2/types.proto of Prometheus. Texts come once, in a table of
// symbols; series refer to them, and carry their metadata and start timestamps along.
//
// A series is known by the hashes of its symbols, in order; each symbol is hashed once a request,
// when a series first refers to it. So the usual series spells out no text, whatever table of
// symbols it came with, and neither does the usual metadata.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/metadata_filter.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// As RemoteWriteDecoder (remote_write.h), for 2.0. One thread.
class RemoteWrite2Decoder {
 public:
  explicit RemoteWrite2Decoder(const Limits& limits) : limits_(limits) {}
  Status Decode(std::string_view message, Timestamp now, storage::BatchBuilder& builder,
                Report& report, TenantId tenant = kDefaultTenant);
  // As RemoteWriteDecoder::FirstLabels.
  bool FirstLabels(std::vector<LabelView>& labels) const;

 private:
  class Series;
  // Fills symbols_ and series_. Throws protozero's exceptions.
  void ReadFields(std::string_view message);

  Limits limits_;
  // Of the request, by number; a hash of zero is not computed yet.
  std::vector<std::string_view> symbols_;
  std::vector<Hash128> hashes_;
  std::vector<std::string_view> series_;  // as sent
  std::vector<uint32_t> refs_;            // of a series' labels
  std::vector<uint32_t> first_refs_;
  std::vector<LabelView> labels_;
  MetadataFilter metadata_;
};

}  // namespace basalt::ingest
