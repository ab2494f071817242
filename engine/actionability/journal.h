// engine/actionability/journal.h -- every alert instance, durably: fired, delivered, acknowledged,
// resolved, flapping, and what people said of it.
//
// Listens to the outbox (notify::AlertObserver), which tells it once more at start-up what it has,
// so that a crash between the two loses nothing. What people say is synced before they are
// answered. The file, alert_history.log, is of engine/base/record_file.h: each record is the latest
// state of one instance, or the counters of one team.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/actionability/alert_record.h"
#include "engine/actionability/totals.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/record_file.h"
#include "engine/base/status.h"
#include "engine/notify/alert_observer.h"

namespace basalt::actionability {

// Instances that are kept; beyond it the oldest resolved ones go. About 1 KB each.
inline constexpr size_t kMaxRecords = 100'000;
inline constexpr Duration kKeepRecords = std::chrono::hours(24 * 400);
// Teams and services that are counted apart; more are counted as "__other__".
inline constexpr size_t kMaxTotals = 10'000;
// Of one feedback.
inline constexpr double kMaxMinutes = 100'000;
inline constexpr size_t kMaxTextBytes = 4096;

struct RecordFilter {
  std::string team = {};     // empty: any
  std::string service = {};  // likewise
  std::string slo = {};
  std::optional<bool> page = {};
  std::optional<bool> firing = {};
  std::optional<Timestamp> from = {};  // started at or after
  std::optional<Timestamp> to = {};    // started before
  size_t limit = 1000;
};

struct JournalOptions {
  std::string directory;  // exists
  const Clock* clock = &SystemClock();
  FileSteps* files = &SystemFileSteps();
  size_t max_records = kMaxRecords;
};

// Thread-safe.
class Journal final : public notify::AlertObserver {
 public:
  static Result<std::unique_ptr<Journal>> Open(JournalOptions options,
                                               std::vector<std::string>* warnings = nullptr);

  // Reads the file at `path` and says what in it is damaged; writes nothing.
  static Result<std::vector<RecordFile::Damage>> Check(const std::string& path);

  void OnPublished(std::span<const notify::Alert> alerts, Timestamp now) override
      BASALT_EXCLUDES(mu_);
  void OnAccepted(std::span<const notify::Alert> alerts, std::string_view receiver,
                  Timestamp now) override BASALT_EXCLUDES(mu_);

  // `alert` names an instance by its id, or the latest one by its fingerprint, ours (32 hex digits)
  // or Alertmanager's of the labels as we publish them (16). kNotFound.
  [[nodiscard]] Result<AlertRecord> Find(std::string_view alert) const BASALT_EXCLUDES(mu_);
  // Somebody has seen it. The first time counts; later ones change nothing.
  Result<AlertRecord> Acknowledge(std::string_view alert, const std::string& by)
      BASALT_EXCLUDES(mu_);
  // The same for alerts with these labels, as a receiver names them: every label of the alert's
  // identity is there, whatever was added on the way. Returns how many instances fire and match.
  Result<size_t> AcknowledgeMatching(std::span<const Labels> alerts, const std::string& by)
      BASALT_EXCLUDES(mu_);
  // Replaces earlier feedback. kInvalidArgument naming the field.
  Result<AlertRecord> Give(std::string_view alert, Feedback feedback) BASALT_EXCLUDES(mu_);

  // Those that were published last, the latest start first.
  [[nodiscard]] std::vector<AlertRecord> List(const RecordFilter& filter) const
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::map<TotalsKey, Totals> AllTotals() const BASALT_EXCLUDES(mu_);
  struct Stats {
    size_t records = 0;
    uint64_t forgotten = 0;  // since start
    uint64_t errors = 0;     // that were not written down
    uint64_t bytes = 0;
  };
  [[nodiscard]] Stats stats() const BASALT_EXCLUDES(mu_);

 private:
  Journal(JournalOptions options, std::unique_ptr<RecordFile> file);
  struct Changes;
  AlertRecord* Latest(const Hash128& fingerprint) BASALT_REQUIRES(mu_);
  AlertRecord& Begin(const notify::Alert& alert, const Hash128& fingerprint, Timestamp now,
                     Changes& changes) BASALT_REQUIRES(mu_);
  void Note(const notify::Alert& alert, Timestamp now, Changes& changes) BASALT_REQUIRES(mu_);
  void Resolve(AlertRecord& record, Timestamp at, Changes& changes) BASALT_REQUIRES(mu_);
  void Acknowledge(AlertRecord& record, const std::string& by, Timestamp now, Changes& changes)
      BASALT_REQUIRES(mu_);
  Totals& TotalsOf(const AlertRecord& record, Changes& changes) BASALT_REQUIRES(mu_);
  Status Write(const Changes& changes, bool sync) BASALT_REQUIRES(mu_);
  void Forget(Timestamp now) BASALT_REQUIRES(mu_);
  [[nodiscard]] const AlertRecord* FindLocked(std::string_view alert) const BASALT_REQUIRES(mu_);

  const JournalOptions options_;
  mutable Mutex mu_;
  const std::unique_ptr<RecordFile> file_ BASALT_PT_GUARDED_BY(mu_);
  std::map<uint64_t, AlertRecord> records_ BASALT_GUARDED_BY(mu_);  // by id
  std::map<Hash128, uint64_t> latest_ BASALT_GUARDED_BY(mu_);       // by fingerprint
  std::map<TotalsKey, Totals> totals_ BASALT_GUARDED_BY(mu_);
  uint64_t next_id_ BASALT_GUARDED_BY(mu_) = 1;
  Stats stats_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::actionability
