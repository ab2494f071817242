// engine/ingest/push_decoder.h -- the messages of one Push stream (proto/basalt/v1/ingest.proto)
// into batches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// What a message said besides its columns.
struct PushHeader {
  bool is_hello = false;
  std::string_view writer;  // of hello; into the message
  uint64_t seq = 0;
};

// Holds the stream's references. One thread, one stream.
class PushDecoder {
 public:
  // A reference table above this is a mistake or an attack: 4 Mi entries are ~260 MB.
  static constexpr uint32_t kMaxReferences = 4u << 20;

  explicit PushDecoder(const Limits& limits) : limits_(limits) {}

  // As RemoteWriteDecoder::Decode. After kInvalidArgument the stream must end: its references are
  // not to be trusted.
  Result<PushHeader> Decode(std::string_view message, Timestamp now, storage::BatchBuilder& builder,
                            Report& report);

 private:
  // A series of the stream as it was defined.
  struct Reference {
    Hash128 fingerprint;
    std::string labels;  // canonical; kept only until its ordinal is known
    bool defined = false;
  };
  class Message;

  Limits limits_;
  // By reference. The usual scrape looks at the first two columns only, in order.
  std::vector<SeriesOrdinal> ordinals_;  // kUnknownOrdinal: undefined, or not known yet
  std::vector<PartitionId> partitions_;
  std::vector<Reference> references_;
  std::vector<double> values_;  // of a block
  std::vector<std::string_view> symbols_;
  std::vector<LabelView> labels_;
};

}  // namespace basalt::ingest
