#include "engine/actionability/journal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "engine/notify/webhook.h"

namespace basalt::actionability {
namespace {

constexpr std::string_view kMagic = "basalt-history1\n";
// The file is rewritten with what still matters once it is larger than this and than twice that.
constexpr uint64_t kRewriteBytes = 4u << 20;
constexpr size_t kOurDigits = 32;
constexpr size_t kTheirDigits = 16;

Labels AllLabels(const notify::Alert& alert) {
  Labels labels = alert.labels;
  for (const Label& label : alert.identity) labels.Set(label.name, label.value);
  return labels;
}

bool Contains(const Labels& all, const Labels& some) {
  return std::all_of(some.begin(), some.end(),
                     [&](const Label& label) { return all.Get(label.name) == label.value; });
}

double SecondsBetween(Timestamp from, Timestamp to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

Status CheckText(const char* field, const std::string& text) {
  if (text.size() > kMaxTextBytes)
    return InvalidArgument(std::string(field) + ": above " + std::to_string(kMaxTextBytes) +
                           " bytes");
  if (!IsValidUtf8(text)) return InvalidArgument(std::string(field) + ": is not UTF-8");
  return OkStatus();
}

Status NoSuchAlert(std::string_view alert) {
  return NotFound("no alert is known as \"" + std::string(alert) +
                  "\"; /api/v1/slo/alerts lists them");
}

}  // namespace

// What one call has changed and has to be written.
struct Journal::Changes {
  std::set<uint64_t> records;
  std::set<TotalsKey> totals;
};

Journal::Journal(JournalOptions options, std::unique_ptr<RecordFile> file)
    : options_(std::move(options)), file_(std::move(file)) {}

Result<std::vector<RecordFile::Damage>> Journal::Check(const std::string& path) {
  const auto read = [](uint64_t, std::string_view payload) {
    TotalsKey key;
    Totals totals;
    return DecodeTotals(payload, key, totals).ok() ? OkStatus() : DecodeRecord(payload).status();
  };
  return RecordFile::Check(path, kMagic, read);
}

Result<std::unique_ptr<Journal>> Journal::Open(JournalOptions options,
                                               std::vector<std::string>* warnings) {
  std::map<uint64_t, AlertRecord> records;
  std::map<TotalsKey, Totals> totals;
  const auto read = [&](uint64_t, std::string_view payload) -> Status {
    TotalsKey key;
    Totals counted;
    if (DecodeTotals(payload, key, counted).ok()) {
      totals.insert_or_assign(std::move(key), counted);
      return OkStatus();
    }
    BASALT_TRY_ASSIGN(AlertRecord record, DecodeRecord(payload));
    const uint64_t id = record.id;
    records.insert_or_assign(id, std::move(record));
    return OkStatus();
  };
  BASALT_TRY_ASSIGN(
      RecordFile::Opened opened,
      RecordFile::Open(options.directory + "/alert_history.log", kMagic, read, *options.files));
  if (warnings != nullptr) {
    for (const RecordFile::Damage& damage : opened.damaged) warnings->push_back(damage.ToString());
  }
  std::unique_ptr<Journal> journal(new Journal(std::move(options), std::move(opened.file)));
  const MutexLock lock(journal->mu_);
  journal->records_ = std::move(records);
  journal->totals_ = std::move(totals);
  for (const auto& [id, record] : journal->records_) {
    journal->latest_.insert_or_assign(record.fingerprint, id);
    journal->next_id_ = id + 1;
  }
  journal->Forget(journal->options_.clock->Now());
  return journal;
}

AlertRecord* Journal::Latest(const Hash128& fingerprint) {
  const auto it = latest_.find(fingerprint);
  return it == latest_.end() ? nullptr : &records_.at(it->second);
}

Totals& Journal::TotalsOf(const AlertRecord& record, Changes& changes) {
  TotalsKey key{record.team(), record.service(), record.page};
  if (totals_.size() >= kMaxTotals && !totals_.contains(key)) key = {"__other__", "", record.page};
  changes.totals.insert(key);
  return totals_[key];
}

AlertRecord& Journal::Begin(const notify::Alert& alert, const Hash128& fingerprint, Timestamp now,
                            Changes& changes) {
  const AlertRecord* before = Latest(fingerprint);
  AlertRecord record;
  record.id = next_id_++;
  record.fingerprint = fingerprint;
  record.identity = alert.identity;
  record.labels = AllLabels(alert);
  record.page = alert.urgent;
  record.starts_at = alert.starts_at;
  record.published_at = now;
  record.flap = before != nullptr && before->ends_at.has_value() &&
                alert.starts_at - *before->ends_at < kFlapWithin;
  Totals& totals = TotalsOf(record, changes);
  ++totals.fired;
  if (record.flap) ++totals.flaps;
  latest_[fingerprint] = record.id;
  changes.records.insert(record.id);
  const uint64_t id = record.id;
  return records_.insert_or_assign(id, std::move(record)).first->second;
}

void Journal::Resolve(AlertRecord& record, Timestamp at, Changes& changes) {
  record.ends_at = at;
  changes.records.insert(record.id);
  Totals& totals = TotalsOf(record, changes);
  ++totals.resolved;
  if (record.undelivered()) ++totals.undelivered;
}

void Journal::Note(const notify::Alert& alert, Timestamp now, Changes& changes) {
  const Hash128 fingerprint = notify::Fingerprint(alert);
  AlertRecord* record = Latest(fingerprint);
  // A start only ever moves back; a later one is another instance, whose predecessor's end may
  // never have reached us. At start-up closed ones come once more.
  const bool same = record != nullptr && alert.starts_at <= record->starts_at;
  if (!same && record != nullptr && !record->ends_at.has_value())
    Resolve(*record, alert.starts_at, changes);
  if (!same) record = &Begin(alert, fingerprint, now, changes);
  if (record->ends_at.has_value()) return;
  Labels labels = AllLabels(alert);
  if (record->starts_at != alert.starts_at || record->labels != labels) {
    record->starts_at = alert.starts_at;
    record->labels = std::move(labels);  // its owner may have changed
    changes.records.insert(record->id);
  }
  if (alert.resolved()) Resolve(*record, *alert.ends_at, changes);
}

void Journal::OnPublished(std::span<const notify::Alert> alerts, Timestamp now) {
  const MutexLock lock(mu_);
  Changes changes;
  for (const notify::Alert& alert : alerts) Note(alert, now, changes);
  // The outbox makes them durable and tells us again.
  (void)Write(changes, false);
  Forget(now);
}

void Journal::OnAccepted(std::span<const notify::Alert> alerts, std::string_view receiver,
                         Timestamp now) {
  const MutexLock lock(mu_);
  Changes changes;
  for (const notify::Alert& alert : alerts) {
    if (alert.resolved()) continue;  // an Alertmanager that hears of nothing else pages nobody
    AlertRecord* record = Latest(notify::Fingerprint(alert));
    if (record == nullptr || record->delivered_at.has_value()) continue;
    record->delivered_at = now;
    record->delivered_to = receiver;
    changes.records.insert(record->id);
    ++TotalsOf(*record, changes).delivered;
  }
  (void)Write(changes, false);
}

const AlertRecord* Journal::FindLocked(std::string_view alert) const {
  if (alert.size() == kOurDigits || alert.size() == kTheirDigits) {
    for (const auto& [fingerprint, id] : latest_) {
      const AlertRecord& record = records_.at(id);
      if ((alert.size() == kOurDigits ? FingerprintText(fingerprint)
                                      : notify::AlertmanagerFingerprint(record.labels)) == alert)
        return &record;
    }
    if (alert.size() == kOurDigits) return nullptr;
  }
  uint64_t id = 0;
  const auto [at, error] = std::from_chars(alert.data(), alert.data() + alert.size(), id);
  if (error != std::errc() || at != alert.data() + alert.size()) return nullptr;
  const auto it = records_.find(id);
  return it == records_.end() ? nullptr : &it->second;
}

Result<AlertRecord> Journal::Find(std::string_view alert) const {
  const MutexLock lock(mu_);
  const AlertRecord* record = FindLocked(alert);
  if (record == nullptr) return NoSuchAlert(alert);
  return *record;
}

void Journal::Acknowledge(AlertRecord& record, const std::string& by, Timestamp now,
                          Changes& changes) {
  if (record.acknowledged_at.has_value()) return;
  record.acknowledged_at = now;
  record.acknowledged_by = by;
  changes.records.insert(record.id);
  Totals& totals = TotalsOf(record, changes);
  ++totals.acknowledged;
  totals.acknowledge_seconds +=
      SecondsBetween(record.delivered_at.value_or(record.published_at), now);
}

Result<AlertRecord> Journal::Acknowledge(std::string_view alert, const std::string& by) {
  BASALT_TRY(CheckText("by", by));
  const MutexLock lock(mu_);
  const AlertRecord* found = FindLocked(alert);
  if (found == nullptr) return NoSuchAlert(alert);
  AlertRecord& record = records_.at(found->id);
  Changes changes;
  Acknowledge(record, by, options_.clock->Now(), changes);
  BASALT_TRY(Write(changes, true));
  return record;
}

Result<size_t> Journal::AcknowledgeMatching(std::span<const Labels> alerts, const std::string& by) {
  BASALT_TRY(CheckText("by", by));
  const MutexLock lock(mu_);
  Changes changes;
  size_t matched = 0;
  for (const auto& [fingerprint, id] : latest_) {
    AlertRecord& record = records_.at(id);
    if (record.ends_at.has_value()) continue;
    const bool named = std::any_of(alerts.begin(), alerts.end(), [&](const Labels& labels) {
      return Contains(labels, record.identity);
    });
    if (!named) continue;
    ++matched;
    Acknowledge(record, by, options_.clock->Now(), changes);
  }
  BASALT_TRY(Write(changes, true));
  return matched;
}

Result<AlertRecord> Journal::Give(std::string_view alert, Feedback feedback) {
  BASALT_TRY(CheckText("by", feedback.by));
  BASALT_TRY(CheckText("ticket", feedback.ticket));
  BASALT_TRY(CheckText("note", feedback.note));
  if (!std::isfinite(feedback.minutes) || feedback.minutes < 0 || feedback.minutes > kMaxMinutes)
    return InvalidArgument("minutes: must be 0 to 100000");
  const MutexLock lock(mu_);
  const AlertRecord* found = FindLocked(alert);
  if (found == nullptr) return NoSuchAlert(alert);
  AlertRecord& record = records_.at(found->id);
  Changes changes;
  Totals& totals = TotalsOf(record, changes);
  // What is said again counts once; what was said wrongly stays counted, for a counter never falls.
  if (!record.feedback.has_value() || record.feedback->verdict != feedback.verdict)
    ++totals.verdicts[static_cast<size_t>(feedback.verdict)];
  const double before = record.feedback.has_value() ? record.feedback->minutes : 0;
  totals.minutes += std::max(0.0, feedback.minutes - before);
  feedback.at = options_.clock->Now();
  record.feedback = std::move(feedback);
  changes.records.insert(record.id);
  BASALT_TRY(Write(changes, true));
  return record;
}

std::vector<AlertRecord> Journal::List(const RecordFilter& filter) const {
  const MutexLock lock(mu_);
  std::vector<AlertRecord> found;
  const auto fits = [](const std::string& wanted, const std::string& is) {
    return wanted.empty() || wanted == is;
  };
  // From the youngest on, so that a short list is short work for whoever waits for the lock.
  for (auto it = records_.rbegin(); it != records_.rend() && found.size() < filter.limit; ++it) {
    const AlertRecord& record = it->second;
    if (filter.from.has_value() && record.starts_at < *filter.from) continue;
    if (filter.to.has_value() && record.starts_at >= *filter.to) continue;
    if (filter.page.has_value() && record.page != *filter.page) continue;
    if (filter.firing.has_value() && record.ends_at.has_value() == *filter.firing) continue;
    if (!fits(filter.team, record.team()) || !fits(filter.service, record.service()) ||
        !fits(filter.slo, record.slo()))
      continue;
    found.push_back(record);
  }
  std::stable_sort(found.begin(), found.end(), [](const AlertRecord& a, const AlertRecord& b) {
    return a.starts_at > b.starts_at;
  });
  return found;
}

std::map<TotalsKey, Totals> Journal::AllTotals() const {
  const MutexLock lock(mu_);
  return totals_;
}

Journal::Stats Journal::stats() const {
  const MutexLock lock(mu_);
  Stats stats = stats_;
  stats.records = records_.size();
  stats.bytes = file_->bytes();
  return stats;
}

Status Journal::Write(const Changes& changes, bool sync) {
  if (changes.records.empty() && changes.totals.empty()) return OkStatus();
  std::vector<std::string> payloads;
  for (const uint64_t id : changes.records) EncodeRecord(records_.at(id), payloads.emplace_back());
  for (const TotalsKey& key : changes.totals)
    EncodeTotals(key, totals_.at(key), payloads.emplace_back());
  const Status status = file_->Append(payloads, sync);
  if (!status.ok()) ++stats_.errors;
  return status;
}

// Drops resolved instances that are old or too many, and rewrites the file when it has grown.
void Journal::Forget(Timestamp now) {
  for (auto it = records_.begin(); it != records_.end();) {
    const AlertRecord& record = it->second;
    const bool old = record.ends_at.has_value() && now - *record.ends_at > kKeepRecords;
    // Ids rise with time: once neither holds, what follows is younger.
    if (!old && records_.size() <= options_.max_records) break;
    if (!record.ends_at.has_value()) {
      ++it;
      continue;
    }
    const auto latest = latest_.find(record.fingerprint);
    if (latest != latest_.end() && latest->second == record.id) latest_.erase(latest);
    ++stats_.forgotten;
    it = records_.erase(it);
  }
  if (!file_->WantsRewrite(kRewriteBytes)) return;
  std::vector<std::string> payloads;
  for (const auto& [id, record] : records_) EncodeRecord(record, payloads.emplace_back());
  for (const auto& [key, totals] : totals_) EncodeTotals(key, totals, payloads.emplace_back());
  if (!file_->Rewrite(payloads).ok()) ++stats_.errors;
}

}  // namespace basalt::actionability
