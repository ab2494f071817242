// engine/ingest/otlp/json_decoder.h -- ExportMetricsServiceRequest in OTLP's JSON.
//
// Protobuf's JSON mapping with OTLP's exceptions: ids of traces and spans in hex, enums as numbers
// (their names are taken, too). Field names may be in lowerCamelCase or as in the .proto.
#pragma once

#include <memory>
#include <string_view>

#include "engine/base/status.h"
#include "engine/ingest/otlp/points.h"

namespace basalt::ingest::otlp {

// One thread; reused.
class JsonDecoder {
 public:
  JsonDecoder();
  ~JsonDecoder();
  JsonDecoder(JsonDecoder&&) noexcept;
  JsonDecoder& operator=(JsonDecoder&&) noexcept;

  // Walks `message`. kInvalidArgument naming the field if it is no JSON or a value is of the wrong
  // type; what was visited before that is the caller's to throw away. Unknown fields are skipped.
  Status Decode(std::string_view message, Visitor& visitor);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::ingest::otlp
