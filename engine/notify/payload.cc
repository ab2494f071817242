#include "engine/notify/payload.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace basalt::notify {
namespace {

// Length of the UTF-8 sequence that begins at `text`; 0 if none does.
size_t Utf8Length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return n <= text.size() && IsValidUtf8(text.substr(0, n)) ? n : 0;
}

}  // namespace

std::string FormatRfc3339(Timestamp t) {
  const int64_t ms = ToMs(t);
  const int64_t fraction = (ms % kMsPerSecond + kMsPerSecond) % kMsPerSecond;
  const std::time_t seconds = (ms - fraction) / kMsPerSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text.data() + n, text.size() - n, ".%03dZ", static_cast<int>(fraction));
  return text.data();
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    const char c = text.front();
    if (n == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escape.data();
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  out += '"';
}

void AppendJsonObject(const Labels& labels, std::string& out) {
  out += '{';
  bool first = true;
  for (const Label& label : labels) {
    if (!first) out += ',';
    first = false;
    AppendJsonString(label.name, out);
    out += ':';
    AppendJsonString(label.value, out);
  }
  out += '}';
}

std::string AlertsJson(std::span<const OutgoingAlert> alerts) {
  std::string out = "[";
  for (const OutgoingAlert& one : alerts) {
    if (out.size() > 1) out += ',';
    const Alert& alert = *one.alert;
    out += "{\"labels\":";
    AppendJsonObject(one.labels, out);
    out += ",\"annotations\":";
    AppendJsonObject(alert.annotations, out);
    out += ",\"startsAt\":\"" + FormatRfc3339(alert.starts_at) + "\",\"endsAt\":\"" +
           FormatRfc3339(alert.ends_at.value_or(one.firing_until)) + '"';
    if (!alert.generator_url.empty()) {
      out += ",\"generatorURL\":";
      AppendJsonString(alert.generator_url, out);
    }
    out += '}';
  }
  return out += ']';
}

}  // namespace basalt::notify
