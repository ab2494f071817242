// engine/ingest/write_service.h -- one write request, from its body to its answer. Knows no HTTP
// server.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/compress.h"
#include "engine/base/metrics.h"
#include "engine/base/mutex.h"
#include "engine/ingest/firewall.h"
#include "engine/ingest/ha_tracker.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/protocol.h"
#include "engine/ingest/rejection_log.h"
#include "engine/ingest/report.h"
#include "engine/ingest/tenants.h"
#include "storage/resolver.h"
#include "storage/store.h"

namespace basalt::ingest {

// The parts of an HTTP request that matter here. Borrowed for the call.
struct WriteRequest {
  TenantId tenant = kDefaultTenant;
  std::string_view
      content_type;  // "" and application/x-protobuf without a proto are remote write 1.0
  // "" is taken as snappy for remote write, which prescribes it, and as identity otherwise.
  std::string_view content_encoding;
  std::string_view body;
};

// What the sender is told. 204: all of it is durable. 400: `message` names what was wrong, all else
// is durable; do not send it again. 429 (beyond the tenant's rate) and 503: nothing is stored, send
// it again after `retry_after_seconds`. 413, 415: as HTTP says.
struct WriteAnswer {
  int status = 204;
  std::string message;
  bool overloaded = false;      // over HTTP as OverloadStatusFor() says, and not as `status` does
  int retry_after_seconds = 0;  // 0: no header
  LogPosition token;            // where the write stands in the log
  storage::AppendResult stored;
  // Remote write 2.0 wants to be told, whatever the status, how much was written.
  bool tells_written = false;
  uint64_t samples_written = 0;
  uint64_t histograms_written = 0;
  uint64_t exemplars_written = 0;
};
using WriteDone = std::function<void(const WriteAnswer&)>;

// Thread-safe. `store` and `clock` must outlive it, and it must outlive its requests.
class WriteService {
 public:
  WriteService(storage::Store& store, const Clock& clock, metrics::Registry& registry,
               const LimitTable& limits, const HaSettings& ha = {});
  ~WriteService();

  // Decodes on this thread (an ingest executor's), appends, and answers on a thread of the store's.
  void RemoteWrite(const WriteRequest& request, WriteDone done);
  // The same for files: kExposition, kOpenMetrics, kJsonLines or kNative. `first_line`: the number
  // that the first line (section) has in messages.
  void Import(Protocol format, uint64_t first_line, const WriteRequest& request, WriteDone done);

  // What the gRPC stream and OTLP share with it, too.

  // What of a decoded request may be stored (Tenants::Admit); counts it, with what was left out.
  Tenants::Admission Admit(TenantId tenant, Protocol protocol,
                           std::vector<storage::IngestBatch>& batches, Report& report);
  // A request of one of a pair, decoded into `builder`. True: its sender stands by, and nothing of
  // it is to be stored; `held()` makes what is kept of it. Otherwise `decision` is for Lead.
  bool StandsBy(const HaSender& sender, const Report& report,
                const std::function<HeldRequest()>& held, storage::BatchBuilder& builder,
                HaTracker::Decision& decision);
  // Of a leader's batches takes out what the leader before has brought; stores what it has missed.
  void Lead(const HaSender& sender, const HaTracker::Decision& decision,
            std::vector<storage::IngestBatch>& batches);
  // Stores held requests of kOtlp. Null: there are none any more.
  using WriteMissedOtlp =
      std::function<void(const HaSender&, const HeldRequest&, int64_t after_ms)>;
  void SetMissedOtlp(WriteMissedOtlp write) BASALT_EXCLUDES(mu_);
  // Says that a held request could not be stored.
  static void LogMissed(const HaSender& sender, const Status& why);

  // Gives the store what was admitted, with the sums of what is folded.
  void Append(TenantId tenant, Tenants::Admission admission,
              std::vector<storage::IngestBatch> batches, storage::AppendDone done);
  // Counts a request that was refused whole.
  void Refuse(TenantId tenant, Protocol protocol, Refusal refusal, std::string_view example);

  [[nodiscard]] Tenants& tenants() { return tenants_; }
  [[nodiscard]] const Tenants& tenants() const { return tenants_; }

  [[nodiscard]] const HaTracker& pairs() const { return pairs_; }
  [[nodiscard]] Firewall& firewall() { return firewall_; }
  [[nodiscard]] const Firewall& firewall() const { return firewall_; }

  // For people who look what came in and what did not.
  struct Intake {
    Protocol protocol = Protocol::kRemoteWrite1;
    uint64_t samples = 0;
    uint64_t histograms = 0;
    uint64_t exemplars = 0;
  };
  [[nodiscard]] std::vector<Intake> Intakes() const;  // by Protocol
  [[nodiscard]] const RejectionLog& rejections() const { return rejections_; }

 private:
  struct Scratch;
  // Found once: a look-up in the registry takes its lock and builds label sets.
  struct ProtocolCounters {
    metrics::Counter* samples = nullptr;
    metrics::Counter* histograms = nullptr;
    metrics::Counter* exemplars = nullptr;
    std::array<metrics::Counter*, kReasons> rejected{};
  };
  // Who sent the request that `scratch` has decoded, if it is one of a pair.
  [[nodiscard]] std::optional<HaSender> SenderOf(Protocol protocol, const WriteRequest& request,
                                                 const Scratch& scratch) const;
  // A request that a replica sent before it was elected.
  void WriteMissed(const HaSender& sender, const HeldRequest& request, int64_t after_ms);
  void Write(Protocol protocol, ContentCoding coding, uint64_t first_line,
             const WriteRequest& request, WriteDone done);
  // The body that was decompressed, into the builder.
  Status Decode(Protocol protocol, uint64_t first_line, TenantId tenant, Scratch& scratch) const;
  [[nodiscard]] static ProtocolCounters FindCounters(metrics::Registry& registry,
                                                     Protocol protocol);
  [[nodiscard]] static std::array<ProtocolCounters, kProtocols> FindAllCounters(
      metrics::Registry& registry);
  std::unique_ptr<Scratch> Borrow(TenantId tenant) BASALT_EXCLUDES(mu_);
  void GiveBack(std::unique_ptr<Scratch> scratch) BASALT_EXCLUDES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  Firewall firewall_;
  Tenants tenants_;
  RejectionLog rejections_;
  HaTracker pairs_;
  std::array<ProtocolCounters, kProtocols> counters_;
  metrics::Counter& malformed_;
  std::array<metrics::Counter*, kRefusals> refused_;
  metrics::Counter& standby_samples_;
  metrics::Counter& elections_;
  mutable Mutex mu_;
  std::vector<std::unique_ptr<Scratch>> idle_ BASALT_GUARDED_BY(mu_);
  WriteMissedOtlp write_missed_otlp_ BASALT_GUARDED_BY(mu_);
};

// Whether a request of this Content-Type is remote write 2.0, whose every answer tells what was
// written.
bool IsWrite2(std::string_view content_type);

// How an append's failure is answered: 503 for whatever may pass (too much in flight, a full disk:
// `overloaded`; starting, stopping), 500 otherwise.
WriteAnswer AnswerForError(const Status& status);

}  // namespace basalt::ingest
