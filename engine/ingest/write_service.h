// engine/ingest/write_service.h -- one write request, from its body to its answer. Knows no HTTP
// server.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/compress.h"
#include "engine/base/metrics.h"
#include "engine/base/mutex.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
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
// is durable; do not send it again. 503: nothing is stored, send it again after
// `retry_after_seconds`. 413, 415: as HTTP says.
struct WriteAnswer {
  int status = 204;
  std::string message;
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

// The `protocol` label of basalt_ingest_*.
enum class Protocol : uint8_t {
  kRemoteWrite1,
  kRemoteWrite2,
  kPush,
  kOtlp,
  kExposition,
  kOpenMetrics,
  kJsonLines,
};
inline constexpr size_t kProtocols = 7;

// Thread-safe. `store` and `clock` must outlive it, and it must outlive its requests.
class WriteService {
 public:
  WriteService(storage::Store& store, const Clock& clock, metrics::Registry& registry,
               const Limits& limits);
  ~WriteService();

  // Decodes on this thread (an ingest executor's), appends, and answers on a thread of the store's.
  void RemoteWrite(const WriteRequest& request, WriteDone done);
  // The same for lines of text: kExposition, kOpenMetrics or kJsonLines. `first_line`: the number
  // that the first one has in messages.
  void Import(Protocol format, uint64_t first_line, const WriteRequest& request, WriteDone done);

  // The latest refusals, newest first, for people who look why.
  [[nodiscard]] std::vector<std::string> RecentRejections() const BASALT_EXCLUDES(mu_);

  // Counts a finished decode; the gRPC stream and OTLP use it too.
  void Count(Protocol protocol, const Report& report);
  // Counts a request that could not be decoded.
  void CountMalformed();

 private:
  struct Scratch;
  // Found once: a look-up in the registry takes its lock and builds label sets.
  struct ProtocolCounters {
    metrics::Counter* samples = nullptr;
    metrics::Counter* histograms = nullptr;
    metrics::Counter* exemplars = nullptr;
    std::array<metrics::Counter*, kReasons> rejected{};
  };
  void Write(Protocol protocol, ContentCoding coding, uint64_t first_line,
             const WriteRequest& request, WriteDone done);
  // The body that was decompressed, into the builder.
  Status Decode(Protocol protocol, uint64_t first_line, TenantId tenant, Scratch& scratch) const;
  [[nodiscard]] static ProtocolCounters FindCounters(metrics::Registry& registry,
                                                     Protocol protocol);
  [[nodiscard]] static std::array<ProtocolCounters, kProtocols> FindAllCounters(
      metrics::Registry& registry);
  std::unique_ptr<Scratch> Borrow() BASALT_EXCLUDES(mu_);
  void GiveBack(std::unique_ptr<Scratch> scratch) BASALT_EXCLUDES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  const Limits limits_;
  std::array<ProtocolCounters, kProtocols> counters_;
  metrics::Counter& malformed_;
  mutable Mutex mu_;
  std::vector<std::unique_ptr<Scratch>> idle_ BASALT_GUARDED_BY(mu_);
  std::deque<std::string> recent_ BASALT_GUARDED_BY(mu_);
};

// How an append's failure is answered: 503 for whatever may pass (too much in flight, a full disk,
// starting, stopping), 500 otherwise.
WriteAnswer AnswerForError(const Status& status);

}  // namespace basalt::ingest
