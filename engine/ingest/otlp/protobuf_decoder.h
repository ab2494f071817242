// engine/ingest/otlp/protobuf_decoder.h -- ExportMetricsServiceRequest in protobuf.
#pragma once

#include <memory>
#include <string_view>

#include "engine/base/status.h"
#include "engine/ingest/otlp/points.h"

namespace basalt::ingest::otlp {

class PointReader;

// One thread; reused, so that its lists keep their room.
class ProtobufDecoder {
 public:
  ProtobufDecoder();
  ~ProtobufDecoder();
  ProtobufDecoder(ProtobufDecoder&&) noexcept;
  ProtobufDecoder& operator=(ProtobufDecoder&&) noexcept;
  // Walks `message`. kInvalidArgument if the bytes do not parse; what was visited before that is
  // the caller's to throw away. Unknown fields are skipped.
  Status Decode(std::string_view message, Visitor& visitor);

 private:
  class Walk;
  // Room that is reused.
  Attributes attributes_;
  Scope scope_;
  std::unique_ptr<PointReader> points_;
};

}  // namespace basalt::ingest::otlp
