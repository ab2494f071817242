#include "engine/notify/alert_log.h"

#include <utility>

#include "engine/base/little_endian.h"
#include "engine/base/varint.h"

// Payloads begin with a varint, their kind.
// 1, an alert: varint flags (1: resolved, 2: urgent), zigzag startsAt ms, zigzag endsAt ms (0
// unless resolved), then four strings, each a varint length and bytes: canonical labels of
// identity, labels and annotations, and the generator URL.
// 2, an acceptance: string of 16 bytes (the fingerprint), varint receiver, varint flags (1:
// resolved), zigzag startsAt ms, zigzag time of the answer in ms.

namespace basalt::notify {
namespace {

constexpr std::string_view kMagic = "basalt-alerts-1\n";
constexpr uint64_t kAlert = 1;
constexpr uint64_t kAcceptance = 2;
constexpr uint64_t kResolved = 1;
constexpr uint64_t kUrgent = 2;

void AppendLabels(const Labels& labels, std::string& out) {
  std::string bytes;
  AppendCanonical(labels, bytes);
  AppendString(bytes, out);
}

void EncodeAcceptance(const Acceptance& acceptance, std::string& out) {
  AppendVarint(kAcceptance, out);
  std::string fingerprint;
  AppendLittleEndian(acceptance.fingerprint.low, fingerprint);
  AppendLittleEndian(acceptance.fingerprint.high, fingerprint);
  AppendString(fingerprint, out);
  AppendVarint(acceptance.receiver, out);
  AppendVarint(acceptance.resolved ? kResolved : 0, out);
  AppendVarint(ZigZag(ToMs(acceptance.starts_at)), out);
  AppendVarint(ZigZag(ToMs(acceptance.at)), out);
}

Result<Acceptance> DecodeAcceptance(std::string_view payload) {
  VarintReader reader(payload);
  uint64_t kind = 0;
  uint64_t flags = 0;
  int64_t starts_ms = 0;
  int64_t at_ms = 0;
  std::string_view fingerprint;
  Acceptance out;
  if (!reader.Read(kind) || kind != kAcceptance || !reader.ReadString(fingerprint) ||
      fingerprint.size() != 16 || !reader.Read(out.receiver) || !reader.Read(flags) ||
      !reader.ReadSigned(starts_ms) || !reader.ReadSigned(at_ms) || !reader.done())
    return DataLoss("acceptance record: fields do not fit");
  out.fingerprint.low = LoadLittleEndian<uint64_t>(fingerprint.data());
  out.fingerprint.high = LoadLittleEndian<uint64_t>(fingerprint.data() + 8);
  out.resolved = (flags & kResolved) != 0;
  out.starts_at = FromMs(starts_ms);
  out.at = FromMs(at_ms);
  return out;
}

Status ReadRecord(std::string_view payload, AlertLogContent& content) {
  VarintReader reader(payload);
  uint64_t kind = 0;
  if (reader.Read(kind) && kind == kAcceptance) {
    BASALT_TRY_ASSIGN(const Acceptance acceptance, DecodeAcceptance(payload));
    content.acceptances.insert_or_assign({acceptance.fingerprint, acceptance.receiver}, acceptance);
    return OkStatus();
  }
  BASALT_TRY_ASSIGN(Alert alert, DecodeAlert(payload));
  const Hash128 fingerprint = Fingerprint(alert);
  content.alerts.insert_or_assign(fingerprint, std::move(alert));
  return OkStatus();
}

}  // namespace

uint64_t ReceiverId(std::string_view key) { return HashBytes64(key); }

void EncodeAlert(const Alert& alert, std::string& out) {
  AppendVarint(kAlert, out);
  AppendVarint((alert.resolved() ? kResolved : 0) | (alert.urgent ? kUrgent : 0), out);
  AppendVarint(ZigZag(ToMs(alert.starts_at)), out);
  AppendVarint(ZigZag(alert.resolved() ? ToMs(*alert.ends_at) : 0), out);
  AppendLabels(alert.identity, out);
  AppendLabels(alert.labels, out);
  AppendLabels(alert.annotations, out);
  AppendString(alert.generator_url, out);
}

Result<Alert> DecodeAlert(std::string_view payload) {
  VarintReader reader(payload);
  uint64_t kind = 0;
  uint64_t flags = 0;
  int64_t starts_ms = 0;
  int64_t ends_ms = 0;
  std::string_view identity;
  std::string_view labels;
  std::string_view annotations;
  std::string_view url;
  if (!reader.Read(kind)) return DataLoss("alert record: cut off");
  if (kind != kAlert)
    return DataLoss("alert record: kind " + std::to_string(kind) + " is not known");
  if (!reader.Read(flags) || !reader.ReadSigned(starts_ms) || !reader.ReadSigned(ends_ms) ||
      !reader.ReadString(identity) || !reader.ReadString(labels) ||
      !reader.ReadString(annotations) || !reader.ReadString(url) || !reader.done()) {
    return DataLoss("alert record: fields do not fit");
  }
  Alert alert;
  BASALT_TRY_ASSIGN(alert.identity, LabelsFromCanonical(identity));
  BASALT_TRY_ASSIGN(alert.labels, LabelsFromCanonical(labels));
  BASALT_TRY_ASSIGN(alert.annotations, LabelsFromCanonical(annotations));
  alert.generator_url = url;
  alert.starts_at = FromMs(starts_ms);
  if ((flags & kResolved) != 0) alert.ends_at = FromMs(ends_ms);
  alert.urgent = (flags & kUrgent) != 0;
  return alert;
}

Result<std::vector<RecordFile::Damage>> CheckAlertLog(const std::string& path) {
  AlertLogContent content;
  return RecordFile::Check(path, kMagic, [&](uint64_t, std::string_view payload) {
    return ReadRecord(payload, content);
  });
}

Result<AlertLog> AlertLog::Open(const std::string& path, AlertLogContent& content,
                                std::vector<std::string>& warnings, FileSteps& steps) {
  auto opened = RecordFile::Open(
      path, kMagic,
      [&](uint64_t, std::string_view payload) { return ReadRecord(payload, content); }, steps);
  if (!opened.ok()) return opened.status().WithContext("alert log");
  for (const RecordFile::Damage& damage : opened->damaged) warnings.push_back(damage.ToString());
  return AlertLog(std::move(opened->file));
}

Status AlertLog::Append(std::span<const Alert> alerts) {
  std::vector<std::string> payloads;
  Status too_large;
  for (const Alert& alert : alerts) {
    std::string payload;
    EncodeAlert(alert, payload);
    if (payload.size() > kMaxAlertBytes) {  // one must not cost the others their record
      too_large = InvalidArgument("alert log: " + alert.identity.ToString() + " is too large");
      continue;
    }
    payloads.push_back(std::move(payload));
  }
  BASALT_TRY(file_->Append(payloads, true));
  return too_large;
}

Status AlertLog::Append(std::span<const Acceptance> acceptances) {
  std::vector<std::string> payloads(acceptances.size());
  for (size_t i = 0; i < acceptances.size(); ++i) EncodeAcceptance(acceptances[i], payloads[i]);
  return file_->Append(payloads, false);
}

Status AlertLog::Rewrite(std::span<const Alert* const> alerts,
                         std::span<const Acceptance> acceptances) {
  std::vector<std::string> payloads(alerts.size() + acceptances.size());
  for (size_t i = 0; i < alerts.size(); ++i) EncodeAlert(*alerts[i], payloads[i]);
  for (size_t i = 0; i < acceptances.size(); ++i)
    EncodeAcceptance(acceptances[i], payloads[alerts.size() + i]);
  return file_->Rewrite(payloads);
}

}  // namespace basalt::notify
