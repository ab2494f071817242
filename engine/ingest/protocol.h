// engine/ingest/protocol.h -- the ways in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace basalt::ingest {

// The `protocol` label of basalt_ingest_*.
enum class Protocol : uint8_t {
  kRemoteWrite1,
  kRemoteWrite2,
  kPush,
  kOtlp,
  kExposition,
  kOpenMetrics,
  kJsonLines,
  kNative,
};
inline constexpr size_t kProtocols = 8;
// "remote_write_1", ...
std::string_view ProtocolName(Protocol protocol);

}  // namespace basalt::ingest
