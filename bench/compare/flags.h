// bench/compare/flags.h -- `--name value` pairs, for the three small programs here.
#pragma once

#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::bench {

class Flags {
 public:
  // kInvalidArgument: an argument that is no `--name value`, or a name that is not in `defaults`.
  static Result<Flags> Parse(int argc, char** argv, std::map<std::string, std::string> defaults) {
    Flags flags;
    flags.values_ = std::move(defaults);
    for (int i = 1; i < argc; i += 2) {
      const std::string_view name = argv[i];
      const auto at =
          flags.values_.find(std::string(name.substr(std::min<size_t>(2, name.size()))));
      if (!name.starts_with("--") || at == flags.values_.end()) {
        std::string known;
        for (const auto& [key, value] : flags.values_) known += " --" + key + " " + value;
        return InvalidArgument(std::string(name) + ": not known; there are" + known);
      }
      if (i + 1 == argc) return InvalidArgument(std::string(name) + ": needs a value");
      at->second = argv[i + 1];
    }
    return flags;
  }

  [[nodiscard]] const std::string& Text(const std::string& name) const { return values_.at(name); }
  template <typename T>
  Result<T> Number(const std::string& name, T min) const {
    const std::string& text = values_.at(name);
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < min)
      return InvalidArgument("--" + name + ": \"" + text +
                             "\" is no number >= " + std::to_string(min));
    return number;
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace basalt::bench
