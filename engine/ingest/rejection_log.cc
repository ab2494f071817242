#include "engine/ingest/rejection_log.h"

#include <utility>

namespace basalt::ingest {

std::string_view ProtocolName(Protocol protocol) {
  static constexpr std::array<std::string_view, kProtocols> kNames = {
      "remote_write_1",  "remote_write_2", "push",       "otlp",
      "prometheus_text", "openmetrics",    "json_lines", "native",
  };
  return kNames[static_cast<size_t>(protocol)];
}

std::string_view RefusalName(Refusal refusal) {
  static constexpr std::array<std::string_view, kRefusals> kNames = {
      "malformed", "too_large", "content_type", "rate_limit", "overload", "unavailable", "failed"};
  return kNames[static_cast<size_t>(refusal)];
}

Refusal RefusalOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return Refusal::kMalformed;
    case StatusCode::kUnimplemented:
      return Refusal::kContentType;
    case StatusCode::kResourceExhausted:
      return Refusal::kOverload;
    case StatusCode::kUnavailable:
    case StatusCode::kCancelled:
    case StatusCode::kDeadlineExceeded:
      return Refusal::kUnavailable;
    default:
      return Refusal::kFailed;
  }
}

namespace {

// A prefix that does not end inside a character of UTF-8.
std::string Shortened(std::string_view text) {
  if (text.size() <= RejectionLog::kMaxExampleBytes) return std::string(text);
  size_t end = RejectionLog::kMaxExampleBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

void RejectionLog::Keep(Rejection rejection, std::optional<Rejection>& last) {
  last = rejection;
  recent_.push_front(std::move(rejection));
  if (recent_.size() > kKept) recent_.pop_back();
}

void RejectionLog::Add(Timestamp now, TenantId tenant, Protocol protocol, const Report& report) {
  if (report.details().empty()) return;
  const MutexLock lock(mu_);
  for (size_t i = 0; i < kReasons; ++i) items_[i] += report.rejected(static_cast<Reason>(i));
  for (size_t i = 0; i < report.details().size(); ++i) {
    const Reason reason = report.detail_reasons()[i];
    Keep({.time = now,
          .tenant = tenant,
          .protocol = protocol,
          .reason = ReasonName(reason),
          .example = Shortened(report.details()[i])},
         last_item_[static_cast<size_t>(reason)]);
  }
}

void RejectionLog::Add(Timestamp now, TenantId tenant, Protocol protocol, Refusal refusal,
                       std::string_view example) {
  const MutexLock lock(mu_);
  ++requests_[static_cast<size_t>(refusal)];
  Keep({.time = now,
        .tenant = tenant,
        .protocol = protocol,
        .reason = RefusalName(refusal),
        .example = Shortened(example)},
       last_request_[static_cast<size_t>(refusal)]);
}

RejectionLog::Summary RejectionLog::Summarize() const {
  Summary out;
  const MutexLock lock(mu_);
  for (size_t i = 0; i < kReasons; ++i)
    out.items.push_back({ReasonName(static_cast<Reason>(i)), items_[i], last_item_[i]});
  for (size_t i = 0; i < kRefusals; ++i) {
    out.requests.push_back({RefusalName(static_cast<Refusal>(i)), requests_[i], last_request_[i]});
  }
  out.recent.assign(recent_.begin(), recent_.end());
  return out;
}

}  // namespace basalt::ingest
