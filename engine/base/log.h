// engine/base/log.h -- what the process says of itself: one line an event, logfmt or JSON, to
// stderr.
//
// BASALT_LOG(kWarn, "seal failed", {"partition", 3}, {"error", status.ToString()});
// A line is cheap but not free: nothing per sample, nothing per request on the good path.
// Thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::log {

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : uint8_t { kLogfmt, kJson };

// "debug", "info", "warn", "error"; "logfmt", "json". kInvalidArgument with the names there are.
std::string_view LevelName(Level level);
Result<Level> ParseLevel(std::string_view text);
Result<Format> ParseFormat(std::string_view text);

// May be called at any time, a reload included.
void Configure(Level least, Format format);
[[nodiscard]] bool Enabled(Level level);

// key=value. Numbers and booleans stay bare in JSON.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), text_(value), quoted_(true) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, bool value) : key_(key), text_(value ? "true" : "false") {}
  template <std::integral T>
  Field(std::string_view key, T value) : key_(key), text_(std::to_string(value)) {}
  Field(std::string_view key, double value);

  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool quoted() const { return quoted_; }

 private:
  std::string_view key_;
  std::string text_;
  bool quoted_ = false;
};

void Write(Level level, std::string_view message, std::initializer_list<Field> fields);

// One line of the given format without the newline; public for tests. `time` is RFC 3339 in UTC.
std::string Render(Format format, std::string_view time, Level level, std::string_view message,
                   std::initializer_list<Field> fields);

}  // namespace basalt::log

#define BASALT_LOG(level, message, ...)                                               \
  do {                                                                                \
    if (::basalt::log::Enabled(::basalt::log::Level::level)) {                        \
      ::basalt::log::Write(::basalt::log::Level::level, message,                      \
                           std::initializer_list<::basalt::log::Field>{__VA_ARGS__}); \
    }                                                                                 \
  } while (false)
