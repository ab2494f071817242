// engine/http/url.h -- percent-encoding and forms, with Go's rules, since Prometheus' clients were
// tested against those.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace basalt::http {

// "a%2Fb" is "a/b"; nothing if an escape is not two hexadecimal digits. '+' stays '+' in paths.
std::optional<std::string> DecodePath(std::string_view text);

// Everything but letters, digits, "-_.~" as %XX.
std::string EncodeComponent(std::string_view text);

// Values by name, in order: the body's first, then the URL's (Grafana sends both at once, stack.md
// T1). Thread-compatible.
class Form {
 public:
  // Appends the pairs of "a=1&b=2": '+' is a space, names and values are percent-decoded. A pair
  // that does not decode or holds a ';' is left out and makes an error that says what Go's net/url
  // says (`invalid URL escape "%zz"`); the other pairs are kept. At most kMaxPairs pairs.
  static constexpr size_t kMaxPairs = 100'000;
  Status Parse(std::string_view encoded);

  // The first value; "" if there is none.
  [[nodiscard]] std::string_view Get(std::string_view name) const;
  [[nodiscard]] bool Has(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> All(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace basalt::http
