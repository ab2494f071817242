// engine/http/response_writer.h -- how a handler answers, at once or piece by piece.
#pragma once

#include <memory>
#include <string>

#include "engine/http/message.h"

namespace basalt::http {

// A long answer that is made as fast as the client takes it: the server asks for the next piece
// when the one before is on its way, so a slow client costs two pieces of memory and no thread.
// Called by one thread at a time, on the executor of the route; destroyed when done or when the
// client is gone.
class BodySource {
 public:
  // Enough for a handful of system calls a megabyte, small enough for a thousand clients at once.
  static constexpr size_t kPieceBytes = 64u << 10;
  enum class More : uint8_t {
    kMore,   // there is more to come
    kDone,   // that was all
    kAbort,  // cannot go on: the connection is cut, so that the client sees that the answer is not
             // whole
  };

  virtual ~BodySource() = default;
  // Appends about kPieceBytes to `piece`, which comes empty.
  virtual More Next(std::string& piece) = 0;
};

// The other end of an answer; the server implements it.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void Send(Response response) = 0;
  virtual void Stream(Response head, std::unique_ptr<BodySource> body) = 0;
};

// The right to answer one request, once: Send or Stream, from any thread, at any time after the
// handler was called. Destroyed without an answer, it answers 500, so no client waits for ever.
// Move-only. Thread-compatible.
class ResponseWriter {
 public:
  explicit ResponseWriter(std::shared_ptr<ResponseSink> sink) : sink_(std::move(sink)) {}
  ~ResponseWriter();
  ResponseWriter(ResponseWriter&&) noexcept = default;
  ResponseWriter& operator=(ResponseWriter&& other) noexcept;

  // Compresses, if the client takes that, on the calling thread. Spends the writer.
  void Send(Response response);
  // `head.body` is empty. Makes the first piece on the calling thread, and later ones on the
  // route's executor. An answer that fits one piece goes out with Content-Length, a longer one
  // chunked. Spends the writer.
  void Stream(Response head, std::unique_ptr<BodySource> body);
  [[nodiscard]] bool spent() const { return sink_ == nullptr; }

 private:
  std::shared_ptr<ResponseSink> sink_;
};

}  // namespace basalt::http
