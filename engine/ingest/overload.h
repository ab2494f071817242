// engine/ingest/overload.h -- how a sender over HTTP is told that there is no room just now.
#pragma once

#include <cstdint>
#include <string_view>

namespace basalt::ingest {

// 429 says best what is meant, and most senders wait at it. Those that are built on Prometheus' own
// client drop what is answered so (unless `retry_on_http_429` is set, which it is not by default)
// and keep what is answered 503.
enum class OverloadStatus : uint8_t { kBySender, k429, k503 };

// 429 or 503. `user_agent`: the request's.
int OverloadStatusFor(OverloadStatus configured, std::string_view user_agent);

}  // namespace basalt::ingest
