#include "engine/slo/yaml_checker.h"

#include <algorithm>
#include <set>

#include "query/promql/durations.h"

namespace basalt::slo {
namespace {

// yaml-cpp recurses while parsing; deeper nesting than this in an SLO file is an attack.
constexpr int kMaxNesting = 64;

// Depth by indentation and brackets, without recursion, before yaml-cpp sees the text.
bool NestsTooDeeply(std::string_view text) {
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxNesting) return true;
  }
  for (size_t line = 0; line < text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    int dashes = 0;
    int spaces = 0;
    for (size_t i = line; i < end; ++i) {
      if (text[i] == ' ') {
        ++spaces;
      } else if ((text[i] == '-' || text[i] == '?' || text[i] == ':') &&
                 (i + 1 == end || text[i + 1] == ' ')) {
        ++dashes;
      } else {
        break;
      }
    }
    if (dashes > kMaxNesting || spaces > 16 * kMaxNesting) return true;
    line = end + 1;
  }
  return false;
}

// sloth's rule for names: they become parts of label values and of the SLO's id.
bool IsSloName(std::string_view name) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || !alnum(name.front()) || !alnum(name.back())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

Labels Merge(const Labels& base, const Labels& over) {
  Labels merged = base;
  for (const Label& label : over) merged.Set(label.name, label.value);
  return merged;
}

void YamlChecker::Report(bool is_error, const YAML::Mark& mark, const std::string& field,
                         const std::string& message, const std::string& file) {
  const bool known = !mark.is_null();
  out_.problems.push_back({is_error, file.empty() ? file_ : file, known ? mark.line + 1 : 0,
                           known ? mark.column + 1 : 0, field, message});
  if (is_error) ++errors_;
}

Fields YamlChecker::FieldsOf(const Place& at, std::span<const char* const> allowed) {
  Fields fields;
  if (!at.node.IsMap()) {
    Error(at, "has to be a map of keys and values");
    return fields;
  }
  for (const auto& entry : at.node) {
    if (!entry.first.IsScalar()) {
      Error(at, "has a key that is not a string");
      continue;
    }
    const std::string key = entry.first.Scalar();
    const Place place = at.Child(key, entry.second);
    const bool known =
        std::any_of(allowed.begin(), allowed.end(), [&](const char* name) { return key == name; });
    if (!known) {
      std::string names;
      for (const char* name : allowed) names += (names.empty() ? "" : ", ") + std::string(name);
      Report(true, entry.first.Mark(), place.path, "is not a known key; known here: " + names,
             at.file);
    } else if (!fields.emplace(key, place).second) {
      Report(true, entry.first.Mark(), place.path, "stands twice; keep one of them", at.file);
    }
  }
  return fields;
}

std::string YamlChecker::Text(const Fields& fields, const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return "";
  if (!it->second.node.IsScalar()) {
    Error(it->second, "has to be a string");
    return "";
  }
  const std::string text = it->second.node.Scalar();
  if (!IsValidUtf8(text)) Error(it->second, "is not valid UTF-8");
  return text;
}

std::string YamlChecker::RequiredText(const Place& parent, const Fields& fields, const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) {
    Error(parent, std::string("lacks `") + key + "`, which is required");
    return "";
  }
  const std::string text = Text(fields, key);
  if (text.empty() && it->second.node.IsScalar()) Error(it->second, "must not be empty");
  return text;
}

Labels YamlChecker::StringMap(const Fields& fields, const char* key, bool are_labels) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return {};
  if (!it->second.node.IsMap()) {
    Error(it->second, "has to be a map of strings");
    return {};
  }
  std::vector<Label> pairs;
  std::set<std::string> seen;
  for (const auto& entry : it->second.node) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
      Error(it->second, "has to be a map of strings");
      continue;
    }
    const Place place = it->second.Child(entry.first.Scalar(), entry.second);
    const std::string name = entry.first.Scalar();
    const std::string value = entry.second.Scalar();
    if (are_labels && (!IsLegacyLabelName(name) || name == kMetricName)) {
      Report(true, entry.first.Mark(), place.path,
             "is not a label name: letters, digits and _ only, not beginning with a digit");
    }
    if (!IsValidUtf8(name) || !IsValidUtf8(value)) Error(place, "is not valid UTF-8");
    if (!seen.insert(name).second) {
      Report(true, entry.first.Mark(), place.path, "stands twice; keep one of them");
    }
    pairs.push_back({name, value});
  }
  return Labels(std::move(pairs));
}

void YamlChecker::Name(const Place& at, const std::string& value) {
  if (value.empty() || IsSloName(value)) return;
  Error(at, "\"" + value +
                "\" is not a valid name: letters, digits, - _ and . only, beginning and "
                "ending with a letter or digit");
}

std::vector<Place> YamlChecker::ListOf(const Fields& fields, const char* key) {
  std::vector<Place> places;
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return places;
  if (!it->second.node.IsSequence()) {
    Error(it->second, "has to be a list");
    return places;
  }
  for (const auto& node : it->second.node) {
    places.push_back(
        {node, it->second.path + "[" + std::to_string(places.size()) + "]", it->second.file});
  }
  return places;
}

bool YamlChecker::Flag(const Fields& fields, const char* key, bool otherwise) {
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return otherwise;
  bool value = otherwise;
  if (!YAML::convert<bool>::decode(it->second.node, value)) {
    Error(it->second, "has to be true or false");
  }
  return value;
}

std::optional<Duration> YamlChecker::Length(const Fields& fields, const char* key) {
  const std::string text = Text(fields, key);
  if (text.empty()) return std::nullopt;
  const Result<Duration> length = promql::ParseDuration(text);
  if (length.ok() && length->count() > 0) return *length;
  Error(fields.at(key), "\"" + text + "\" is not a length of time such as 5m, 6h or 30d");
  return std::nullopt;
}

std::optional<Fraction> YamlChecker::Number(const Fields& fields, const char* key) {
  const std::string text = Text(fields, key);
  if (text.empty()) return std::nullopt;
  const Result<Fraction> number = ParseDecimal(text);
  if (number.ok() && number->num > 0) return *number;
  Error(fields.at(key), number.ok() ? "has to be above 0" : std::string(number.status().message()));
  return std::nullopt;
}

void ForEachDocument(std::string_view text, YamlChecker& checker,
                     const std::function<void(const YAML::Node&)>& use) {
  if (text.size() > kMaxSloFileBytes) {
    checker.Report(true, YAML::Mark::null_mark(), "",
                   "is larger than " + std::to_string(kMaxSloFileBytes) + " bytes");
    return;
  }
  if (NestsTooDeeply(text)) {
    checker.Report(true, YAML::Mark::null_mark(), "", "is nested too deeply for an SLO file");
    return;
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    for (const YAML::Node& document : documents) {
      if (document.IsSequence()) {  // a list of documents, as OpenSLO's own files are
        for (const auto& element : document) {
          if (!element.IsNull()) use(element);
        }
      } else if (!document.IsNull()) {
        use(document);
      }
    }
  } catch (const YAML::Exception& e) {
    checker.Report(true, e.mark, "", "is not YAML: " + e.msg);
  }
}

}  // namespace basalt::slo
