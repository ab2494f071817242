#include "engine/notify/relabel.h"

#include <openssl/evp.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "engine/base/regex_syntax.h"
#include "engine/notify/letter_case.h"

namespace basalt::notify {
namespace {

constexpr std::array<std::pair<std::string_view, RelabelAction>, 11> kActions = {{
    {"replace", RelabelAction::kReplace},
    {"keep", RelabelAction::kKeep},
    {"drop", RelabelAction::kDrop},
    {"keepequal", RelabelAction::kKeepEqual},
    {"dropequal", RelabelAction::kDropEqual},
    {"hashmod", RelabelAction::kHashMod},
    {"labelmap", RelabelAction::kLabelMap},
    {"labeldrop", RelabelAction::kLabelDrop},
    {"labelkeep", RelabelAction::kLabelKeep},
    {"lowercase", RelabelAction::kLowercase},
    {"uppercase", RelabelAction::kUppercase},
}};

// A programme for RE2 of at most this much memory; a rule that needs more is refused.
constexpr int64_t kMaxRegexBytes = 8 << 20;

// UTF-8 names are allowed, as Prometheus 3 and Alertmanager allow them by default.
bool IsLabelName(std::string_view name) { return !name.empty() && IsValidUtf8(name); }

bool IsWordByte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// "1", "name" after a dollar: `length` bytes of `text` are used, none if no name begins there.
struct Reference {
  std::string_view name;
  size_t length = 0;
};
Reference ReadReference(std::string_view text) {
  const bool braced = text.starts_with('{');
  size_t end = braced ? 1 : 0;
  const size_t begin = end;
  while (end < text.size() && IsWordByte(text[end])) ++end;
  const std::string_view name = text.substr(begin, end - begin);
  if (name.empty()) return {};
  if (!braced) return {name, end};
  if (end == text.size() || text[end] != '}') return {};
  return {name, end + 1};
}

std::string_view GroupOf(std::string_view name, const std::vector<std::string_view>& groups,
                         const std::vector<std::string>& names) {
  // A number only if all of it is one; Go reads "1x" as a name.
  size_t number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && at == name.data() + name.size()) {
    // Go takes no leading zero, but for 0 itself.
    const bool leading_zero = name.size() > 1 && name.front() == '0';
    return number < groups.size() && !leading_zero ? groups[number] : std::string_view();
  }
  for (size_t i = 0; i < names.size() && i < groups.size(); ++i) {
    if (names[i] == name && groups[i].data() != nullptr) return groups[i];
  }
  return {};
}

uint64_t HashOf(std::string_view value) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // For spreading, not for secrecy: what upstream's shards agree on.
  BASALT_CHECK(
      EVP_Digest(value.data(), value.size(), digest.data(), &size, EVP_md5(), nullptr) == 1, "MD5");
  uint64_t out = 0;
  for (size_t i = 8; i < 16; ++i) out = out << 8 | digest[i];
  return out;
}

Status CheckTarget(const RelabelSpec& spec) {
  const std::string action(RelabelActionName(spec.action));
  switch (spec.action) {
    case RelabelAction::kReplace:
    case RelabelAction::kHashMod:
    case RelabelAction::kLowercase:
    case RelabelAction::kUppercase:
    case RelabelAction::kKeepEqual:
    case RelabelAction::kDropEqual:
      if (spec.target_label.empty())
        return InvalidArgument("target_label: " + action + " needs one");
      if (!IsLabelName(spec.target_label))
        return InvalidArgument("target_label: \"" + spec.target_label + "\" is no label name");
      return OkStatus();
    case RelabelAction::kLabelMap:
      if (!IsLabelName(spec.replacement))
        return InvalidArgument("replacement: \"" + spec.replacement + "\" is no label name");
      return OkStatus();
    default:
      return OkStatus();
  }
}

// Fields that an action does not know are refused, because whoever wrote them expects an effect.
Status CheckUnused(const RelabelSpec& spec) {
  const RelabelSpec defaults;
  const std::string action(RelabelActionName(spec.action));
  const auto refuse = [&](const char* field) {
    return InvalidArgument(std::string(field) + ": " + action + " does not use it");
  };
  const bool cases =
      spec.action == RelabelAction::kLowercase || spec.action == RelabelAction::kUppercase;
  const bool equals =
      spec.action == RelabelAction::kKeepEqual || spec.action == RelabelAction::kDropEqual;
  const bool names =
      spec.action == RelabelAction::kLabelDrop || spec.action == RelabelAction::kLabelKeep;
  if ((cases || equals || names) && spec.replacement != defaults.replacement)
    return refuse("replacement");
  if ((equals || names) && spec.modulus != 0) return refuse("modulus");
  if ((equals || names) && spec.separator != defaults.separator) return refuse("separator");
  if (equals && spec.regex != defaults.regex) return refuse("regex");
  if (names && !spec.source_labels.empty()) return refuse("source_labels");
  if (names && !spec.target_label.empty()) return refuse("target_label");
  return OkStatus();
}

}  // namespace

struct RelabelRule::Compiled {
  RelabelSpec spec;
  std::unique_ptr<re2::RE2> regex;
  std::vector<std::string> names;  // of groups; [0] is the whole match

  // The whole of `value` and its groups; false if it does not match.
  bool Match(std::string_view value, std::vector<std::string_view>& groups) const {
    std::vector<re2::StringPiece> found(names.size());
    if (!regex->Match({value.data(), value.size()}, 0, value.size(), re2::RE2::UNANCHORED,
                      found.data(), static_cast<int>(found.size())))
      return false;
    groups.clear();
    for (const re2::StringPiece& piece : found) groups.emplace_back(piece.data(), piece.size());
    return true;
  }
  [[nodiscard]] bool Matches(std::string_view value) const {
    return regex->Match({value.data(), value.size()}, 0, value.size(), re2::RE2::UNANCHORED,
                        nullptr, 0);
  }
};

Result<RelabelAction> ParseRelabelAction(std::string_view name) {
  const std::string lower = LowerCase(name);
  std::string known;
  for (const auto& [text, action] : kActions) {
    if (text == lower) return action;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  return InvalidArgument("\"" + std::string(name) + "\" is no action; there are " + known);
}

std::string_view RelabelActionName(RelabelAction action) {
  for (const auto& [text, known] : kActions) {
    if (known == action) return text;
  }
  return "?";
}

std::string ExpandTemplate(std::string_view text, const std::vector<std::string_view>& groups,
                           const std::vector<std::string>& names) {
  std::string out;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar + 1);
    if (text.starts_with('$')) {
      out += '$';
      text.remove_prefix(1);
      continue;
    }
    const Reference reference = ReadReference(text);
    if (reference.length == 0) {
      out += '$';  // malformed: taken as it stands
      continue;
    }
    out += GroupOf(reference.name, groups, names);
    text.remove_prefix(reference.length);
  }
  return out;
}

Result<RelabelRule> RelabelRule::Make(RelabelSpec spec) {
  if (spec.action == RelabelAction::kHashMod && spec.modulus == 0)
    return InvalidArgument("modulus: hashmod needs one above 0");
  BASALT_TRY(CheckTarget(spec));
  BASALT_TRY(CheckUnused(spec));
  auto compiled = std::make_shared<Compiled>();
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kMaxRegexBytes);
  // Anchored by its text and not by the call, so that what upstream takes means the same here.
  compiled->regex = std::make_unique<re2::RE2>("^(?s:" + SpelledForRe2(spec.regex) + ")$", options);
  if (!compiled->regex->ok())
    return InvalidArgument("regex: \"" + spec.regex + "\": " + compiled->regex->error());
  compiled->names.resize(1 + static_cast<size_t>(compiled->regex->NumberOfCapturingGroups()));
  for (const auto& [number, name] : compiled->regex->CapturingGroupNames())
    compiled->names[static_cast<size_t>(number)] = name;
  compiled->spec = std::move(spec);
  return RelabelRule(std::move(compiled));
}

const RelabelSpec& RelabelRule::spec() const { return compiled_->spec; }

namespace {

template <typename Wanted>
void RemoveNames(Labels& labels, Wanted unwanted) {
  std::vector<std::string> names;
  for (const Label& label : labels) {
    if (unwanted(label.name)) names.push_back(label.name);
  }
  for (const std::string& name : names) labels.Remove(name);
}

}  // namespace

bool RelabelRule::Apply(Labels& labels) const {
  const RelabelSpec& spec = compiled_->spec;
  std::string value;
  for (size_t i = 0; i < spec.source_labels.size(); ++i) {
    if (i > 0) value += spec.separator;
    value += labels.Get(spec.source_labels[i]);
  }
  std::vector<std::string_view> groups;
  switch (spec.action) {
    case RelabelAction::kKeep:
      return compiled_->Matches(value);
    case RelabelAction::kDrop:
      return !compiled_->Matches(value);
    case RelabelAction::kKeepEqual:
      return labels.Get(spec.target_label) == value;
    case RelabelAction::kDropEqual:
      return labels.Get(spec.target_label) != value;
    case RelabelAction::kReplace: {
      if (!compiled_->Match(value, groups)) return true;
      const std::string target = ExpandTemplate(spec.target_label, groups, compiled_->names);
      if (!IsLabelName(target)) return true;
      labels.Set(target, ExpandTemplate(spec.replacement, groups, compiled_->names));
      return true;
    }
    case RelabelAction::kLowercase:
      labels.Set(spec.target_label, LowerCase(value));
      return true;
    case RelabelAction::kUppercase:
      labels.Set(spec.target_label, UpperCase(value));
      return true;
    case RelabelAction::kHashMod:
      labels.Set(spec.target_label, std::to_string(HashOf(value) % spec.modulus));
      return true;
    case RelabelAction::kLabelMap: {
      std::vector<Label> added;
      for (const Label& label : labels) {
        if (!compiled_->Match(label.name, groups)) continue;
        std::string name = ExpandTemplate(spec.replacement, groups, compiled_->names);
        // Upstream would send a label without a name, which Alertmanager refuses.
        if (!name.empty()) added.push_back({std::move(name), label.value});
      }
      for (const Label& label : added) labels.Set(label.name, label.value);
      return true;
    }
    case RelabelAction::kLabelDrop:
      RemoveNames(labels, [&](const std::string& name) { return compiled_->Matches(name); });
      return true;
    case RelabelAction::kLabelKeep:
      RemoveNames(labels, [&](const std::string& name) { return !compiled_->Matches(name); });
      return true;
  }
  return true;
}

bool Relabel(const RelabelRules& rules, Labels& labels) {
  Labels changed = labels;
  for (const RelabelRule& rule : rules) {
    if (!rule.Apply(changed)) return false;
  }
  labels = std::move(changed);
  return true;
}

}  // namespace basalt::notify
