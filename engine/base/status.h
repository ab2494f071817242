// engine/base/status.h -- how anything in Basalt says that it failed.
//
// Three kinds of failure, never mixed: bad input (kInvalidArgument and its neighbours: the message
// names the field and the value), a failing world (kUnavailable, kDataLoss, ...: the message says
// what was being done to what), and our own mistake (BASALT_CHECK, which stops the process in every
// build).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace basalt {

// gRPC's canonical codes with gRPC's numbers, so that the RPC edge maps one to one.
enum class StatusCode : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "kInvalidArgument" is "INVALID_ARGUMENT", as gRPC spells it.
std::string_view StatusCodeName(StatusCode code);

// A value type: 8 bytes when ok. Thread-compatible.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  [[nodiscard]] bool ok() const { return rep_ == nullptr; }
  [[nodiscard]] StatusCode code() const { return rep_ == nullptr ? StatusCode::kOk : rep_->code; }
  [[nodiscard]] std::string_view message() const {
    return rep_ == nullptr ? std::string_view() : std::string_view(rep_->message);
  }
  // "DATA_LOSS: row: unknown version", or "OK".
  [[nodiscard]] std::string ToString() const;

  // The same code, with "<context>: " before the message. Said once, where the context is known.
  [[nodiscard]] Status WithContext(std::string_view context) const;

 private:
  struct Rep {
    StatusCode code;
    std::string message;
  };
  struct Deleter {
    void operator()(Rep* rep) const { delete rep; }
  };
  std::unique_ptr<Rep, Deleter> rep_;
};

inline Status OkStatus() { return {}; }
Status Cancelled(std::string message);
Status InvalidArgument(std::string message);
Status DeadlineExceeded(std::string message);
Status NotFound(std::string message);
Status AlreadyExists(std::string message);
Status PermissionDenied(std::string message);
Status ResourceExhausted(std::string message);
Status FailedPrecondition(std::string message);
Status Aborted(std::string message);
Status OutOfRange(std::string message);
Status Unimplemented(std::string message);
Status Internal(std::string message);
Status Unavailable(std::string message);
Status DataLoss(std::string message);
Status Unauthenticated(std::string message);

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view message);
}  // namespace internal

// A value or the reason why there is none. Never holds an ok Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : value_(std::move(value)) {
  }  // NOLINT(google-explicit-constructor): `return value;` reads best
  Result(Status status)
      : status_(std::move(status)) {  // NOLINT(google-explicit-constructor): likewise
    if (status_.ok())
      internal::CheckFailed(__FILE__, __LINE__, "!status.ok()", "Result made from an ok Status");
  }

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }

  // The value. Calling these on an error is our own mistake and stops the process.
  T& value() & {
    Require();
    return *value_;
  }
  const T& value() const& {
    Require();
    return *value_;
  }
  T&& value() && {
    Require();
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) const& { return value_.has_value() ? *value_ : std::move(other); }

 private:
  void Require() const {
    if (!value_.has_value()) internal::CheckFailed(__FILE__, __LINE__, "ok()", status_.message());
  }
  Status status_;
  std::optional<T> value_;
};

}  // namespace basalt

// Returns from the enclosing function if the expression's Status is not ok.
#define BASALT_TRY(expr)                                                        \
  do {                                                                          \
    if (::basalt::Status basalt_try_status = (expr); !basalt_try_status.ok()) { \
      return basalt_try_status;                                                 \
    }                                                                           \
  } while (false)

#define BASALT_CONCAT_INNER(a, b) a##b
#define BASALT_CONCAT(a, b) BASALT_CONCAT_INNER(a, b)

// BASALT_TRY_ASSIGN(const auto x, F()): x is F()'s value, or the enclosing function returns F()'s
// error.
#define BASALT_TRY_ASSIGN(lhs, expr) \
  BASALT_TRY_ASSIGN_IMPL(BASALT_CONCAT(basalt_result_, __LINE__), lhs, expr)
#define BASALT_TRY_ASSIGN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()

// Our own mistakes only; data from disk or wire is input and never checked with this.
#define BASALT_CHECK(condition, ...)                                    \
  do {                                                                  \
    if (!(condition)) [[unlikely]] {                                    \
      ::basalt::internal::CheckFailed(__FILE__, __LINE__, #condition,   \
                                      ::std::string_view(__VA_ARGS__)); \
    }                                                                   \
  } while (false)
