#include "engine/http/exchange.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/base/log.h"
#include "engine/http/session.h"

namespace basalt::http {
namespace {

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Images and fonts are compressed already.
bool IsCompressible(std::string_view content_type) {
  return StartsWith(content_type, "text/") || StartsWith(content_type, "application/json") ||
         StartsWith(content_type, "application/javascript") ||
         StartsWith(content_type, "application/openmetrics") ||
         StartsWith(content_type, "application/x-ndjson") || StartsWith(content_type, "image/svg");
}

bool HasHeader(const Response& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [name](const auto& header) { return EqualsIgnoringCase(header.first, name); });
}

// Files of the web console come compressed from the build and say so themselves.
bool MayCompress(const ExchangeContext& context, const Response& response) {
  return context.gzip && response.body.size() >= context.min_gzip_bytes &&
         IsCompressible(response.content_type) && !HasHeader(response, "Content-Encoding");
}

// Runs `deliver(session)` on the I/O thread if both still exist.
template <typename Deliver>
void ToSession(const ExchangeContext& context, Deliver deliver) {
  // std::function wants copyable; what is delivered is moved out of the shared state.
  auto shared = std::make_shared<Deliver>(std::move(deliver));
  const bool posted = context.loop->Post([session = context.session, shared] {
    if (const std::shared_ptr<ExchangeEvents> alive = session.lock()) (*shared)(*alive);
  });
  static_cast<void>(posted);  // refused: the I/O thread is gone, and with it the client
}

}  // namespace

BodySource::More BodyPump::MakePiece(std::string& piece) {
  piece.reserve(BodySource::kPieceBytes + BodySource::kPieceBytes / 8);
  const BodySource::More more = source_->Next(piece);
  if (gzip_ == nullptr || more == BodySource::More::kAbort) return more;
  std::string packed;
  gzip_->Write(piece, packed);
  if (more == BodySource::More::kDone) gzip_->Finish(packed);
  piece = std::move(packed);
  return more;
}

void BodyPump::StartGzip(std::string& first_piece, bool last) {
  gzip_ = std::make_unique<GzipStream>();
  std::string packed;
  gzip_->Write(first_piece, packed);
  if (last) gzip_->Finish(packed);
  first_piece = std::move(packed);
}

bool BodyPump::Pull() {
  return context_.executor->Post([self = shared_from_this()] {
    std::string piece;
    BodySource::More more = BodySource::More::kAbort;
    try {
      more = self->MakePiece(piece);
    } catch (const std::exception& e) {
      BASALT_LOG(kError, "an answer was cut", {"error", e.what()});
    }
    if (more != BodySource::More::kMore) self->source_ = nullptr;
    ToSession(self->context_, [number = self->context_.number, piece = std::move(piece),
                               more](ExchangeEvents& session) mutable {
      session.OnPiece(number, std::move(piece), more);
    });
  });
}

void BodyPump::Drop() {
  const bool posted =
      context_.executor->Post([self = shared_from_this()] { self->source_ = nullptr; });
  static_cast<void>(posted);  // refused: it is freed with the pump, wherever that is
}

void Exchange::Send(Response response) {
  if (MayCompress(context_, response)) {
    std::string packed;
    if (Compress(ContentCoding::kGzip, response.body, packed).ok()) {
      response.body = std::move(packed);
      response.headers.emplace_back("Content-Encoding", "gzip");
    }
  }
  if (context_.direct != nullptr) return SendDirectly(std::move(response));
  ToSession(context_, [number = context_.number,
                       response = std::move(response)](ExchangeEvents& session) mutable {
    session.OnResponse(number, std::move(response));
  });
}

void Exchange::Abandon() {
  context_.direct = nullptr;
  context_.session.reset();
}

void Exchange::SendDirectly(Response response) {
  StartedAnswer answer{.status = response.status, .head = {}, .body = {}, .sent = 0};
  AppendAnswerHead(context_.server->options, context_.shape, response,
                   context_.server->clock->Now(), answer.head);
  if (HasBody(context_.shape, response.status)) answer.body = std::move(response.body);
  answer.sent = context_.direct->TryWrite(answer.head, answer.body);
  if (answer.sent == 0) {
    // The session may have other plans by now: to close, for one.
    if (HasBody(context_.shape, response.status)) response.body = std::move(answer.body);
    ToSession(context_, [number = context_.number,
                         response = std::move(response)](ExchangeEvents& session) mutable {
      session.OnResponse(number, std::move(response));
    });
    return;
  }
  ToSession(context_,
            [number = context_.number, answer = std::move(answer)](
                ExchangeEvents& session) mutable { session.OnStarted(number, std::move(answer)); });
}

void Exchange::Stream(Response head, std::unique_ptr<BodySource> body) {
  auto pump = std::make_shared<BodyPump>(context_, std::move(body));
  const BodySource::More more = pump->MakePiece(head.body);
  if (more == BodySource::More::kAbort)
    return Send(TextResponse(500, "the answer could not be made"));
  if (more == BodySource::More::kDone) return Send(std::move(head));
  if (MayCompress(context_, head)) {
    pump->StartGzip(head.body, /*last=*/false);
    head.headers.emplace_back("Content-Encoding", "gzip");
  }
  ToSession(context_, [number = context_.number, head = std::move(head),
                       pump](ExchangeEvents& session) mutable {
    session.OnStream(number, std::move(head), std::move(pump));
  });
}

}  // namespace basalt::http
