// engine/ingest/media_type.h -- what a Content-Type says (RFC 9110): type and names of parameters
// do not depend on case, values may be quoted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace basalt::ingest {

// "application/json" of "Application/JSON; charset=utf-8". Empty if there is none.
std::string MediaType(std::string_view content_type);

// The value of the parameter `name`, which is given in lower case, without its quotes. It points
// into `content_type`; of several the last. nullopt: it is not there.
std::optional<std::string_view> MediaTypeParameter(std::string_view content_type,
                                                   std::string_view name);

}  // namespace basalt::ingest
