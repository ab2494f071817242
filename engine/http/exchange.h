// engine/http/exchange.h -- one request's way from a session to a handler and back, across threads.
//
// A handler may answer when the connection, and even the server, is long gone. So it holds an
// Exchange, which knows the session only weakly and reaches it only through the I/O thread's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "engine/base/compress.h"
#include "engine/base/executor.h"
#include "engine/http/answer_head.h"
#include "engine/http/message.h"
#include "engine/http/response_writer.h"
#include "engine/http/transport.h"

namespace basalt::http {

class BodyPump;
struct SessionContext;

// An answer of which `sent` bytes, of head and body, are with the peer already.
struct StartedAnswer {
  int status = 0;
  std::string head;
  std::string body;
  size_t sent = 0;
};

// What comes back to the session; called on its I/O thread. `number` tells which request is
// answered.
class ExchangeEvents {
 public:
  virtual ~ExchangeEvents() = default;
  virtual void OnResponse(uint64_t number, Response response) = 0;
  virtual void OnStarted(uint64_t number, StartedAnswer answer) = 0;
  // The head, with the first piece as its body; more follow.
  virtual void OnStream(uint64_t number, Response head, std::shared_ptr<BodyPump> pump) = 0;
  virtual void OnPiece(uint64_t number, std::string piece, BodySource::More more) = 0;
};

// What an exchange needs to know of its session.
struct ExchangeContext {
  std::weak_ptr<ExchangeEvents> session;
  std::shared_ptr<Executor> loop;  // runs tasks on the I/O thread; refuses when that is gone
  Executor* executor = nullptr;    // of the route's class
  uint64_t number = 0;
  bool gzip = false;          // the client takes it and the server gives it
  size_t min_gzip_bytes = 0;  // smaller answers stay as they are
  // Answers go this way if it is there, by the shape that they were to have when they were asked
  // for.
  std::shared_ptr<DirectWriter> direct;
  std::shared_ptr<const SessionContext> server;
  AnswerShape shape;
};

// Asks a BodySource for pieces on the route's executor and compresses them there. One piece is
// under way at a time.
class BodyPump : public std::enable_shared_from_this<BodyPump> {
 public:
  BodyPump(ExchangeContext context, std::unique_ptr<BodySource> source)
      : context_(std::move(context)), source_(std::move(source)) {}

  // On the handler's thread.
  BodySource::More MakePiece(std::string& piece);
  void StartGzip(std::string& first_piece, bool last);
  // Asks for the next piece, which comes back as OnPiece. False: the executor's queue is full; try
  // again later.
  [[nodiscard]] bool Pull();
  // Lets go of the source, on the executor where possible: a large result takes a while to free.
  void Drop();

 private:
  ExchangeContext context_;
  std::unique_ptr<BodySource> source_;
  std::unique_ptr<GzipStream> gzip_;
};

// Thread-safe, as each of its functions is called at most once and by one thread.
class Exchange final : public ResponseSink {
 public:
  explicit Exchange(ExchangeContext context) : context_(std::move(context)) {}
  void Send(Response response) override;
  void Stream(Response head, std::unique_ptr<BodySource> body) override;
  // Somebody else has answered: what is sent from now on goes nowhere. While no other thread knows
  // of it.
  void Abandon();

 private:
  void SendDirectly(Response response);

  ExchangeContext context_;
};

}  // namespace basalt::http
