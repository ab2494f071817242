// engine/ingest/report.h -- what became of a request: how much was taken, what was refused, and
// why.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace basalt::ingest {

// Every refusal has one of these reasons; they are the `reason` label of
// basalt_ingest_rejected_total.
enum class Reason : uint8_t {
  kLabels,       // no name, not sorted, duplicated, not UTF-8, empty label name
  kLabelLimits,  // too many or too long
  kTimestamp,    // before 1970 or too far ahead
  kHistogram,    // inconsistent
  kExemplar,
  kMetadata,
  kReference,    // of a stream: a series number that was never defined
  kUnsupported,  // of a kind that is not known here
  kSyntax,       // of a line that could not be read, where the others could
  kSeriesLimit,  // new series beyond the tenant's number (tenants.h) that cannot be folded
  kFoldLimit,    // new counters beyond the number that may be folded (firewall.h)
  kDelta,        // of OTLP: overlaps what is counted already (otlp/delta_totals.h)
};
inline constexpr size_t kReasons = 12;
std::string_view ReasonName(Reason reason);

// One thread; reused by Reset().
class Report {
 public:
  // Details beyond this many are counted, not kept.
  static constexpr size_t kMaxDetails = 10;

  uint64_t samples = 0;
  uint64_t histograms = 0;
  uint64_t exemplars = 0;
  uint64_t metadata = 0;
  uint64_t finer_than_1ms = 0;  // floored times (protocols with nanoseconds)

  // `items`: samples, histograms, exemplars or entries that were dropped for it. `detail()` makes
  // the text that says why; it is only called while texts are kept, so that a request that is wrong
  // throughout costs no more than one that is right.
  template <typename Detail>
  void Reject(Reason reason, uint64_t items, const Detail& detail) {
    rejected_[static_cast<size_t>(reason)] += items;
    ++refusals_;
    if (details_.size() >= kMaxDetails) return;
    details_.push_back(detail());
    detail_reasons_.push_back(reason);
  }

  [[nodiscard]] uint64_t rejected(Reason reason) const {
    return rejected_[static_cast<size_t>(reason)];
  }
  [[nodiscard]] uint64_t rejected() const;
  [[nodiscard]] const std::vector<std::string>& details() const { return details_; }
  // Of each detail.
  [[nodiscard]] const std::vector<Reason>& detail_reasons() const { return detail_reasons_; }
  // "3 rejected: timeseries[4].labels: ...; ..." for the response; empty if nothing was.
  [[nodiscard]] std::string Message() const;
  void Reset() { *this = Report(); }

 private:
  std::array<uint64_t, kReasons> rejected_{};
  uint64_t refusals_ = 0;
  std::vector<std::string> details_;
  std::vector<Reason> detail_reasons_;
};

}  // namespace basalt::ingest
