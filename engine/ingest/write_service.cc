#include "engine/ingest/write_service.h"

#include "engine/base/log.h"
#include "engine/ingest/exposition.h"
#include "engine/ingest/json_lines.h"
#include "engine/ingest/media_type.h"
#include "engine/ingest/native_format.h"
#include "engine/ingest/remote_write.h"
#include "engine/ingest/remote_write2.h"
#include "engine/ingest/series_labels.h"

namespace basalt::ingest {
namespace {

// Decoders that wait for the next request; more than this many at once are made anew.
constexpr size_t kIdleScratch = 16;
// A body buffer above this is not kept: one giant request must not pin its memory for ever.
constexpr size_t kKeptBodyBytes = 8u << 20;

// "application/x-protobuf;proto=..." and its shorter forms, as the remote write 2.0 specification
// negotiates. Other parameters mean nothing here, as upstream.
Result<Protocol> ParseContentType(std::string_view type) {
  if (type.empty()) return Protocol::kRemoteWrite1;
  if (MediaType(type) == "application/x-protobuf") {
    const std::string_view proto =
        MediaTypeParameter(type, "proto").value_or("prometheus.WriteRequest");
    if (proto == "prometheus.WriteRequest") return Protocol::kRemoteWrite1;
    if (proto == "io.prometheus.write.v2.Request") return Protocol::kRemoteWrite2;
  }
  return Unimplemented(
      "Content-Type: \"" + std::string(type) +
      "\" is not spoken here; send application/x-protobuf with proto=prometheus.WriteRequest or "
      "proto=io.prometheus.write.v2.Request");
}

}  // namespace

bool IsWrite2(std::string_view content_type) {
  const auto protocol = ParseContentType(content_type);
  return protocol.ok() && *protocol == Protocol::kRemoteWrite2;
}

namespace {

int HttpStatus(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
      return 400;
    case StatusCode::kUnimplemented:
      return 415;
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kCancelled:
      return 503;
    default:
      return 500;
  }
}

// The election as a sample, in the record of what it lets in.
void AddElection(const HaSender& sender, Timestamp now, storage::BatchBuilder& builder) {
  const std::vector<LabelView> labels = {
      {kMetricName, kElectionMetric}, {"cluster", sender.cluster}, {"replica", sender.replica}};
  std::string canonical;
  AppendCanonical(labels, canonical);
  const Hash128 fingerprint = CanonicalFingerprint(canonical);
  if (!builder.SelectKnown(fingerprint)) builder.SelectLabels(fingerprint, labels);
  builder.AddSample(ToMs(now), 1);
}

}  // namespace

WriteAnswer AnswerForError(const Status& status) {
  WriteAnswer answer;
  answer.status = HttpStatus(status.code());
  answer.overloaded = status.code() == StatusCode::kResourceExhausted;
  answer.message = status.message();
  // Long enough for a group commit or a background seal, short enough that a queue does not grow
  // for nothing.
  if (answer.status == 503) answer.retry_after_seconds = 1;
  return answer;
}

// The decoders of one set of limits.
struct WriteService::Scratch {
  Scratch(std::shared_ptr<const LimitTable> of, const Limits& limits_of_tenant,
          storage::Resolver& resolver)
      : table(std::move(of)),
        limits(limits_of_tenant),
        one(limits),
        two(limits),
        exposition(limits),
        json_lines(limits),
        native(limits),
        builder(resolver, kDefaultTenant) {}
  const std::shared_ptr<const LimitTable> table;
  const Limits& limits;  // in `table`
  RemoteWriteDecoder one;
  RemoteWrite2Decoder two;
  ExpositionDecoder exposition;
  JsonLinesDecoder json_lines;
  NativeDecoder native;
  storage::BatchBuilder builder;
  Report report;
  std::string body;
};

WriteService::WriteService(storage::Store& store, const Clock& clock, metrics::Registry& registry,
                           const LimitTable& limits, const HaSettings& ha)
    : store_(store),
      clock_(clock),
      firewall_(store, clock),
      tenants_(CountByIndex(store, clock), clock, limits, &firewall_),
      pairs_(ha, clock, FindLeaderIn(store)),
      counters_(FindAllCounters(registry)),
      malformed_(registry.AddCounter("basalt_ingest_requests_malformed_total",
                                     "Write requests that could not be decoded.")),
      refused_{},
      standby_samples_(registry.AddCounter(
          "basalt_ingest_ha_standby_samples_total",
          "Samples and histograms of replicas that do not lead their cluster; not stored.")),
      elections_(registry.AddCounter("basalt_ingest_ha_elections_total",
                                     "Times that a replica began to lead its cluster.")) {
  for (size_t i = 0; i < kRefusals; ++i) {
    refused_[i] = &registry.AddCounter(
        "basalt_ingest_requests_refused_total", "Write requests that were refused whole.",
        {{"reason", std::string(RefusalName(static_cast<Refusal>(i)))}});
  }
}

WriteService::~WriteService() = default;

std::unique_ptr<WriteService::Scratch> WriteService::Borrow(TenantId tenant) {
  std::shared_ptr<const LimitTable> table = tenants_.limits();
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
  auto scratch = std::make_unique<Scratch>(std::move(table), limits, store_.resolver());
  // Who has no limit any more is not to go on folding.
  if (limits.max_active_series > 0) scratch->builder.SetAside(&firewall_.cache());
  return scratch;
}

void WriteService::GiveBack(std::unique_ptr<Scratch> scratch) {
  if (scratch->body.capacity() > kKeptBodyBytes) std::string().swap(scratch->body);
  const MutexLock lock(mu_);
  if (idle_.size() < kIdleScratch) idle_.push_back(std::move(scratch));
}

void WriteService::RemoteWrite(const WriteRequest& request, WriteDone done) {
  const auto protocol = ParseContentType(request.content_type);
  const auto coding =
      ParseContentCoding(request.content_encoding.empty() ? "snappy" : request.content_encoding);
  if (!protocol.ok() || !coding.ok()) {
    const Status& status = protocol.ok() ? coding.status() : protocol.status();
    Refuse(request.tenant, Protocol::kRemoteWrite1, Refusal::kContentType, status.message());
    WriteAnswer answer = AnswerForError(Unimplemented(std::string(status.message())));
    answer.tells_written = IsWrite2(request.content_type);
    return done(answer);
  }
  Write(*protocol, *coding, 0, request, std::move(done));
}

void WriteService::Import(Protocol format, uint64_t first_line, const WriteRequest& request,
                          WriteDone done) {
  const auto coding = ParseContentCoding(request.content_encoding);
  if (!coding.ok()) {
    Refuse(request.tenant, format, Refusal::kContentType, coding.status().message());
    return done(AnswerForError(Unimplemented(std::string(coding.status().message()))));
  }
  Write(format, *coding, first_line, request, std::move(done));
}

Status WriteService::Decode(Protocol protocol, uint64_t first_line, TenantId tenant,
                            Scratch& s) const {
  const Timestamp now = clock_.Now();
  switch (protocol) {
    case Protocol::kRemoteWrite1:
      return s.one.Decode(s.body, now, s.builder, s.report);
    case Protocol::kRemoteWrite2:
      return s.two.Decode(s.body, now, s.builder, s.report, tenant);
    case Protocol::kExposition:
      s.exposition.Decode(s.body, Exposition::kPrometheus, now, first_line, s.builder, s.report);
      return OkStatus();
    case Protocol::kOpenMetrics:
      s.exposition.Decode(s.body, Exposition::kOpenMetrics, now, first_line, s.builder, s.report);
      return OkStatus();
    case Protocol::kJsonLines:
      s.json_lines.Decode(s.body, now, first_line, s.builder, s.report);
      return OkStatus();
    case Protocol::kNative:
      return s.native.Decode(s.body, now, first_line, s.builder, s.report);
    case Protocol::kPush:
    case Protocol::kOtlp:
      break;  // have services of their own
  }
  return Internal("no decoder for this protocol");
}

void WriteService::Write(Protocol protocol, ContentCoding coding, uint64_t first_line,
                         const WriteRequest& request, WriteDone done) {
  std::unique_ptr<Scratch> scratch = Borrow(request.tenant);
  scratch->report.Reset();
  scratch->builder.Reset(request.tenant);
  Status status = Decompress(coding, request.body, scratch->limits.max_body_bytes, scratch->body);
  if (status.code() == StatusCode::kResourceExhausted) {
    // Sending it again would not make it smaller.
    WriteAnswer answer;
    answer.status = 413;
    answer.tells_written = protocol == Protocol::kRemoteWrite2;
    answer.message = std::string(status.message()) +
                     "; send less at a time (remote write: max_samples_per_send) or "
                     "raise ingest.max_body";
    Refuse(request.tenant, protocol, Refusal::kTooLarge, answer.message);
    GiveBack(std::move(scratch));
    return done(answer);
  }
  const bool is_two = protocol == Protocol::kRemoteWrite2;
  if (status.ok()) status = Decode(protocol, first_line, request.tenant, *scratch);
  if (!status.ok()) {
    GiveBack(std::move(scratch));
    malformed_.Add();
    Refuse(request.tenant, protocol, Refusal::kMalformed, status.message());
    WriteAnswer answer = AnswerForError(status);
    answer.tells_written = is_two;
    return done(answer);
  }
  const std::optional<HaSender> sender = SenderOf(protocol, request, *scratch);
  HaTracker::Decision decision;
  if (sender.has_value()) {
    const auto held = [&] {
      return HeldRequest{.protocol = protocol, .coding = coding, .body = std::string(request.body)};
    };
    if (StandsBy(*sender, scratch->report, held, scratch->builder, decision)) {
      // To its sender all is well: the leader's samples stand for these.
      WriteAnswer answer;
      answer.tells_written = is_two;
      answer.samples_written = scratch->report.samples;
      answer.histograms_written = scratch->report.histograms;
      answer.exemplars_written = scratch->report.exemplars;
      GiveBack(std::move(scratch));
      return done(answer);
    }
  }
  std::vector<storage::IngestBatch> batches = scratch->builder.Finish();
  if (sender.has_value()) Lead(*sender, decision, batches);
  Tenants::Admission admission = Admit(request.tenant, protocol, batches, scratch->report);
  WriteAnswer answer;
  answer.tells_written = is_two;
  if (!admission.status.ok()) {
    GiveBack(std::move(scratch));
    answer.status = 429;
    answer.message = admission.status.message();
    answer.retry_after_seconds = admission.retry_after_seconds;
    return done(answer);
  }
  answer.message = scratch->report.Message();
  if (!answer.message.empty()) answer.status = 400;
  answer.samples_written = scratch->report.samples;
  answer.histograms_written = scratch->report.histograms;
  answer.exemplars_written = scratch->report.exemplars;
  GiveBack(std::move(scratch));
  if (batches.empty() && admission.folds.empty()) return done(answer);
  Append(request.tenant, std::move(admission), std::move(batches),
         [this, protocol, tenant = request.tenant, answer = std::move(answer),
          done = std::move(done)](const Result<storage::AppendResult>& result) mutable {
           if (result.ok()) {
             tenants_.Stored(tenant, *result);
             // What retention leaves out is no mistake of the sender's, and is not written either.
             // The store counts floats and histograms together; a request mostly has one kind.
             const uint64_t too_old = result->samples_too_old;
             const uint64_t floats = std::min(answer.samples_written, too_old);
             answer.samples_written -= floats;
             answer.histograms_written -= std::min(answer.histograms_written, too_old - floats);
             answer.stored = *result;
             answer.token = result->token;
             return done(answer);
           }
           Refuse(tenant, protocol, RefusalOf(result.status()), result.status().message());
           WriteAnswer failed = AnswerForError(result.status());
           failed.tells_written = answer.tells_written;
           done(failed);
         });
}

std::optional<HaSender> WriteService::SenderOf(Protocol protocol, const WriteRequest& request,
                                               const Scratch& scratch) const {
  const HaLabels& ha = scratch.limits.ha;
  std::vector<LabelView> labels;
  if (ha.cluster.empty()) return std::nullopt;
  if (protocol == Protocol::kRemoteWrite1
          ? !scratch.one.FirstLabels(labels)
          : protocol != Protocol::kRemoteWrite2 || !scratch.two.FirstLabels(labels)) {
    return std::nullopt;
  }
  HaSender sender{.tenant = request.tenant, .cluster = {}, .replica = {}};
  for (const LabelView& label : labels) {
    if (label.name == ha.cluster) sender.cluster = label.value;
    if (label.name == ha.replica) sender.replica = label.value;
  }
  if (sender.cluster.empty() || sender.replica.empty()) return std::nullopt;
  return sender;
}

bool WriteService::StandsBy(const HaSender& sender, const Report& report,
                            const std::function<HeldRequest()>& held,
                            storage::BatchBuilder& builder, HaTracker::Decision& decision) {
  decision = pairs_.Decide(sender);
  if (decision.verdict == HaTracker::Verdict::kStandsBy) {
    standby_samples_.Add(report.samples + report.histograms);
    pairs_.Hold(sender, held());
    return true;
  }
  if (decision.verdict == HaTracker::Verdict::kElected) {
    elections_.Add();
    AddElection(sender, clock_.Now(), builder);
  }
  return false;
}

void WriteService::Lead(const HaSender& sender, const HaTracker::Decision& decision,
                        std::vector<storage::IngestBatch>& batches) {
  if (decision.after_ms != INT64_MIN) {
    standby_samples_.Add(LeaveOutUpTo(decision.after_ms, batches));
  }
  pairs_.Stored(sender, NewestOf(batches));
  for (const HeldRequest& missed : decision.missed) WriteMissed(sender, missed, decision.after_ms);
}

void WriteService::SetMissedOtlp(WriteMissedOtlp write) {
  const MutexLock lock(mu_);
  write_missed_otlp_ = std::move(write);
}

void WriteService::LogMissed(const HaSender& sender, const Status& why) {
  BASALT_LOG(kWarn, "what a new leader sent before its election is not all stored",
             {"cluster", sender.cluster}, {"error", why.ToString()});
}

void WriteService::WriteMissed(const HaSender& sender, const HeldRequest& request,
                               int64_t after_ms) {
  if (request.protocol == Protocol::kOtlp) {
    WriteMissedOtlp write;
    {
      const MutexLock lock(mu_);
      write = write_missed_otlp_;
    }
    if (write) return write(sender, request, after_ms);
    return LogMissed(sender, Unavailable("OTLP is not served any more"));
  }
  std::unique_ptr<Scratch> scratch = Borrow(sender.tenant);
  scratch->report.Reset();
  scratch->builder.Reset(sender.tenant);
  // It has been decoded before.
  Status status =
      Decompress(request.coding, request.body, scratch->limits.max_body_bytes, scratch->body);
  if (status.ok()) status = Decode(request.protocol, 0, sender.tenant, *scratch);
  std::vector<storage::IngestBatch> batches = scratch->builder.Finish();
  Tenants::Admission admission;
  if (status.ok()) {
    LeaveOutUpTo(after_ms, batches);
    pairs_.Stored(sender, NewestOf(batches));
    admission = Admit(sender.tenant, request.protocol, batches, scratch->report);
    status = admission.status;
  }
  GiveBack(std::move(scratch));
  if (!status.ok()) return LogMissed(sender, status);
  if (batches.empty() && admission.folds.empty()) return;
  Append(sender.tenant, std::move(admission), std::move(batches),
         [this, sender](const Result<storage::AppendResult>& result) {
           if (!result.ok()) return LogMissed(sender, result.status());
           tenants_.Stored(sender.tenant, *result);
         });
}

void WriteService::Append(TenantId tenant, Tenants::Admission admission,
                          std::vector<storage::IngestBatch> batches, storage::AppendDone done) {
  firewall_.Append(tenant, std::move(admission.folds), std::move(batches), std::move(done));
}

Tenants::Admission WriteService::Admit(TenantId tenant, Protocol protocol,
                                       std::vector<storage::IngestBatch>& batches, Report& report) {
  Tenants::Admission admission = tenants_.Admit(tenant, batches, report);
  if (!admission.status.ok()) {
    Refuse(tenant, protocol, Refusal::kRateLimit, admission.status.message());
    return admission;
  }
  const ProtocolCounters& counters = counters_[static_cast<size_t>(protocol)];
  counters.samples->Add(report.samples);
  counters.histograms->Add(report.histograms);
  counters.exemplars->Add(report.exemplars);
  if (report.details().empty()) return admission;
  for (size_t i = 0; i < kReasons; ++i)
    counters.rejected[i]->Add(report.rejected(static_cast<Reason>(i)));
  rejections_.Add(clock_.Now(), tenant, protocol, report);
  return admission;
}

void WriteService::Refuse(TenantId tenant, Protocol protocol, Refusal refusal,
                          std::string_view example) {
  refused_[static_cast<size_t>(refusal)]->Add();
  rejections_.Add(clock_.Now(), tenant, protocol, refusal, example);
}

std::vector<WriteService::Intake> WriteService::Intakes() const {
  std::vector<Intake> out;
  for (size_t i = 0; i < kProtocols; ++i) {
    const ProtocolCounters& counters = counters_[i];
    out.push_back({static_cast<Protocol>(i), counters.samples->value(),
                   counters.histograms->value(), counters.exemplars->value()});
  }
  return out;
}

WriteService::ProtocolCounters WriteService::FindCounters(metrics::Registry& registry,
                                                          Protocol protocol) {
  const std::string name(ProtocolName(protocol));
  const Labels labels{{"protocol", name}};
  ProtocolCounters counters;
  counters.samples = &registry.AddCounter("basalt_ingest_samples_total",
                                          "Float samples decoded from write requests.", labels);
  counters.histograms = &registry.AddCounter(
      "basalt_ingest_histograms_total", "Native histograms decoded from write requests.", labels);
  counters.exemplars = &registry.AddCounter("basalt_ingest_exemplars_total",
                                            "Exemplars decoded from write requests.", labels);
  for (size_t i = 0; i < kReasons; ++i) {
    counters.rejected[i] = &registry.AddCounter(
        "basalt_ingest_rejected_total", "Samples, histograms, exemplars and metadata refused.",
        {{"protocol", name}, {"reason", std::string(ReasonName(static_cast<Reason>(i)))}});
  }
  return counters;
}

std::array<WriteService::ProtocolCounters, kProtocols> WriteService::FindAllCounters(
    metrics::Registry& registry) {
  std::array<ProtocolCounters, kProtocols> all;
  for (size_t i = 0; i < kProtocols; ++i) all[i] = FindCounters(registry, static_cast<Protocol>(i));
  return all;
}

}  // namespace basalt::ingest
