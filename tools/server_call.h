// tools/server_call.h -- one call of a running server's API, for commands, and the server's words
// when it refuses.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::cli {

// The body of an answer with a status of 2xx. kUnavailable if nobody answers; otherwise the
// server's own words.
Result<std::string> CallServer(const std::string& url, std::string_view method,
                               std::string_view path);

// Of an answer that is not 2xx: its JSON's "error", else the status and the beginning of `body`.
std::string RefusalText(int status, std::string_view body);

}  // namespace basalt::cli
