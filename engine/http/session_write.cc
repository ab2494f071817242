// The answering half of a session: answers, streamed pieces, deadlines, the end of a connection.
#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "engine/http/answer_head.h"
#include "engine/http/session.h"

namespace basalt::http {
namespace {

using std::chrono::nanoseconds;

// How soon a full executor is asked again for the next piece.
constexpr Duration kPullAgain{10};

}  // namespace

void Session::Refuse(Response response) {
  started_ = context_->clock->Monotonic();
  Answer(std::move(response), /*close=*/true);
  ReadMore();
}

void Session::Answer(Response response, bool close) {
  ++number_;  // whatever a handler may still say is about another request
  if (close) close_after_ = true;
  BeginWriting(std::move(response), /*streamed=*/false);
}

void Session::OnResponse(uint64_t number, Response response) {
  if (state_ != State::kHandling || number != number_) return;
  BeginWriting(std::move(response), /*streamed=*/false);
}

void Session::OnStream(uint64_t number, Response head, std::shared_ptr<BodyPump> pump) {
  if (state_ != State::kHandling || number != number_) return pump->Drop();
  const bool http10 = parser_.head().minor_version == 0;
  // HTTP/1.0 knows no chunks: the end of the connection is the end of the answer.
  if (http10) close_after_ = true;
  if (head_only_) {
    pump->Drop();
  } else {
    pump_ = std::move(pump);
  }
  BeginWriting(std::move(head), /*streamed=*/true);
  PullPiece();
}

// What a handler's thread has begun to write (exchange.h); the rest goes the usual way.
void Session::OnStarted(uint64_t number, StartedAnswer answer) {
  if (state_ != State::kHandling || number != number_) return;
  state_ = State::kWriting;
  status_ = answer.status;
  chunked_ = false;
  last_piece_taken_ = false;
  context_->metrics->CountBytes(0, answer.sent);
  out_sent_ = answer.sent - std::min(answer.sent, answer.head.size());
  answer.head.erase(0, answer.sent);
  out_head_ = std::move(answer.head);
  out_body_ = std::move(answer.body);
  WriteNext();
}

AnswerShape Session::ShapeOf(bool streamed) {
  return {.http10 = parser_.head().minor_version == 0,
          .head_only = head_only_,
          .close = close_after_ || draining_,
          .streamed = streamed,
          .origin = origin_};
}

void Session::BeginWriting(Response&& response, bool streamed) {
  const AnswerShape shape = ShapeOf(streamed);
  state_ = State::kWriting;
  if (response.overloaded) response.status = overload_status_;
  status_ = response.status;
  chunked_ = streamed && !shape.http10;
  out_sent_ = 0;
  last_piece_taken_ = false;

  out_head_.clear();
  AppendAnswerHead(context_->options, shape, response, context_->clock->Now(), out_head_);
  out_body_.clear();
  if (HasBody(shape, status_)) out_body_ = std::move(response.body);
  if (chunked_ && !out_body_.empty()) FrameChunk();
  WriteNext();
}

// The line before a chunk. The line end after a chunk is written in front of the next one, so that
// a chunk needs two pieces of memory and not three.
void Session::FrameChunk() {
  std::array<char, 32> line{};
  const int bytes = std::snprintf(line.data(), line.size(), "%s%zx\r\n", chunk_open_ ? "\r\n" : "",
                                  out_body_.size());
  out_head_.append(line.data(), static_cast<size_t>(bytes));
  chunk_open_ = true;
}

void Session::WriteNext() {
  while (!writing_) {
    if (!out_head_.empty() || out_sent_ < out_body_.size()) {
      const std::string_view slice =
          std::string_view(out_body_).substr(out_sent_, kWriteSliceBytes);
      writing_ = true;
      slice_bytes_ = slice.size();
      SetDeadline(context_->options.write_timeout);
      transport_.Write(out_head_, slice);
      return;
    }
    if (pump_ == nullptr) return FinishResponse();
    if (last_piece_taken_) {
      DropPump();
      if (chunked_) out_head_ = chunk_open_ ? "\r\n0\r\n\r\n" : "0\r\n\r\n";
    } else if (next_piece_.has_value()) {
      out_body_ = std::move(*next_piece_);
      out_sent_ = 0;
      next_piece_.reset();
      last_piece_taken_ = next_more_ == BodySource::More::kDone;
      // A compressor may keep everything it was given; an empty chunk would end the answer.
      if (chunked_ && !out_body_.empty()) FrameChunk();
      PullPiece();
    } else {
      ClearDeadline();  // the next piece is being made; that is nobody's slowness but ours
      return;
    }
  }
}

void Session::OnWritten(bool ok) {
  if (state_ == State::kClosed) return;
  writing_ = false;
  if (!ok) return Abort();
  if (std::exchange(sending_continue_, false)) {
    if (state_ == State::kWriting) WriteNext();
    return;
  }
  context_->metrics->CountBytes(0, out_head_.size() + slice_bytes_);
  out_head_.clear();
  out_sent_ += slice_bytes_;
  WriteNext();
}

void Session::PullPiece() {
  if (pump_ == nullptr || pulling_ || last_piece_taken_ || next_piece_.has_value()) return;
  pulling_ = pump_->Pull();
  if (pulling_) return;
  pull_later_ = true;
  transport_.WakeAt(std::min(deadline_, context_->clock->Monotonic() + nanoseconds(kPullAgain)));
}

// A piece that is being made keeps the pump until it is made; nobody else may touch the source
// then.
void Session::DropPump() {
  if (pump_ != nullptr && !pulling_) pump_->Drop();
  pump_ = nullptr;
  pulling_ = false;
  next_piece_.reset();
}

void Session::OnPiece(uint64_t number, std::string piece, BodySource::More more) {
  if (state_ != State::kWriting || number != number_ || pump_ == nullptr) return;
  pulling_ = false;
  // Cut, not ended: a chunked answer without its last chunk cannot be taken for a whole one.
  if (more == BodySource::More::kAbort) return Abort();
  next_piece_ = std::move(piece);
  next_more_ = more;
  WriteNext();
}

void Session::FinishResponse() {
  const double seconds =
      std::chrono::duration<double>(context_->clock->Monotonic() - started_).count();
  context_->metrics->CountRequest(route_ == nullptr ? RouteClass::kAdmin : route_->route_class,
                                  status_, seconds);
  if (close_after_ || draining_) return StartLinger();
  EndRequest();
}

void Session::EndRequest() {
  parser_.Reset();
  request_ = Request{};
  route_ = nullptr;
  refusal_.reset();
  cancel_ = std::stop_source(std::nostopstate);
  body_bytes_ = 0;
  head_only_ = false;
  close_after_ = false;
  origin_.clear();
  out_body_ = std::string();  // a large answer's memory is not kept for the next one
  chunk_open_ = false;
  state_ = State::kIdle;
  SetDeadline(context_->options.idle_timeout);
  Process();
}

// Closing a socket that has unread bytes resets it, and a reset may overtake the answer. So the
// answer is followed by an end of stream, and what the client still says is read until it closes,
// for a while.
void Session::StartLinger() {
  if (peer_gone_) return Close();
  state_ = State::kLingering;
  lingered_ = 0;
  if (!reading_body_) body_.Release();
  transport_.ShutdownWrite();
  SetDeadline(context_->options.linger_timeout);
  Process();
}

void Session::OnWake() {
  if (state_ == State::kClosed) return;
  if (std::exchange(pull_later_, false)) PullPiece();
  if (context_->clock->Monotonic() < deadline_) {
    if (deadline_ != nanoseconds::max() && !pull_later_) transport_.WakeAt(deadline_);
    return;
  }
  switch (state_) {
    case State::kHeader:
      context_->metrics->CountRefusal(Refusal::kHeaderTimeout);
      return Answer(TextResponse(408, "the header took too long"), /*close=*/true);
    case State::kBody:
      context_->metrics->CountRefusal(Refusal::kBodyTimeout);
      return Answer(TextResponse(408, "the body took too long"), /*close=*/true);
    case State::kWriting:
      context_->metrics->CountRefusal(Refusal::kWriteTimeout);
      return Abort();
    case State::kIdle:
    case State::kLingering:
      return Close();
    case State::kHandling:
    case State::kClosed:
      return;
  }
}

}  // namespace basalt::http
