#include "engine/ingest/otlp/naming.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace basalt::ingest::otlp {
namespace {

struct Translated {
  std::string_view from;
  std::string_view to;
};

// UCUM's symbols that have a word in Prometheus' naming practice.
constexpr std::array<Translated, 26> kUnits = {{
    {"d", "days"},
    {"h", "hours"},
    {"min", "minutes"},
    {"s", "seconds"},
    {"ms", "milliseconds"},
    {"us", "microseconds"},
    {"ns", "nanoseconds"},
    {"By", "bytes"},
    {"KiBy", "kibibytes"},
    {"MiBy", "mebibytes"},
    {"GiBy", "gibibytes"},
    {"TiBy", "tibibytes"},
    {"KBy", "kilobytes"},
    {"MBy", "megabytes"},
    {"GBy", "gigabytes"},
    {"TBy", "terabytes"},
    {"m", "meters"},
    {"V", "volts"},
    {"A", "amperes"},
    {"J", "joules"},
    {"W", "watts"},
    {"g", "grams"},
    {"Cel", "celsius"},
    {"Hz", "hertz"},
    {"1", ""},
    {"%", "percent"},
}};
constexpr std::array<Translated, 7> kPerUnits = {{{"s", "second"},
                                                  {"m", "minute"},
                                                  {"h", "hour"},
                                                  {"d", "day"},
                                                  {"w", "week"},
                                                  {"mo", "month"},
                                                  {"y", "year"}}};

template <size_t kSize>
std::string Word(const std::array<Translated, kSize>& table, std::string_view unit) {
  for (const Translated& entry : table) {
    if (entry.from == unit) return std::string(entry.to);
  }
  return std::string(unit);
}

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool InMetricName(char c) { return IsLetterOrDigit(c) || c == ':'; }
// All but the first byte of a character of several bytes: one character becomes one underscore.
bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

bool OnlyUnderscores(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '_'; });
}

std::string_view Trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The words between characters that `keep` refuses; empty ones left out.
template <typename Keep>
std::vector<std::string> Split(std::string_view text, Keep keep) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (keep(c)) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::string Join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += '_';
    out += word;
  }
  return out;
}

// "By/s" -> {"bytes", "per_second"}; what stands in braces is a comment, not a unit.
struct UnitWords {
  std::string main;
  std::string per;
};
UnitWords WordsOfUnit(std::string_view unit) {
  const auto counts = [](std::string_view part) {
    return !part.empty() && part.find_first_of("{}") == std::string_view::npos;
  };
  UnitWords words;
  const size_t slash = unit.find('/');
  if (const std::string_view main = Trim(unit.substr(0, slash)); counts(main))
    words.main = Word(kUnits, main);
  if (slash != std::string_view::npos) {
    if (const std::string_view per = Trim(unit.substr(slash + 1)); counts(per))
      words.per = "per_" + Word(kPerUnits, per);
  }
  return words;
}

// Characters that a name cannot have become one underscore a run, none at the beginning.
std::string Clean(std::string_view unit) {
  std::string out;
  for (const char c : unit) {
    if (InMetricName(c)) {
      out += c;
    } else if (!out.ends_with('_')) {
      out += '_';
    }
  }
  if (out.starts_with('_')) out.erase(0, 1);
  return out;
}

void MoveToEnd(std::vector<std::string>& words, const char* word) {
  std::erase(words, word);
  words.emplace_back(word);
}

std::string EscapedWithSuffixes(std::string_view name, std::string_view unit, NameRole role) {
  std::vector<std::string> words = Split(name, InMetricName);
  const auto has = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const auto without_last_underscore = [](std::string text) {
    if (text.ends_with('_')) text.pop_back();
    return text;
  };
  UnitWords suffix = WordsOfUnit(unit);
  suffix.main = Clean(suffix.main);
  suffix.per = Clean(suffix.per);
  if (has(suffix.main)) suffix.main.clear();
  suffix.per = suffix.per == "per_" ? "" : without_last_underscore(suffix.per);
  if (has(suffix.per)) suffix.per.clear();
  if (!suffix.per.empty()) suffix.main = without_last_underscore(suffix.main);
  if (!suffix.main.empty()) words.push_back(suffix.main);
  if (!suffix.per.empty()) words.push_back(suffix.per);
  if (role == NameRole::kMonotonicCounter) MoveToEnd(words, "total");
  if (role == NameRole::kGauge && unit == "1") MoveToEnd(words, "ratio");
  return Join(words);
}

// In UTF-8 names a suffix that is there already is moved to the end, with the character before it.
void DropSuffix(std::string& name, std::string_view suffix) {
  if (name.ends_with(suffix) && name.size() > suffix.size() + 1)
    name.resize(name.size() - suffix.size() - 1);
}

std::string Utf8WithSuffixes(std::string_view original, std::string_view unit, NameRole role) {
  std::string name(original);
  const UnitWords suffix = WordsOfUnit(unit);
  const bool is_ratio = role == NameRole::kGauge && unit == "1";
  const bool is_total = role == NameRole::kMonotonicCounter;
  if (is_ratio) DropSuffix(name, "ratio");
  if (is_total) DropSuffix(name, "total");
  if (!suffix.per.empty()) DropSuffix(name, suffix.per);
  if (!suffix.main.empty() && !name.ends_with(suffix.main)) name += "_" + suffix.main;
  if (!suffix.per.empty()) name += "_" + suffix.per;
  if (is_total) name += "_total";
  if (is_ratio) name += "_ratio";
  return name;
}

// One underscore for each character that a label's name cannot have, or for each run of them.
std::string EscapeLabel(std::string_view name, bool keep_runs) {
  const bool is_reserved =
      !keep_runs && name.size() >= 4 && name.starts_with("__") && name.ends_with("__");
  if (is_reserved) name = name.substr(2, name.size() - 4);
  std::string out = is_reserved ? "__" : "";
  const size_t begin = out.size();
  for (const char c : name) {
    if (IsLetterOrDigit(c)) {
      out += c;
    } else if (keep_runs ? !ContinuesCharacter(c) : out.size() == begin || out.back() != '_') {
      out += '_';
    }
  }
  if (is_reserved) out += "__";
  return out;
}

constexpr std::array<std::pair<Translation, std::string_view>, 4> kTranslations = {{
    {Translation::kUnderscoreEscapingWithSuffixes, "UnderscoreEscapingWithSuffixes"},
    {Translation::kUnderscoreEscapingWithoutSuffixes, "UnderscoreEscapingWithoutSuffixes"},
    {Translation::kNoUtf8EscapingWithSuffixes, "NoUTF8EscapingWithSuffixes"},
    {Translation::kNoTranslation, "NoTranslation"},
}};

}  // namespace

std::string_view TranslationName(Translation translation) {
  return kTranslations[static_cast<size_t>(translation)].second;
}

Result<Translation> ParseTranslation(std::string_view name) {
  std::string known;
  for (const auto& [translation, its_name] : kTranslations) {
    if (its_name == name) return translation;
    known += (known.empty() ? "" : ", ") + std::string(its_name);
  }
  return InvalidArgument("\"" + std::string(name) + "\" is none of " + known);
}

Result<std::string> MetricName(Translation translation, std::string_view name,
                               std::string_view unit, NameRole role) {
  if (name.empty()) return InvalidArgument("the metric has no name");
  if (!Escapes(translation)) {
    return AddsSuffixes(translation) ? Utf8WithSuffixes(name, unit, role) : std::string(name);
  }
  std::string out = AddsSuffixes(translation)
                        ? EscapedWithSuffixes(name, unit, role)
                        : Join(Split(name, [](char c) { return InMetricName(c) || c == '_'; }));
  if (!out.empty() && IsDigit(out.front())) out.insert(0, 1, '_');
  if (out.empty() || (out != name && OnlyUnderscores(out))) {
    return InvalidArgument("nothing is left of its name as a Prometheus name (\"" + out +
                           "\"); otlp.translation_strategy: NoTranslation keeps it");
  }
  return out;
}

Result<std::string> LabelName(const LabelNaming& naming, std::string_view name) {
  if (name.empty()) return InvalidArgument("an attribute has an empty key");
  std::string out(name);
  if (naming.escape) {
    out = EscapeLabel(name, naming.keep_underscore_runs);
    if (!out.empty() && IsDigit(out.front())) {
      out.insert(0, "key_");
    } else if (naming.prefix_leading_underscore && out.starts_with('_') && !out.starts_with("__")) {
      out.insert(0, "key");
    }
  }
  if (OnlyUnderscores(out))
    return InvalidArgument("nothing but underscores is left of attribute \"" + std::string(name) +
                           "\" as a label");
  return out;
}

std::string UnitName(std::string_view unit) {
  const UnitWords words = WordsOfUnit(unit);
  const std::string main = Clean(words.main);
  const std::string per = Clean(words.per);
  std::string out = main.empty() || per.empty() ? main + per : main + "_" + per;
  if (out.starts_with('_')) out.erase(0, 1);
  if (out.ends_with('_')) out.pop_back();
  return out;
}

}  // namespace basalt::ingest::otlp
