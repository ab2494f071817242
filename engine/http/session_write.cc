// The answering half of a session: answers, streamed pieces, deadlines, the end of a connection.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "engine/http/session.h"

namespace basalt::http {
namespace {

using std::chrono::nanoseconds;

// How soon a full executor is asked again for the next piece.
constexpr Duration kPullAgain{10};

// "Sun, 06 Nov 1994 08:49:37 GMT"; strftime would speak the locale's language.
void AppendDate(Timestamp now, std::string& out) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const int bytes = std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                                  kDays[static_cast<size_t>(utc.tm_wday)], utc.tm_mday,
                                  kMonths[static_cast<size_t>(utc.tm_mon)], utc.tm_year + 1900,
                                  utc.tm_hour, utc.tm_min, utc.tm_sec);
  out.append(text.data(), static_cast<size_t>(bytes));
}

// A value that came from a request must not be able to begin a header, or an answer, of its own.
void AppendHeader(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ");
  for (const char c : value) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out.append("\r\n");
}

void AppendCors(std::string_view allowed, std::string_view origin, std::string& out) {
  AppendHeader("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin", out);
  AppendHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS", out);
  AppendHeader("Access-Control-Expose-Headers", "Date", out);
  if (allowed == "*" || allowed == origin)
    AppendHeader("Access-Control-Allow-Origin", allowed, out);
}

bool MayHaveBody(int status) { return status >= 200 && status != 204 && status != 304; }

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

void Session::BeginWriting(Response&& response, bool streamed) {
  const SessionOptions& options = context_->options;
  const bool http10 = parser_.head().minor_version == 0;
  const bool close = close_after_ || draining_;
  state_ = State::kWriting;
  status_ = response.status;
  chunked_ = streamed && !http10;
  out_sent_ = 0;
  last_piece_taken_ = false;

  out_head_.clear();
  out_head_.append("HTTP/1.1 ")
      .append(std::to_string(status_))
      .append(" ")
      .append(StatusText(status_))
      .append("\r\nDate: ");
  AppendDate(context_->clock->Now(), out_head_);
  out_head_.append("\r\n");
  if (MayHaveBody(status_)) {
    AppendHeader("Content-Type", response.content_type, out_head_);
    if (chunked_) AppendHeader("Transfer-Encoding", "chunked", out_head_);
    if (!streamed) AppendHeader("Content-Length", std::to_string(response.body.size()), out_head_);
  }
  for (const auto& [name, value] : response.headers) AppendHeader(name, value, out_head_);
  if (!options.cors_origin.empty()) {
    AppendHeader("Vary", "Origin", out_head_);
    if (!origin_.empty()) AppendCors(options.cors_origin, origin_, out_head_);
  }
  if (options.gzip) AppendHeader("Vary", "Accept-Encoding", out_head_);
  if (close) {
    AppendHeader("Connection", "close", out_head_);
  } else if (http10) {
    AppendHeader("Connection", "keep-alive", out_head_);
  }
  out_head_.append("\r\n");
  out_body_.clear();
  if (!head_only_ && MayHaveBody(status_)) out_body_ = std::move(response.body);
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
