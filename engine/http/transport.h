// engine/http/transport.h -- one connection's bytes and its alarm clock, as a session sees them.
//
// Between the state machine (session.h) and the world: a TCP socket now, TLS later, memory in tests
// and fuzzing.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace basalt::http {

// Called on the connection's I/O thread, and never from inside a call to the transport.
class TransportEvents {
 public:
  virtual ~TransportEvents() = default;
  virtual void OnRead(size_t bytes) = 0;  // 0: the peer has closed, or the connection has failed
  virtual void OnWritten(bool ok) = 0;
  virtual void OnWake() = 0;
};

// The way past the connection's I/O thread for an answer that another thread has ready: waking that
// thread takes longer than writing does, and on a busy machine it has to wait for a core.
// Thread-safe.
class DirectWriter {
 public:
  virtual ~DirectWriter() = default;
  // Writes of both, one after the other, what the peer takes at once. How many bytes that were:
  // none when the connection is closed or nothing may be written past its thread any more.
  virtual size_t TryWrite(std::string_view first, std::string_view second) = 0;
  // Nothing is written any more once this has returned.
  virtual void Shut() = 0;
};

// One thread.
class Transport {
 public:
  virtual ~Transport() = default;
  // At most one at a time. `into` is not empty and stays valid until OnRead or Close.
  virtual void Read(std::span<char> into) = 0;
  // Writes all of both; at most one at a time. They stay valid until OnWritten or Close.
  virtual void Write(std::string_view first, std::string_view second) = 0;
  // OnWake at that time (Clock::Monotonic) or somewhat later; a later call replaces an earlier one.
  // May wake early.
  virtual void WakeAt(std::chrono::nanoseconds when) = 0;
  virtual void ShutdownWrite() = 0;
  // Null if there is none. Not to be used while a Write is outstanding.
  virtual std::shared_ptr<DirectWriter> direct() { return nullptr; }
  // No event comes after this. Idempotent.
  virtual void Close() = 0;
  [[nodiscard]] virtual const std::string& peer() const = 0;
};

}  // namespace basalt::http
