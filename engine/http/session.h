// engine/http/session.h -- one connection, as a state machine: idle, header, body, handling,
// writing, lingering.
//
// Knows neither sockets nor threads: bytes and alarms come through a Transport, time through a
// Clock. That is what lets the tests drive it through every timeout without waiting, and the fuzzer
// through every byte sequence.
//
// Requests of one connection are answered one after another. While one is being handled the session
// goes on reading, up to its buffer, so that it sees pipelined requests and, above all, a client
// that leaves.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/http/answer_head.h"
#include "engine/http/body.h"
#include "engine/http/exchange.h"
#include "engine/http/http_metrics.h"
#include "engine/http/message.h"
#include "engine/http/request_parser.h"
#include "engine/http/router.h"
#include "engine/http/server.h"
#include "engine/http/transport.h"

namespace basalt::http {

// What all sessions of a server share.
struct SessionContext {
  SessionOptions options;
  Router router;
  std::array<Executor*, kRouteClasses> executors{};
  std::shared_ptr<BodyPool> bodies;
  std::shared_ptr<HttpMetrics> metrics;
  const Clock* clock = nullptr;
};

// One thread: its loop's. `transport` must outlive it; whoever owns both closes the transport
// first.
class Session final : public TransportEvents,
                      public ExchangeEvents,
                      public std::enable_shared_from_this<Session> {
 public:
  // Bodies of refused requests up to this size are read and thrown away, so that the connection can
  // be kept.
  static constexpr size_t kMaxDiscardedBytes = 1u << 20;
  // An answer goes to the transport in slices, each with a write_timeout of its own.
  static constexpr size_t kWriteSliceBytes = 256u << 10;
  // What a connection's buffer begins with, and has again when a larger one is not needed any more:
  // thousands of connections are mostly idle or wait for an answer, and the usual head has a few
  // hundred bytes. Bodies of known length are read past it.
  static constexpr size_t kFirstBufferBytes = 4u << 10;

  Session(std::shared_ptr<const SessionContext> context, Transport& transport,
          std::shared_ptr<Executor> loop);
  ~Session() override;

  void Start();
  // Answers `response` instead of any request, and closes.
  void Refuse(Response response);
  // Closes as soon as the request in hand, if any, is answered.
  void Drain();
  // Cancels and closes now.
  void Abort();

  void OnRead(size_t bytes) override;
  void OnWritten(bool ok) override;
  void OnWake() override;
  void OnResponse(uint64_t number, Response response) override;
  void OnStarted(uint64_t number, StartedAnswer answer) override;
  void OnStream(uint64_t number, Response head, std::shared_ptr<BodyPump> pump) override;
  void OnPiece(uint64_t number, std::string piece, BodySource::More more) override;

 private:
  enum class State : uint8_t {
    kIdle,       // between requests
    kHeader,     // part of a header is here
    kBody,       // a header is here, its body is not
    kHandling,   // with the handler
    kWriting,    // the answer is on its way, or pieces of it are awaited
    kLingering,  // answered and shut down; throwing away what still comes
    kClosed,
  };

  [[nodiscard]] std::string_view buffered() const {
    return {buffer_.get() + begin_, end_ - begin_};
  }
  void Consume(size_t bytes);
  void ReadMore();
  void FitBuffer();
  void SetDeadline(Duration from_now);
  void ClearDeadline();

  // Each moves as far as the bytes at hand allow.
  void Process();
  bool ProcessIdle();
  bool ProcessHeader();
  bool ProcessBody();
  bool ProcessChunkedBody();

  bool OnHeader();
  std::optional<Response> CheckHead(const RequestHead& head);
  std::optional<Response> RouteRequest();
  bool TakeBody(std::optional<Response> refusal);
  void Dispatch();

  // Answers without a handler. `close`: the connection cannot be used any more.
  void Answer(Response response, bool close);
  AnswerShape ShapeOf(bool streamed);
  void BeginWriting(Response&& response, bool streamed);
  void FrameChunk();
  void WriteNext();
  void FinishResponse();
  void StartLinger();
  void PullPiece();
  void DropPump();
  void EndRequest();
  void Close();

  const std::shared_ptr<const SessionContext> context_;
  Transport& transport_;
  const std::shared_ptr<Executor> loop_;
  const std::shared_ptr<DirectWriter> direct_;  // null if the transport has none
  State state_ = State::kIdle;
  bool reading_ = false;       // a Read is outstanding
  bool reading_body_ = false;  // ... into body_
  bool peer_gone_ = false;     // reading has come to its end
  bool close_after_ = false;   // after the answer in hand
  bool draining_ = false;

  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = kFirstBufferBytes;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::chrono::nanoseconds deadline_ = std::chrono::nanoseconds::max();

  // The request in hand.
  RequestParser parser_;
  uint64_t number_ = 0;
  Request request_;
  Body body_;
  const Route* route_ = nullptr;
  std::optional<Response>
      refusal_;            // decided from the header, sent when the body is out of the way
  size_t body_bytes_ = 0;  // by Content-Length; of a refused request, those that are still to come
  size_t max_body_bytes_ = 0;
  bool head_only_ = false;  // HEAD
  bool wants_continue_ = false;
  bool sending_continue_ = false;
  std::string origin_;
  int overload_status_ = 503;  // if there is no memory or no place for it
  std::stop_source cancel_;
  std::chrono::nanoseconds started_{0};

  // The answer in hand.
  std::string out_head_;
  std::string out_body_;
  size_t out_sent_ = 0;  // of out_body_
  int status_ = 0;
  bool writing_ = false;    // a Write is outstanding
  size_t slice_bytes_ = 0;  // of out_body_, in the outstanding Write
  bool chunked_ = false;
  bool chunk_open_ = false;  // a chunk was written without the line end behind it
  bool last_piece_taken_ = false;
  std::shared_ptr<BodyPump> pump_;
  bool pulling_ = false;     // a piece was asked for
  bool pull_later_ = false;  // the executor was full
  std::optional<std::string> next_piece_;
  BodySource::More next_more_ = BodySource::More::kMore;
  size_t lingered_ = 0;
};

}  // namespace basalt::http
