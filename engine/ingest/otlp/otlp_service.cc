#include "engine/ingest/otlp/otlp_service.h"

#include <protozero/pbf_writer.hpp>
#include <utility>

#include "engine/base/compress.h"
#include "engine/base/labels.h"
#include "engine/ingest/batch_surgery.h"
#include "engine/ingest/media_type.h"
#include "engine/ingest/otlp/json_decoder.h"
#include "engine/ingest/otlp/protobuf_decoder.h"
#include "engine/ingest/otlp/translator.h"

namespace basalt::ingest::otlp {
namespace {

// Decoders that wait for the next request; more than this many at once are made anew.
constexpr size_t kIdleScratch = 16;
// A body buffer above this is not kept: one giant request must not pin its memory for ever.
constexpr size_t kKeptBodyBytes = 8u << 20;

ExportAnswer Failed(const Status& status) {
  ExportAnswer answer;
  answer.status = status;
  answer.retry_after_seconds = AnswerForError(status).retry_after_seconds;
  return answer;
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    // What else JSON escapes is no part of our messages but where they quote a sender's bytes.
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  out += '"';
}

std::string JsonBody(const ExportAnswer& answer) {
  std::string out;
  if (!answer.status.ok()) {
    out = R"({"code":)" + std::to_string(static_cast<int>(answer.status.code())) + R"(,"message":)";
    AppendJsonString(answer.status.message(), out);
    return out + "}";
  }
  if (answer.message.empty()) return "{}";
  out = R"({"partialSuccess":{"rejectedDataPoints":")" + std::to_string(answer.rejected_points) +
        R"(","errorMessage":)";
  AppendJsonString(answer.message, out);
  return out + "}}";
}

std::string ProtobufBody(const ExportAnswer& answer) {
  std::string out;
  protozero::pbf_writer writer(out);
  if (!answer.status.ok()) {
    writer.add_int32(1, static_cast<int32_t>(answer.status.code()));
    writer.add_string(2, std::string(answer.status.message()));
  } else if (!answer.message.empty()) {
    protozero::pbf_writer partial(writer, 1);
    partial.add_int64(1, static_cast<int64_t>(answer.rejected_points));
    partial.add_string(2, answer.message);
  }
  return out;
}

}  // namespace

Result<Encoding> ParseEncoding(std::string_view content_type) {
  const std::string type = MediaType(content_type);
  if (type == "application/x-protobuf" || type.empty()) return Encoding::kProtobuf;
  if (type == "application/json") return Encoding::kJson;
  return Unimplemented("Content-Type: \"" + std::string(content_type) +
                       "\" is not spoken here; send application/x-protobuf or application/json");
}

int HttpStatusOf(const ExportAnswer& answer) {
  if (answer.status.ok()) return 200;
  if (answer.status.code() == StatusCode::kOutOfRange) return 413;
  return answer.over_rate ? 429 : AnswerForError(answer.status).status;
}

bool IsOverloaded(const ExportAnswer& answer) {
  return !answer.over_rate && AnswerForError(answer.status).overloaded;
}

std::string ResponseBody(const ExportAnswer& answer, Encoding encoding) {
  return encoding == Encoding::kJson ? JsonBody(answer) : ProtobufBody(answer);
}

// The decoders of one set of limits.
struct OtlpService::Scratch {
  Scratch(std::shared_ptr<const LimitTable> of, const Limits& limits_of_tenant,
          const Settings& settings, storage::Resolver& resolver)
      : table(std::move(of)),
        limits(limits_of_tenant),
        translator(limits, settings),
        builder(resolver, kDefaultTenant),
        deltas(resolver, kDefaultTenant) {}
  const std::shared_ptr<const LimitTable> table;
  const Limits& limits;  // in `table`
  ProtobufDecoder protobuf;
  JsonDecoder json;
  Translator translator;
  storage::BatchBuilder builder;
  storage::BatchBuilder deltas;  // that are to become totals
  Report report;
  std::string body;
};

OtlpService::OtlpService(storage::Store& store, const Clock& clock, WriteService& counts,
                         const Settings& settings)
    : store_(store), clock_(clock), counts_(counts), settings_(settings), totals_(store, clock) {
  counts_.SetMissedOtlp([this](const HaSender& sender, const HeldRequest& held, int64_t after_ms) {
    WriteMissed(sender, held, after_ms);
  });
}

OtlpService::~OtlpService() { counts_.SetMissedOtlp(nullptr); }

std::unique_ptr<OtlpService::Scratch> OtlpService::Borrow(TenantId tenant) {
  std::shared_ptr<const LimitTable> table = counts_.tenants().limits();
  const Limits& limits = table->Of(tenant);
  {
    const MutexLock lock(mu_);
    std::erase_if(idle_, [&table](const auto& scratch) { return scratch->table != table; });
    for (size_t i = idle_.size(); i-- > 0;) {
      if (&idle_[i]->limits != &limits) continue;
      std::unique_ptr<Scratch> scratch = std::move(idle_[i]);
      idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(i));
      return scratch;
    }
  }
  return std::make_unique<Scratch>(std::move(table), limits, settings_, store_.resolver());
}

void OtlpService::GiveBack(std::unique_ptr<Scratch> scratch) {
  if (scratch->body.capacity() > kKeptBodyBytes) std::string().swap(scratch->body);
  const MutexLock lock(mu_);
  if (idle_.size() < kIdleScratch) idle_.push_back(std::move(scratch));
}

void OtlpService::Export(const ExportRequest& request, ExportDone done) {
  const auto coding = ParseContentCoding(request.content_encoding);
  if (!coding.ok()) {
    counts_.Refuse(request.tenant, Protocol::kOtlp, Refusal::kContentType,
                   coding.status().message());
    return done(Failed(Unimplemented(std::string(coding.status().message()))));
  }
  std::unique_ptr<Scratch> scratch = Borrow(request.tenant);
  const size_t max_body_bytes = scratch->limits.max_body_bytes;
  scratch->report.Reset();
  scratch->builder.Reset(request.tenant);
  scratch->deltas.Reset(request.tenant);
  // Decoded where it lies if it was not compressed.
  std::string_view body = request.body;
  Status status;
  if (*coding != ContentCoding::kIdentity) {
    status = Decompress(*coding, request.body, max_body_bytes, scratch->body);
    body = scratch->body;
  } else if (body.size() > max_body_bytes) {
    status = ResourceExhausted("body: " + std::to_string(body.size()) + " bytes, the limit is " +
                               std::to_string(max_body_bytes));
  }
  if (status.code() == StatusCode::kResourceExhausted) {
    // Sending it again would not make it smaller.
    GiveBack(std::move(scratch));
    counts_.Refuse(request.tenant, Protocol::kOtlp, Refusal::kTooLarge, status.message());
    return done(Failed(OutOfRange(std::string(status.message()) +
                                  "; export smaller batches or raise ingest.max_body")));
  }
  if (status.ok()) {
    scratch->translator.BeginRequest(request.tenant, clock_.Now(), scratch->builder,
                                     scratch->deltas, scratch->report);
    status = request.encoding == Encoding::kJson
                 ? scratch->json.Decode(body, scratch->translator)
                 : scratch->protobuf.Decode(body, scratch->translator);
  }
  if (!status.ok()) {
    GiveBack(std::move(scratch));
    counts_.Refuse(request.tenant, Protocol::kOtlp, Refusal::kMalformed, status.message());
    return done(Failed(status));
  }
  HaTracker::Decision decision;
  const std::optional<HaSender>& sender = scratch->translator.sender();
  if (sender.has_value()) {
    const auto held = [&] {
      return HeldRequest{.protocol = Protocol::kOtlp,
                         .coding = *coding,
                         .body = std::string(request.body),
                         .is_json = request.encoding == Encoding::kJson};
    };
    if (counts_.StandsBy(*sender, scratch->report, held, scratch->builder, decision)) {
      GiveBack(std::move(scratch));
      return done({});  // to its sender all is well: the leader's samples stand for these
    }
  }
  std::vector<storage::IngestBatch> batches = scratch->builder.Finish();
  std::vector<storage::IngestBatch> deltas = scratch->deltas.Finish();
  if (sender.has_value()) {
    if (decision.after_ms != INT64_MIN) LeaveOutUpTo(decision.after_ms, deltas);
    counts_.Lead(*sender, decision, batches);
  }
  StoreAll(request, std::move(scratch), std::move(batches), std::move(deltas), std::move(done));
}

void OtlpService::StoreAll(const ExportRequest& request, std::unique_ptr<Scratch> scratch,
                           std::vector<storage::IngestBatch> batches,
                           std::vector<storage::IngestBatch> deltas, ExportDone done) {
  if (deltas.empty()) {
    (void)Store(request, std::move(scratch), std::move(batches), std::move(done), nullptr);
    return;
  }
  Report& report = scratch->report;
  const Status passed = totals_.Pass(
      request.tenant, std::move(deltas), report,
      [&](std::vector<storage::IngestBatch> totals, std::function<void(bool is_stored)> stored) {
        MergeBatches(std::move(totals), batches);
        return Store(request, std::move(scratch), std::move(batches), done, std::move(stored));
      });
  if (passed.ok()) return;
  GiveBack(std::move(scratch));
  counts_.Refuse(request.tenant, Protocol::kOtlp, RefusalOf(passed), passed.message());
  done(Failed(passed));
}

void OtlpService::WriteMissed(const HaSender& sender, const HeldRequest& held, int64_t after_ms) {
  std::unique_ptr<Scratch> scratch = Borrow(sender.tenant);
  scratch->report.Reset();
  scratch->builder.Reset(sender.tenant);
  scratch->deltas.Reset(sender.tenant);
  // It has been decoded before.
  Status status = Decompress(held.coding, held.body, scratch->limits.max_body_bytes, scratch->body);
  if (status.ok()) {
    scratch->translator.BeginRequest(sender.tenant, clock_.Now(), scratch->builder, scratch->deltas,
                                     scratch->report);
    status = held.is_json ? scratch->json.Decode(scratch->body, scratch->translator)
                          : scratch->protobuf.Decode(scratch->body, scratch->translator);
  }
  if (!status.ok()) {
    GiveBack(std::move(scratch));
    return WriteService::LogMissed(sender, status);
  }
  std::vector<storage::IngestBatch> batches = scratch->builder.Finish();
  std::vector<storage::IngestBatch> deltas = scratch->deltas.Finish();
  LeaveOutUpTo(after_ms, deltas);
  counts_.Lead(sender, {.after_ms = after_ms, .missed = {}}, batches);
  ExportRequest request;
  request.tenant = sender.tenant;
  StoreAll(request, std::move(scratch), std::move(batches), std::move(deltas),
           [sender](const ExportAnswer& answer) {
             if (!answer.status.ok()) WriteService::LogMissed(sender, answer.status);
           });
}

bool OtlpService::Store(const ExportRequest& request, std::unique_ptr<Scratch> scratch,
                        std::vector<storage::IngestBatch> batches, ExportDone done,
                        std::function<void(bool is_stored)> stored) {
  Tenants::Admission admission =
      counts_.Admit(request.tenant, Protocol::kOtlp, batches, scratch->report);
  if (!admission.status.ok()) {
    GiveBack(std::move(scratch));
    ExportAnswer refused = Failed(admission.status);
    refused.retry_after_seconds = admission.retry_after_seconds;
    refused.over_rate = true;
    done(refused);
    return false;
  }
  ExportAnswer answer;
  const Report& report = scratch->report;
  answer.rejected_points = scratch->translator.rejected_points() +
                           report.rejected(Reason::kSeriesLimit) +
                           report.rejected(Reason::kFoldLimit) + report.rejected(Reason::kDelta);
  answer.message = report.Message();
  GiveBack(std::move(scratch));
  if (batches.empty() && admission.folds.empty()) {
    done(answer);
    return false;
  }
  counts_.Append(request.tenant, std::move(admission), std::move(batches),
                 [this, tenant = request.tenant, answer = std::move(answer), done = std::move(done),
                  stored = std::move(stored)](const Result<storage::AppendResult>& result) mutable {
                   if (stored) stored(result.ok());
                   if (!result.ok()) {
                     counts_.Refuse(tenant, Protocol::kOtlp, RefusalOf(result.status()),
                                    result.status().message());
                     return done(Failed(result.status()));
                   }
                   counts_.tenants().Stored(tenant, *result);
                   answer.token = result->token;
                   done(answer);
                 });
  return true;
}

}  // namespace basalt::ingest::otlp
