#include "engine/ingest/acceptor.h"

#include "engine/ingest/series_labels.h"

namespace basalt::ingest {

void Acceptor::AddHistogram(const Place& place, int64_t ms, NativeHistogram histogram,
                            int64_t start_ms) {
  if (!TimeFits(place, "histograms", ms)) return;
  if (const Status status = ValidateHistogram(histogram); !status.ok()) {
    return report_.Reject(Reason::kHistogram, 1, [&] {
      return place.Text() + ".histograms: " + std::string(status.message());
    });
  }
  builder_.AddHistogram(ms, std::move(histogram), start_ms);
  ++report_.histograms;
}

void Acceptor::AddExemplar(const Place& place, int64_t ms, double value,
                           std::vector<LabelView>& labels) {
  if (!TimeFits(place, "exemplars", ms)) return;
  if (const Status status = NormalizeExemplarLabels(limits_, labels); !status.ok()) {
    return report_.Reject(Reason::kExemplar, 1, [&] {
      return place.Text() + ".exemplars: " + std::string(status.message());
    });
  }
  builder_.AddExemplar(ms, value, labels);
  ++report_.exemplars;
}

bool Acceptor::CheckMetadataEntry(const Place& place, const storage::MetadataEntry& entry) {
  if (const Status status = CheckMetadata(limits_, entry); !status.ok()) {
    report_.Reject(Reason::kMetadata, 1,
                   [&] { return place.Text() + "." + std::string(status.message()); });
    return false;
  }
  ++report_.metadata;
  return true;
}

void Acceptor::RejectTime(const Place& place, const char* what, int64_t ms) {
  report_.Reject(Reason::kTimestamp, 1, [&] {
    return place.Text() + "." + what + ".timestamp: " + std::to_string(ms) +
           (ms < kMinSampleMs ? " ms is before 1970"
                              : " ms is too far ahead of the server's clock");
  });
}

}  // namespace basalt::ingest
