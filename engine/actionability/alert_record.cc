#include "engine/actionability/alert_record.h"

#include <array>
#include <bit>
#include <cstdio>
#include <utility>

#include "engine/base/varint.h"

// Payload of kind 1: varint kind, varint id, varint flags (below), zigzag ms of startsAt and of
// publication, then what the flags announce, in their order: endsAt, delivery (ms, string to whom),
// acknowledgement (ms, string by whom), feedback (varint verdict, varint bits of the minutes'
// double, zigzag ms, strings by, ticket, note); then strings: canonical identity and labels.

namespace basalt::actionability {
namespace {

constexpr uint64_t kKind = 1;
constexpr uint64_t kPage = 1;
constexpr uint64_t kFlap = 2;
constexpr uint64_t kEnded = 4;
constexpr uint64_t kDelivered = 8;
constexpr uint64_t kAcknowledged = 16;
constexpr uint64_t kFeedback = 32;

constexpr std::array<std::pair<std::string_view, Verdict>, 4> kVerdicts = {
    {{"yes", Verdict::kActionable},
     {"no", Verdict::kNotActionable},
     {"self_healed", Verdict::kSelfHealed},
     {"vendor", Verdict::kVendor}}};

void AppendTime(Timestamp time, std::string& out) { AppendVarint(ZigZag(ToMs(time)), out); }
void AppendLabels(const Labels& labels, std::string& out) {
  std::string bytes;
  AppendCanonical(labels, bytes);
  AppendString(bytes, out);
}

class Fields {
 public:
  explicit Fields(std::string_view payload) : reader_(payload) {}
  uint64_t Number() {
    uint64_t value = 0;
    ok_ = ok_ && reader_.Read(value);
    return value;
  }
  Timestamp Time() {
    int64_t ms = 0;
    ok_ = ok_ && reader_.ReadSigned(ms);
    return FromMs(ms);
  }
  std::string Text() {
    std::string_view text;
    ok_ = ok_ && reader_.ReadString(text);
    return std::string(text);
  }
  Labels LabelSet() {
    const std::string bytes = Text();
    Result<Labels> labels = LabelsFromCanonical(bytes);
    ok_ = ok_ && labels.ok();
    return labels.ok() ? *std::move(labels) : Labels();
  }
  [[nodiscard]] bool done() const { return ok_ && reader_.done(); }

 private:
  VarintReader reader_;
  bool ok_ = true;
};

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  for (const auto& [name, known] : kVerdicts) {
    if (known == verdict) return name;
  }
  return "?";
}

Result<Verdict> ParseVerdict(std::string_view name) {
  for (const auto& [text, verdict] : kVerdicts) {
    if (text == name) return verdict;
  }
  return InvalidArgument("\"" + std::string(name) + "\" is none of yes, no, self_healed, vendor");
}

std::string AlertRecord::team() const {
  for (const std::string_view name : {"team", "owner"}) {
    if (const std::string_view value = labels.Get(name); !value.empty()) return std::string(value);
  }
  return "none";
}

std::string AlertRecord::service() const {
  const std::string_view sloth = labels.Get("sloth_service");
  return std::string(sloth.empty() ? labels.Get("service") : sloth);
}

std::string AlertRecord::slo() const { return std::string(labels.Get("sloth_id")); }

std::string FingerprintText(const Hash128& fingerprint) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(fingerprint.high),
                static_cast<unsigned long long>(fingerprint.low));
  return text.data();
}

void EncodeRecord(const AlertRecord& record, std::string& out) {
  AppendVarint(kKind, out);
  AppendVarint(record.id, out);
  AppendVarint((record.page ? kPage : 0) | (record.flap ? kFlap : 0) |
                   (record.ends_at.has_value() ? kEnded : 0) |
                   (record.delivered_at.has_value() ? kDelivered : 0) |
                   (record.acknowledged_at.has_value() ? kAcknowledged : 0) |
                   (record.feedback.has_value() ? kFeedback : 0),
               out);
  AppendTime(record.starts_at, out);
  AppendTime(record.published_at, out);
  if (record.ends_at.has_value()) AppendTime(*record.ends_at, out);
  if (record.delivered_at.has_value()) {
    AppendTime(*record.delivered_at, out);
    AppendString(record.delivered_to, out);
  }
  if (record.acknowledged_at.has_value()) {
    AppendTime(*record.acknowledged_at, out);
    AppendString(record.acknowledged_by, out);
  }
  if (record.feedback.has_value()) {
    const Feedback& feedback = *record.feedback;
    AppendVarint(static_cast<uint64_t>(feedback.verdict), out);
    AppendVarint(std::bit_cast<uint64_t>(feedback.minutes), out);
    AppendTime(feedback.at, out);
    AppendString(feedback.by, out);
    AppendString(feedback.ticket, out);
    AppendString(feedback.note, out);
  }
  AppendLabels(record.identity, out);
  AppendLabels(record.labels, out);
}

Result<AlertRecord> DecodeRecord(std::string_view payload) {
  Fields fields(payload);
  if (fields.Number() != kKind) return DataLoss("alert history record: kind is not known");
  AlertRecord record;
  record.id = fields.Number();
  const uint64_t flags = fields.Number();
  record.page = (flags & kPage) != 0;
  record.flap = (flags & kFlap) != 0;
  record.starts_at = fields.Time();
  record.published_at = fields.Time();
  if ((flags & kEnded) != 0) record.ends_at = fields.Time();
  if ((flags & kDelivered) != 0) {
    record.delivered_at = fields.Time();
    record.delivered_to = fields.Text();
  }
  if ((flags & kAcknowledged) != 0) {
    record.acknowledged_at = fields.Time();
    record.acknowledged_by = fields.Text();
  }
  if ((flags & kFeedback) != 0) {
    Feedback feedback;
    const uint64_t verdict = fields.Number();
    if (verdict >= kVerdicts.size()) return DataLoss("alert history record: no such verdict");
    feedback.verdict = static_cast<Verdict>(verdict);
    feedback.minutes = std::bit_cast<double>(fields.Number());
    feedback.at = fields.Time();
    feedback.by = fields.Text();
    feedback.ticket = fields.Text();
    feedback.note = fields.Text();
    record.feedback = std::move(feedback);
  }
  record.identity = fields.LabelSet();
  record.labels = fields.LabelSet();
  if (!fields.done()) return DataLoss("alert history record: fields do not fit");
  std::string canonical;
  AppendCanonical(record.identity, canonical);
  record.fingerprint = HashBytes128(canonical);
  return record;
}

}  // namespace basalt::actionability
