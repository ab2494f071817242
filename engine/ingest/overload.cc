#include "engine/ingest/overload.h"

#include <algorithm>
#include <array>

namespace basalt::ingest {
namespace {

// How they begin. Whoever embeds the client and does not name itself is the first.
constexpr std::array<std::string_view, 4> kDrop429 = {"Prometheus/", "GrafanaAgent/", "Alloy/",
                                                      "opentelemetry-collector"};

}  // namespace

int OverloadStatusFor(OverloadStatus configured, std::string_view user_agent) {
  switch (configured) {
    case OverloadStatus::k429:
      return 429;
    case OverloadStatus::k503:
      return 503;
    case OverloadStatus::kBySender:
      break;
  }
  const bool drops = std::any_of(kDrop429.begin(), kDrop429.end(), [&](std::string_view begin) {
    return user_agent.starts_with(begin);
  });
  return drops ? 503 : 429;
}

}  // namespace basalt::ingest
