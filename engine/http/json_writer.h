// engine/http/json_writer.h -- JSON text, appended piece by piece; numbers spelt as Prometheus
// spells them.
//
// Float format: Go's strconv with the shortest digits that read back as the same double, in fixed
// notation but below 1e-6 and from 1e21 on in scientific; sample values are strings, times are
// numbers of seconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/labels.h"
#include "engine/base/time.h"

namespace basalt::http {

// Go's FormatFloat(value, 'f' or 'e', -1, 64): "0.1", "1e+21", "NaN", "+Inf", "-Inf", "-0".
void AppendGoFloat(double value, std::string& out);       // as above, choosing by magnitude
void AppendGoFloatFixed(double value, std::string& out);  // 'f' whatever the magnitude
void AppendGoFloatScientific(double value,
                             std::string& out);  // 'e' whatever the magnitude: "1.5e+00"

// "2023-11-14T22:13:20.5Z", as Go's RFC3339Nano; the zero time of Go for the zero Timestamp:
// "0001-01-01T00:00:00Z".
void AppendRfc3339(Timestamp time, std::string& out);

// Writes one JSON document into a string. Puts the commas; nesting is the caller's business. Text
// that is not UTF-8 comes out with U+FFFD in place of the bytes that are not. Thread-compatible.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(&out) {}
  // Goes on in another string; the document is what both say, one after the other.
  void Continue(std::string& out) { out_ = &out; }

  void BeginObject() { Open('{'); }
  void EndObject() { Shut('}'); }
  void BeginArray() { Open('['); }
  void EndArray() { Shut(']'); }
  void Key(std::string_view key);

  void String(std::string_view text);
  void Int(int64_t value);
  void Uint(uint64_t value);
  void Float(double value);  // a number; 0 for what JSON has no number for
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Null() { Raw("null"); }
  void Raw(std::string_view json);  // a value that is JSON already

  void SampleValue(double value);             // "1.5", quoted
  void SampleTime(int64_t time_ms);           // 1435781451.781
  void Point(int64_t time_ms, double value);  // [1435781451.781,"1.5"]
  void Time(Timestamp time);                  // RFC 3339, quoted
  void LabelSet(const Labels& labels);        // {"__name__":"up","job":"x"}

  // Key and value at once.
  void Field(std::string_view key, std::string_view value) { Key(key), String(value); }
  void Field(std::string_view key, const char* value) { Key(key), String(value); }
  void Field(std::string_view key, bool value) { Key(key), Bool(value); }

 private:
  void Separate();
  void Open(char bracket);
  void Shut(char bracket);

  std::string* out_;
  bool comma_ = false;  // something stands before the next value
};

}  // namespace basalt::http
