#include "engine/ingest/report.h"

#include <numeric>

namespace basalt::ingest {

std::string_view ReasonName(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {
      "labels",    "label_limits", "timestamp", "histogram",    "exemplar",   "metadata",
      "reference", "unsupported",  "syntax",    "series_limit", "fold_limit", "delta"};
  return kNames[static_cast<size_t>(reason)];
}

uint64_t Report::rejected() const {
  return std::accumulate(rejected_.begin(), rejected_.end(), uint64_t{0});
}

std::string Report::Message() const {
  if (refusals_ == 0) return {};
  std::string text = std::to_string(rejected()) + " rejected, the rest is stored: ";
  for (size_t i = 0; i < details_.size(); ++i) {
    if (i > 0) text += "; ";
    text += details_[i];
  }
  if (refusals_ > details_.size())
    text += "; and " + std::to_string(refusals_ - details_.size()) + " more";
  return text;
}

}  // namespace basalt::ingest
