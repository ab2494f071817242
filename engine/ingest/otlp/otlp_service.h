// engine/ingest/otlp/otlp_service.h -- one OTLP metrics export, from its body to its answer. Knows
// neither the HTTP nor the gRPC server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/otlp/delta_totals.h"
#include "engine/ingest/otlp/settings.h"
#include "engine/ingest/write_service.h"
#include "storage/store.h"

namespace basalt::ingest::otlp {

enum class Encoding : uint8_t { kProtobuf, kJson };
// Of a Content-Type, parameters ignored. kUnimplemented with the types that are spoken.
Result<Encoding> ParseEncoding(std::string_view content_type);

// Borrowed for the call.
struct ExportRequest {
  TenantId tenant = kDefaultTenant;
  Encoding encoding = Encoding::kProtobuf;
  std::string_view content_encoding;  // "" is identity
  std::string_view body;
};

// `status`: OK even if points were refused (OTLP's partial success; the rest is durable).
// kInvalidArgument, kUnimplemented, kOutOfRange (the body is too large): do not send it again. All
// else: nothing is stored, send it again after `retry_after_seconds`.
struct ExportAnswer {
  Status status;
  uint64_t rejected_points = 0;
  std::string message;  // why; names metrics and points
  int retry_after_seconds = 0;
  LogPosition token;
  bool over_rate = false;  // the tenant's own doing: 429 over HTTP
};
using ExportDone = std::function<void(const ExportAnswer&)>;

// 200, 400, 413, 415, 429, 500 or 503.
int HttpStatusOf(const ExportAnswer& answer);
// Whether that is to be as OverloadStatusFor() says.
bool IsOverloaded(const ExportAnswer& answer);
// The body over HTTP: ExportMetricsServiceResponse, or google.rpc.Status if it failed. Over gRPC
// the former's protobuf.
std::string ResponseBody(const ExportAnswer& answer, Encoding encoding);

// Thread-safe. `store`, `clock` and `counts` must outlive it, and it must outlive its requests.
class OtlpService {
 public:
  // Limits are those of `counts`.
  OtlpService(storage::Store& store, const Clock& clock, WriteService& counts,
              const Settings& settings);
  ~OtlpService();

  // Decodes on this thread (an ingest executor's), appends, and answers on a thread of the store's.
  void Export(const ExportRequest& request, ExportDone done);

 private:
  struct Scratch;
  // What was decoded, to the store: deltas as totals.
  void StoreAll(const ExportRequest& request, std::unique_ptr<Scratch> scratch,
                std::vector<storage::IngestBatch> batches, std::vector<storage::IngestBatch> deltas,
                ExportDone done);
  // Admits and appends what was decoded; false if the store does not get it. `stored` may be null.
  bool Store(const ExportRequest& request, std::unique_ptr<Scratch> scratch,
             std::vector<storage::IngestBatch> batches, ExportDone done,
             std::function<void(bool is_stored)> stored);
  // A request that a replica sent before it was elected.
  void WriteMissed(const HaSender& sender, const HeldRequest& request, int64_t after_ms);
  std::unique_ptr<Scratch> Borrow(TenantId tenant) BASALT_EXCLUDES(mu_);
  void GiveBack(std::unique_ptr<Scratch> scratch) BASALT_EXCLUDES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  WriteService& counts_;
  const Settings settings_;
  DeltaTotals totals_;
  Mutex mu_;
  std::vector<std::unique_ptr<Scratch>> idle_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::ingest::otlp
