#include "engine/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <ctime>

namespace basalt::log {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};

std::atomic<Level> least_level{Level::kInfo};
std::atomic<Format> line_format{Format::kLogfmt};

std::string NowRfc3339() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const auto ms = now.time_since_epoch().count() % 1000;
  std::string out(text.data(), n);
  out += '.';
  out += static_cast<char>('0' + ms / 100);
  out += static_cast<char>('0' + ms / 10 % 10);
  out += static_cast<char>('0' + ms % 10);
  out += 'Z';
  return out;
}

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (u < 0x20) {
      out += "\\u00";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool PlainLogfmt(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

void AppendLogfmt(std::string_view key, std::string_view text, std::string& out) {
  if (!out.empty()) out += ' ';
  out += key;
  out += '=';
  if (PlainLogfmt(text)) {
    out += text;
  } else {
    AppendJsonString(text, out);
  }
}

void AppendJson(std::string_view key, std::string_view text, bool quoted, std::string& out) {
  out += out.empty() ? '{' : ',';
  AppendJsonString(key, out);
  out += ':';
  if (quoted) {
    AppendJsonString(text, out);
  } else {
    out += text;
  }
}

template <typename T, size_t N>
Result<T> ParseName(std::string_view what, std::string_view text,
                    const std::array<std::string_view, N>& names) {
  std::string known;
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<T>(i);
    known += i == 0 ? "" : ", ";
    known += names[i];
  }
  return InvalidArgument(std::string(what) + ": \"" + std::string(text) + "\" is none of " + known);
}

}  // namespace

Field::Field(std::string_view key, double value) : key_(key) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  text_.assign(text.data(), end);
  // JSON has no NaN and no infinity.
  quoted_ = text_.find_first_of("in") != std::string::npos;
}

std::string_view LevelName(Level level) { return kLevelNames[static_cast<size_t>(level)]; }

Result<Level> ParseLevel(std::string_view text) {
  return ParseName<Level>("log level", text, kLevelNames);
}
Result<Format> ParseFormat(std::string_view text) {
  return ParseName<Format>("log format", text, std::array<std::string_view, 2>{"logfmt", "json"});
}

void Configure(Level least, Format format) {
  least_level = least;
  line_format = format;
}

bool Enabled(Level level) { return level >= least_level.load(std::memory_order_relaxed); }

std::string Render(Format format, std::string_view time, Level level, std::string_view message,
                   std::initializer_list<Field> fields) {
  std::string out;
  const std::string_view level_name = kLevelNames[static_cast<size_t>(level)];
  if (format == Format::kLogfmt) {
    AppendLogfmt("ts", time, out);
    AppendLogfmt("level", level_name, out);
    AppendLogfmt("msg", message, out);
    for (const Field& field : fields) AppendLogfmt(field.key(), field.text(), out);
    return out;
  }
  AppendJson("ts", time, true, out);
  AppendJson("level", level_name, true, out);
  AppendJson("msg", message, true, out);
  for (const Field& field : fields) AppendJson(field.key(), field.text(), field.quoted(), out);
  out += '}';
  return out;
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = Render(line_format, NowRfc3339(), level, message, fields);
  line += '\n';
  // One write a line: lines of different threads do not mix. A log that cannot be written is
  // nobody's error.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace basalt::log
