// engine/ingest/remote_write.h -- Prometheus remote write 1.0 (prometheus.WriteRequest) into
// batches, without a copy.
//
// Wire: prompb/remote.proto and prompb/types.proto of Prometheus, fields as in proto/README.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// Adds everything in `message` (a decompressed WriteRequest) to `builder`. Views into `message` do
// not outlive the call.
//
// Series, samples, histograms and exemplars that break a rule are left out and stand in `report`;
// the others are added. kInvalidArgument: the bytes are no WriteRequest (cut short, wrong wire
// type); the message says where, and what `builder` holds must be thrown away. `now` bounds times
// ahead. Scratch space is kept between calls. One thread.
class RemoteWriteDecoder {
 public:
  explicit RemoteWriteDecoder(const Limits& limits) : limits_(limits) {}
  Status Decode(std::string_view message, Timestamp now, storage::BatchBuilder& builder,
                Report& report);
  // The labels of the first series of the message that was decoded last, as sent; false if it had
  // none. Views into that message.
  bool FirstLabels(std::vector<LabelView>& labels) const;

 private:
  struct Context;
  void DecodeSeries(std::string_view message, Context& context);

  Limits limits_;
  std::vector<LabelView> labels_;
  std::string_view first_series_;
  std::string scratch_;
};

}  // namespace basalt::ingest
