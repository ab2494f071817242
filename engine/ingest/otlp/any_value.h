// engine/ingest/otlp/any_value.h -- the text of an attribute's value that is not a string.
//
// As the Prometheus OTLP receiver writes them: true, 42, 0.5, base64 of bytes, JSON of lists and
// maps (map keys sorted).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace basalt::ingest::otlp {

// Deeper lists of lists are refused by the decoders: a request could exhaust the stack.
inline constexpr int kMaxValueDepth = 16;

// A value while it is read. A variant by hand: lists hold values.
struct AnyValue {
  enum class Kind : uint8_t { kEmpty, kString, kBool, kInt, kDouble, kBytes, kList, kMap };
  Kind kind = Kind::kEmpty;
  std::string_view text;  // kString, kBytes
  bool flag = false;
  int64_t integer = 0;
  double number = 0;
  std::vector<AnyValue> list;
  struct Entry;
  std::vector<Entry> map;
};

struct AnyValue::Entry {
  std::string_view key;
  AnyValue value;
};

// The value as a label's value.
std::string ToText(const AnyValue& value);

std::string HexOf(std::string_view bytes);
std::string Base64Of(std::string_view bytes);

}  // namespace basalt::ingest::otlp
