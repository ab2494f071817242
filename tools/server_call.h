// tools/server_call.h -- one call of a running server's API, for commands.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::cli {

// The body of an answer with a status of 2xx. kUnavailable if nobody answers; otherwise the
// server's own words.
Result<std::string> CallServer(const std::string& url, std::string_view method,
                               std::string_view path);

}  // namespace basalt::cli
