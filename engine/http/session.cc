// The reading half: bytes -> request -> handler. The answering half is session_write.cc.
#include "engine/http/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <span>
#include <utility>

#include "engine/base/log.h"

namespace basalt::http {
namespace {

// At least this much, whatever headers may be: reads follow the room there is, and small reads cost
// ten times the CPU (measured on 200 KiB bodies, stack.md A.2).
constexpr size_t kMinBufferBytes = 64u << 10;

Response TooLarge(size_t limit) {
  return TextResponse(
      413, "request body is larger than the limit of " + std::to_string(limit) + " bytes");
}

Response NoBodyMemory(int status) {
  Response response =
      TextResponse(status, "request bodies in flight hold all the memory they may; try again");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

// Prometheus' clients expect JSON of the query API even when it is the server that refuses.
Response QueueFull(RouteClass route_class, int status) {
  Response response = TextResponse(status, "too many requests are waiting; try again");
  if (route_class == RouteClass::kQuery) {
    response.content_type = "application/json";
    response.body =
        R"({"status":"error","errorType":"unavailable","error":"too many queries are waiting; try again"})";
  }
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

// Where bodies go that nobody wants. The thread's own, so that a flood of refused requests touches
// no memory but this.
std::span<char> Scrap(size_t wanted) {
  thread_local std::array<char, 64u << 10> scrap;
  return std::span(scrap).first(std::min(wanted, scrap.size()));
}

// The path and query of "/a?b", "http://host/a?b" or "*"; empty if the target is none of these.
std::string_view OriginForm(std::string_view target) {
  if (!target.empty() && (target.front() == '/' || target == "*")) return target;
  const size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return {};
  const size_t path = target.find('/', scheme + 3);
  return path == std::string_view::npos ? std::string_view("/") : target.substr(path);
}

}  // namespace

Session::Session(std::shared_ptr<const SessionContext> context, Transport& transport,
                 std::shared_ptr<Executor> loop)
    : context_(std::move(context)),
      transport_(transport),
      loop_(std::move(loop)),
      direct_(transport.direct()),
      buffer_(std::make_unique_for_overwrite<char[]>(kFirstBufferBytes)),
      parser_(context_->options.max_header_bytes),
      cancel_(std::nostopstate) {}

Session::~Session() = default;

void Session::Start() {
  SetDeadline(context_->options.idle_timeout);
  ReadMore();
}

void Session::Drain() {
  draining_ = true;
  // The answer in hand is to say that it is the last one.
  if (direct_ != nullptr) direct_->Shut();
  if (state_ == State::kIdle && buffered().empty()) Close();
}

void Session::Abort() {
  cancel_.request_stop();
  Close();
}

void Session::Close() {
  if (state_ == State::kClosed) return;
  if (state_ == State::kHandling) cancel_.request_stop();
  state_ = State::kClosed;
  DropPump();
  transport_.Close();
  body_.Release();
}

void Session::SetDeadline(Duration from_now) {
  deadline_ = context_->clock->Monotonic() + from_now;
  transport_.WakeAt(deadline_);
}

// The alarm is left as it is: it wakes once for nothing, which is cheaper than two timer changes a
// request.
void Session::ClearDeadline() { deadline_ = std::chrono::nanoseconds::max(); }

void Session::Consume(size_t bytes) { begin_ += bytes; }

void Session::ReadMore() {
  if (reading_ || state_ == State::kClosed) return;
  if (peer_gone_) {
    // Whole requests that came before the end are still answered; a part of one never will be.
    if (state_ == State::kIdle || state_ == State::kHeader || state_ == State::kBody) Close();
    return;
  }
  if (state_ == State::kBody && body_bytes_ > 0) {
    reading_ = reading_body_ = true;
    transport_.Read(refusal_.has_value() ? Scrap(body_bytes_)
                                         : body_.spare().first(body_bytes_ - body_.size()));
    return;
  }
  FitBuffer();
  if (end_ == capacity_) return;  // goes on when the request in hand is answered
  reading_ = true;
  transport_.Read({buffer_.get() + end_, capacity_ - end_});
}

// Room for what is read next, with what is there at its front. Only here may bytes move: no read is
// outstanding that would land behind them.
void Session::FitBuffer() {
  const size_t most = std::max(context_->options.max_header_bytes, kMinBufferBytes);
  const size_t here = end_ - begin_;
  size_t capacity = capacity_;
  if (state_ == State::kBody) {
    capacity = most;  // in chunks
  } else if (here == 0) {
    capacity = kFirstBufferBytes;
  } else if (here == capacity_ && (state_ == State::kIdle || state_ == State::kHeader)) {
    capacity = std::min(most, 2 * capacity_);
  }
  if (capacity != capacity_) {
    auto buffer = std::make_unique_for_overwrite<char[]>(capacity);
    if (here > 0) std::memcpy(buffer.get(), buffer_.get() + begin_, here);
    buffer_ = std::move(buffer);
    capacity_ = capacity;
  } else if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, here);
  }
  begin_ = 0;
  end_ = here;
}

void Session::OnRead(size_t bytes) {
  if (state_ == State::kClosed) return;
  reading_ = false;
  const bool into_body = std::exchange(reading_body_, false);
  if (bytes == 0) {
    peer_gone_ = true;
    if (state_ == State::kHandling || state_ == State::kWriting) {
      cancel_.request_stop();
    } else {
      Close();
    }
    return;
  }
  context_->metrics->CountBytes(bytes, 0);
  if (into_body && refusal_.has_value()) {
    body_bytes_ -= bytes;
  } else if (into_body) {
    body_.Advance(bytes);
  } else {
    end_ += bytes;
  }
  Process();
}

void Session::Process() {
  bool progress = true;
  while (progress) {
    switch (state_) {
      case State::kIdle:
        progress = ProcessIdle();
        break;
      case State::kHeader:
        progress = ProcessHeader();
        break;
      case State::kBody:
        progress = parser_.head().chunked ? ProcessChunkedBody() : ProcessBody();
        break;
      case State::kLingering:
        lingered_ += buffered().size();
        Consume(buffered().size());
        if (lingered_ > context_->options.linger_bytes) Close();
        progress = false;
        break;
      case State::kHandling:
      case State::kWriting:
      case State::kClosed:
        progress = false;
        break;
    }
  }
  ReadMore();
}

bool Session::ProcessIdle() {
  // Old clients end a body with a line feed too many (RFC 9112, 2.2).
  while (buffered().substr(0, 2) == "\r\n") Consume(2);
  if (buffered().empty() || buffered() == "\r") return false;
  state_ = State::kHeader;
  SetDeadline(context_->options.header_timeout);
  return true;
}

bool Session::ProcessHeader() {
  size_t consumed = 0;
  const RequestParser::Outcome outcome = parser_.ParseHead(buffered(), consumed);
  Consume(consumed);
  switch (outcome) {
    case RequestParser::Outcome::kDone:
      return OnHeader();
    case RequestParser::Outcome::kError:
      context_->metrics->CountRefusal(Refusal::kMalformed);
      Answer(TextResponse(parser_.error_status(), parser_.error_text()), /*close=*/true);
      return false;
    case RequestParser::Outcome::kNeedMore:
    case RequestParser::Outcome::kPiece:
      return false;
  }
  return false;
}

bool Session::OnHeader() {
  RequestHead& head = parser_.head();
  started_ = context_->clock->Monotonic();
  request_ = Request{};
  request_.method = head.method;
  request_.target = head.target;
  request_.headers = std::move(head.headers);
  request_.peer = transport_.peer();
  route_ = nullptr;
  overload_status_ = 503;
  refusal_.reset();
  head_only_ = head.method == Method::kHead;
  close_after_ = !head.keep_alive;
  origin_ = request_.headers.Get("Origin");
  if (std::optional<Response> bad = CheckHead(head)) {
    context_->metrics->CountRefusal(Refusal::kMalformed);
    Answer(std::move(*bad), /*close=*/true);
    return false;
  }
  return TakeBody(RouteRequest());
}

// What makes the message itself unacceptable, so that the connection cannot go on.
std::optional<Response> Session::CheckHead(const RequestHead& head) {
  size_t hosts = 0;
  for (size_t i = 0; i < request_.headers.size(); ++i) {
    if (EqualsIgnoringCase(request_.headers.name(i), "Host")) ++hosts;
  }
  if (hosts > 1) return TextResponse(400, "malformed request: more than one Host header");
  if (hosts == 0 && head.minor_version > 0)
    return TextResponse(400, "malformed request: missing required Host header");
  const std::string_view origin_form = OriginForm(request_.target);
  if (origin_form.empty()) return TextResponse(400, "malformed request: target is not a path");
  const std::string_view expect = request_.headers.Get("Expect");
  wants_continue_ = EqualsIgnoringCase(expect, "100-continue");
  if (!expect.empty() && !wants_continue_)
    return TextResponse(417, "the only expectation is \"100-continue\"");
  const size_t question = origin_form.find('?');
  request_.path = origin_form.substr(0, question);
  if (question != std::string_view::npos) request_.query = origin_form.substr(question + 1);
  return std::nullopt;
}

// Finds route_; an answer instead if there is none or the request is not let in.
std::optional<Response> Session::RouteRequest() {
  if (request_.path == "*") {
    Response any;
    any.status = request_.method == Method::kOptions ? 204 : 400;
    return any;
  }
  const std::string& prefix = context_->options.path_prefix;
  if (!prefix.empty()) {
    const std::string_view path = request_.path;
    const bool inside = path.substr(0, prefix.size()) == prefix &&
                        (path.size() == prefix.size() || path[prefix.size()] == '/');
    if (!inside) return TextResponse(404, "404 page not found");
    request_.path =
        path.size() == prefix.size() ? std::string("/") : std::string(path.substr(prefix.size()));
  }
  Router::Match match = context_->router.Find(request_.method, request_.path);
  if (match.allow.empty()) return TextResponse(404, "404 page not found");
  if (match.route == nullptr) {
    Response response;
    response.status = 204;
    if (request_.method != Method::kOptions) response = TextResponse(405, "Method Not Allowed");
    response.headers.emplace_back("Allow", std::move(match.allow));
    return response;
  }
  route_ = match.route;
  if (route_->route_class == RouteClass::kIngest && context_->options.overload_status) {
    overload_status_ = context_->options.overload_status(request_.headers.Get("User-Agent"));
  }
  request_.path_params = std::move(match.path_params);
  return context_->options.admit == nullptr ? std::nullopt : context_->options.admit(request_);
}

// Decides what becomes of the body: none, read for the handler, read and thrown away, or not read
// at all.
bool Session::TakeBody(std::optional<Response> refusal) {
  const RequestHead& head = parser_.head();
  const uint64_t length = head.content_length.value_or(0);
  if (!head.chunked && length == 0) {
    if (refusal.has_value()) {
      Answer(std::move(*refusal), /*close=*/false);
    } else {
      Dispatch();
    }
    return true;
  }
  max_body_bytes_ = refusal.has_value() ? kMaxDiscardedBytes : route_->max_body_bytes;
  if (!refusal.has_value() && length > max_body_bytes_) {
    context_->metrics->CountRefusal(Refusal::kTooLarge);
    Answer(TooLarge(max_body_bytes_), /*close=*/true);
    return true;
  }
  // A client that waits for "100 Continue" has not sent its body, and will not after a final
  // answer.
  if (refusal.has_value() && (wants_continue_ || length > max_body_bytes_)) {
    Answer(std::move(*refusal), /*close=*/true);
    return true;
  }
  const bool wanted = !refusal.has_value() || head.chunked;
  if (wanted && !context_->bodies->Reserve(body_, std::max<size_t>(length, 1))) {
    context_->metrics->CountRefusal(Refusal::kBodyMemory);
    Answer(refusal.has_value() ? std::move(*refusal) : NoBodyMemory(overload_status_),
           /*close=*/true);
    return true;
  }
  refusal_ = std::move(refusal);
  body_bytes_ = length;
  state_ = State::kBody;
  SetDeadline(context_->options.body_timeout);
  if (wants_continue_ && buffered().empty()) {
    sending_continue_ = writing_ = true;
    transport_.Write("HTTP/1.1 100 Continue\r\n\r\n", {});
  }
  return true;
}

bool Session::ProcessBody() {
  const std::string_view here = buffered().substr(0, body_bytes_ - body_.size());
  if (refusal_.has_value()) {
    body_bytes_ -= here.size();
    Consume(here.size());
    if (body_bytes_ > 0) return false;
    Dispatch();
    return true;
  }
  if (!here.empty()) {
    std::memcpy(body_.spare().data(), here.data(), here.size());
    body_.Advance(here.size());
    Consume(here.size());
  }
  if (body_.size() < body_bytes_) return false;
  Dispatch();
  return true;
}

bool Session::ProcessChunkedBody() {
  for (;;) {
    size_t consumed = 0;
    const RequestParser::Outcome outcome = parser_.ParseChunked(buffered(), consumed);
    Consume(consumed);
    switch (outcome) {
      case RequestParser::Outcome::kNeedMore:
        return false;
      case RequestParser::Outcome::kDone:
        Dispatch();
        return true;
      case RequestParser::Outcome::kError:
        context_->metrics->CountRefusal(Refusal::kMalformed);
        Answer(TextResponse(parser_.error_status(), parser_.error_text()), /*close=*/true);
        return false;
      case RequestParser::Outcome::kPiece:
        break;
    }
    const std::string_view piece = parser_.piece();
    if (piece.size() > max_body_bytes_ - body_.size()) {
      context_->metrics->CountRefusal(Refusal::kTooLarge);
      Answer(refusal_.has_value() ? std::move(*refusal_) : TooLarge(max_body_bytes_),
             /*close=*/true);
      return false;
    }
    if (!context_->bodies->Reserve(body_, body_.size() + piece.size())) {
      context_->metrics->CountRefusal(Refusal::kBodyMemory);
      Answer(refusal_.has_value() ? std::move(*refusal_) : NoBodyMemory(overload_status_),
             /*close=*/true);
      return false;
    }
    std::memcpy(body_.spare().data(), piece.data(), piece.size());
    body_.Advance(piece.size());
  }
}

// Header and body are complete.
void Session::Dispatch() {
  if (refusal_.has_value()) {
    body_.Release();
    Answer(std::move(*refusal_), /*close=*/false);
    return;
  }
  struct Call {
    std::shared_ptr<const SessionContext> context;  // keeps the route alive
    const Route* route;
    Request request;
    ResponseWriter writer;
  };
  state_ = State::kHandling;
  ClearDeadline();
  cancel_ = std::stop_source();
  if (peer_gone_) cancel_.request_stop();
  request_.cancel = cancel_.get_token();
  request_.body = std::move(body_);

  ExchangeContext exchange;
  exchange.session = weak_from_this();
  exchange.loop = loop_;
  exchange.executor = context_->executors[static_cast<size_t>(route_->route_class)];
  exchange.number = ++number_;
  exchange.gzip = context_->options.gzip && request_.headers.HasToken("Accept-Encoding", "gzip");
  exchange.min_gzip_bytes = context_->options.min_gzip_bytes;
  // Of writes, answers are a flood of small ones that nobody waits for one by one, and who sends
  // them has samples to apply.
  if (route_->route_class == RouteClass::kQuery && !writing_ && !draining_) {
    exchange.direct = direct_;
    exchange.server = context_;
    exchange.shape = ShapeOf(/*streamed=*/false);
  }
  Executor& executor = *exchange.executor;
  const auto sink = std::make_shared<Exchange>(std::move(exchange));
  auto call =
      std::make_shared<Call>(Call{context_, route_, std::move(request_), ResponseWriter(sink)});
  const bool posted = executor.Post([call] {
    try {
      call->route->handler(std::move(call->request), std::move(call->writer));
    } catch (const std::exception& e) {
      // Out of memory, most likely: this request fails and others go on. What was thrown past had
      // the writer, which answers 500 when it is destroyed.
      BASALT_LOG(kError, "a request failed", {"error", e.what()});
    }
  });
  if (posted) return;
  sink->Abandon();  // dropped without an answer, it would send one
  context_->metrics->CountRefusal(Refusal::kQueueFull);
  Answer(QueueFull(route_->route_class, overload_status_), /*close=*/false);
}

}  // namespace basalt::http
