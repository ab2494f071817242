// tools/late_bound.h -- doors that are open before there is a room behind them.
//
// The HTTP server listens from the first moment, so that /-/healthy, /-/ready and a taken port are
// answered at once; the store may replay its log for seconds. Until then these answer "not ready
// yet".
#pragma once

#include <atomic>
#include <charconv>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/executor.h"
#include "engine/base/log.h"
#include "engine/http/api/api.h"
#include "engine/http/api/params.h"
#include "engine/http/api/write_handler.h"
#include "engine/ingest/fair_queue.h"
#include "engine/ingest/otlp/otlp_service.h"
#include "engine/ingest/write_service.h"
#include "storage/reader.h"

namespace basalt::cli {

inline constexpr const char* kNotReady = "the log is being replayed; try again in a moment";

// Thread-safe.
class LateReader final : public storage::Reader {
 public:
  explicit LateReader(uint32_t partitions) : partitions_(partitions) {}
  void Bind(const storage::Reader* reader) { reader_.store(reader, std::memory_order_release); }

  [[nodiscard]] uint32_t partition_count() const override { return partitions_; }
  Result<std::shared_ptr<const storage::Snapshot>> TakeSnapshot(std::optional<LogPosition> at_least,
                                                                Duration timeout) const override {
    const storage::Reader* reader = reader_.load(std::memory_order_acquire);
    if (reader == nullptr) return Unavailable(kNotReady);
    return reader->TakeSnapshot(at_least, timeout);
  }

 private:
  const uint32_t partitions_;
  std::atomic<const storage::Reader*> reader_ = nullptr;
};

// Remote write over HTTP, onto the WriteService. Thread-safe.
class LateWriteHandler final : public http::api::WriteHandler {
 public:
  void Bind(ingest::WriteService* service) { service_.store(service, std::memory_order_release); }

  void Write(http::api::WriteRequest request, http::api::WriteDone done) override {
    ingest::WriteService* service = service_.load(std::memory_order_acquire);
    if (service == nullptr) return done(Unwritten(request.headers, Unavailable(kNotReady)));
    // The body is decoded before the call returns; what is kept after it are batches.
    service->RemoteWrite(
        {.tenant = request.tenant,
         .content_type = request.headers.Get("Content-Type"),
         .content_encoding = request.headers.Get("Content-Encoding"),
         .body = request.body.view()},
        [done = std::move(done)](const ingest::WriteAnswer& answer) { done(ToResponse(answer)); });
  }

  // For what comes to no service.
  static http::Response Unwritten(const http::Headers& headers, const Status& why) {
    ingest::WriteAnswer answer = ingest::AnswerForError(why);
    answer.tells_written = ingest::IsWrite2(headers.Get("Content-Type"));
    return ToResponse(answer);
  }

  static http::Response ToResponse(const ingest::WriteAnswer& answer) {
    http::Response response = http::TextResponse(answer.status, answer.message);
    if (answer.status == 204) response.body.clear();
    response.overloaded = answer.overloaded;
    if (answer.retry_after_seconds > 0) {
      response.headers.emplace_back("Retry-After", std::to_string(answer.retry_after_seconds));
    }
    if (answer.tells_written) {
      for (const auto& [name, count] : {std::pair{"Samples", answer.samples_written},
                                        std::pair{"Histograms", answer.histograms_written},
                                        std::pair{"Exemplars", answer.exemplars_written}}) {
        response.headers.emplace_back("X-Prometheus-Remote-Write-" + std::string(name) + "-Written",
                                      std::to_string(count));
      }
    }
    if (answer.token.seq != 0) {
      response.headers.emplace_back("X-Basalt-Token", std::to_string(answer.token.lane) + ":" +
                                                          std::to_string(answer.token.seq));
    }
    // No mistake of the sender's, so no 400; a person who imports wants to know all the same.
    if (answer.stored.samples_too_old != 0) {
      response.headers.emplace_back("X-Basalt-Samples-Too-Old",
                                    std::to_string(answer.stored.samples_too_old));
    }
    return response;
  }

 private:
  std::atomic<ingest::WriteService*> service_ = nullptr;
};

// Files over HTTP, onto the WriteService: `lines` of JSON, of Prometheus' formats, which the
// Content-Type tells apart, or sections of the native format. Thread-safe.
class LateImportHandler final : public http::api::WriteHandler {
 public:
  enum class Lines : uint8_t { kJson, kExposition, kNative };
  explicit LateImportHandler(Lines lines) : lines_(lines) {}
  void Bind(ingest::WriteService* service) { service_.store(service, std::memory_order_release); }

  void Write(http::api::WriteRequest request, http::api::WriteDone done) override {
    ingest::WriteService* service = service_.load(std::memory_order_acquire);
    if (service == nullptr) {
      return done(LateWriteHandler::ToResponse(ingest::AnswerForError(Unavailable(kNotReady))));
    }
    ingest::Protocol format =
        lines_ == Lines::kNative ? ingest::Protocol::kNative : ingest::Protocol::kJsonLines;
    if (lines_ == Lines::kExposition) {
      const bool is_open_metrics =
          request.headers.Get("Content-Type").starts_with("application/openmetrics-text");
      format = is_open_metrics ? ingest::Protocol::kOpenMetrics : ingest::Protocol::kExposition;
    }
    // A file that comes in pieces: what its first line is called in messages.
    uint64_t first_line = 1;
    const std::string_view told = request.headers.Get("X-Basalt-First-Line");
    std::from_chars(told.data(), told.data() + told.size(), first_line);
    service->Import(format, first_line,
                    {.tenant = request.tenant,
                     .content_type = {},
                     .content_encoding = request.headers.Get("Content-Encoding"),
                     .body = request.body.view()},
                    [done = std::move(done)](const ingest::WriteAnswer& answer) {
                      done(LateWriteHandler::ToResponse(answer));
                    });
  }

 private:
  const Lines lines_;
  std::atomic<ingest::WriteService*> service_ = nullptr;
};

// Runs a task where it is posted: for work that only hands itself on.
class InlineExecutor final : public Executor {
 public:
  [[nodiscard]] bool Post(Task task) override {
    task();
    return true;
  }
};

// In front of a handler: requests wait by tenant (ingest/fair_queue.h), and the handler runs on the
// queue's threads. Called on an I/O thread. Thread-safe.
class FairHandler final : public http::api::WriteHandler {
 public:
  // `refused` is told of requests that find no room. All must outlive it.
  FairHandler(http::api::WriteHandler& handler, ingest::FairQueue& queue,
              std::function<void(TenantId)> refused)
      : handler_(handler), queue_(queue), refused_(std::move(refused)) {}

  void Write(http::api::WriteRequest request, http::api::WriteDone done) override {
    const TenantId tenant = request.tenant;
    // std::function wants copyable.
    auto held = std::make_shared<std::pair<http::api::WriteRequest, http::api::WriteDone>>(
        std::move(request), std::move(done));
    const bool posted = queue_.Post(tenant, [this, held] {
      try {
        handler_.Write(std::move(held->first), std::move(held->second));
      } catch (const std::exception& e) {
        // Out of memory, most likely: this request fails and others go on. Whoever held the writer
        // has let go of it, which answers 500.
        BASALT_LOG(kError, "a write failed", {"error", e.what()});
      }
    });
    if (!posted) held->second(NoRoom(tenant, held->first.headers));
  }

  // The answer to a request whose header is here, if there is no room for it now: its body need not
  // be read into memory to be refused. Null: let it come.
  std::optional<http::Response> Admit(const http::Headers& headers) {
    const Result<TenantId> tenant = http::api::ParseTenant(headers.Get(http::api::kTenantHeader));
    // A bad one is told so by who reads all of the request.
    if (!tenant.ok() || queue_.HasRoom(*tenant)) return std::nullopt;
    return NoRoom(*tenant, headers);
  }

 private:
  http::Response NoRoom(TenantId tenant, const http::Headers& headers) {
    refused_(tenant);
    return LateWriteHandler::Unwritten(headers,
                                       ResourceExhausted("too many requests of this tenant wait"));
  }

  http::api::WriteHandler& handler_;
  ingest::FairQueue& queue_;
  const std::function<void(TenantId)> refused_;
};

// OTLP metrics over HTTP, onto the OtlpService. Thread-safe.
class LateOtlpHandler final : public http::api::WriteHandler {
 public:
  void Bind(ingest::otlp::OtlpService* service) {
    service_.store(service, std::memory_order_release);
  }

  void Write(http::api::WriteRequest request, http::api::WriteDone done) override {
    using ingest::otlp::Encoding;
    const auto encoding = ingest::otlp::ParseEncoding(request.headers.Get("Content-Type"));
    ingest::otlp::ExportAnswer refused;
    if (!encoding.ok()) {
      refused.status = encoding.status();
      return done(ToResponse(refused, Encoding::kJson));
    }
    ingest::otlp::OtlpService* service = service_.load(std::memory_order_acquire);
    if (service == nullptr) {
      refused.status = Unavailable(kNotReady);
      refused.retry_after_seconds = 1;
      return done(ToResponse(refused, *encoding));
    }
    service->Export(
        {.tenant = request.tenant,
         .encoding = *encoding,
         .content_encoding = request.headers.Get("Content-Encoding"),
         .body = request.body.view()},
        [encoding = *encoding, done = std::move(done)](const ingest::otlp::ExportAnswer& answer) {
          done(ToResponse(answer, encoding));
        });
  }

 private:
  static http::Response ToResponse(const ingest::otlp::ExportAnswer& answer,
                                   ingest::otlp::Encoding encoding) {
    using ingest::otlp::Encoding;
    http::Response response;
    response.status = ingest::otlp::HttpStatusOf(answer);
    response.overloaded = ingest::otlp::IsOverloaded(answer);
    response.body = ingest::otlp::ResponseBody(answer, encoding);
    response.content_type =
        encoding == Encoding::kJson ? "application/json" : "application/x-protobuf";
    if (answer.retry_after_seconds > 0)
      response.headers.emplace_back("Retry-After", std::to_string(answer.retry_after_seconds));
    return response;
  }

  std::atomic<ingest::otlp::OtlpService*> service_ = nullptr;
};

}  // namespace basalt::cli
