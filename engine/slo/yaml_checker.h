// engine/slo/yaml_checker.h -- reads YAML field by field and remembers every mistake with its line.
// For the loaders; it shows yaml-cpp, so nobody else includes it.
//
// A key that is not known is a mistake: a misspelt `alertng` would otherwise be an SLO that never
// pages.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/slo/problem.h"

namespace basalt::slo {

// Where a node stands, for messages: its path of keys.
struct Place {
  YAML::Node node;
  std::string path;
  std::string file = {};  // if it is another one's than the checker's
  [[nodiscard]] Place Child(const std::string& key, const YAML::Node& child) const {
    return {child, path.empty() ? key : path + "." + key, file};
  }
};
using Fields = std::map<std::string, Place>;

class YamlChecker {
 public:
  YamlChecker(std::string file, CheckedSlos& out) : file_(std::move(file)), out_(out) {}

  // `file`: empty for the checker's own.
  void Report(bool is_error, const YAML::Mark& mark, const std::string& field,
              const std::string& message, const std::string& file = "");
  void Error(const Place& at, const std::string& message) {
    Report(true, at.node.Mark(), at.path, message, at.file);
  }
  void Warn(const Place& at, const std::string& message) {
    Report(false, at.node.Mark(), at.path, message, at.file);
  }
  [[nodiscard]] int errors() const { return errors_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] CheckedSlos& out() { return out_; }

  // The fields of a map. Unknown and repeated keys are errors; `allowed` is listed in the message.
  Fields FieldsOf(const Place& at, std::span<const char* const> allowed);
  Fields FieldsOf(const Place& at, std::initializer_list<const char*> allowed) {
    return FieldsOf(at, std::span(allowed.begin(), allowed.size()));
  }
  // The elements of a list; an error, and none, if it is something else. Absent: none.
  std::vector<Place> ListOf(const Fields& fields, const char* key);
  // Empty (and an error, if it is there) unless the field is a scalar.
  std::string Text(const Fields& fields, const char* key);
  std::string RequiredText(const Place& parent, const Fields& fields, const char* key);
  // Absent: `otherwise`.
  bool Flag(const Fields& fields, const char* key, bool otherwise);
  // "90m", above 0. Absent or wrong (an error): none.
  std::optional<Duration> Length(const Fields& fields, const char* key);
  // A plain decimal above 0. Absent or wrong (an error): none.
  std::optional<Fraction> Number(const Fields& fields, const char* key);
  Labels StringMap(const Fields& fields, const char* key, bool are_labels);
  void Name(const Place& at, const std::string& value);

 private:
  const std::string file_;
  CheckedSlos& out_;
  int errors_ = 0;
};

// `over` wins.
Labels Merge(const Labels& base, const Labels& over);

// Calls `use` with each document of the text that is not empty, and with each element of one that
// is a list. Safe on hostile text: size and nesting are bounded before yaml-cpp sees it, and what
// it throws becomes a problem.
void ForEachDocument(std::string_view text, YamlChecker& checker,
                     const std::function<void(const YAML::Node&)>& use);

// SLO files are written by hand; one above this is a mistake, and is refused before it is parsed.
inline constexpr size_t kMaxSloFileBytes = 8u << 20;

}  // namespace basalt::slo
