// label_replace and label_join: functions of series, not of samples.
#include <re2/re2.h>

#include <string>
#include <vector>

#include "engine/base/regex_syntax.h"
#include "query/exec/assemble.h"
#include "query/exec/functions/vector.h"

namespace basalt::query::exec {
namespace {

bool IsLabelName(std::string_view name) { return !name.empty() && IsValidUtf8(name); }

// Sets a label on every row; `value` gives the new value, or nothing to leave the row as it is.
template <typename F>
Result<Matrix> SetLabel(Matrix m, const std::string& name, F&& value) {
  for (Row& row : m.rows()) {
    Labels labels = row.labels.ToLabels();
    std::string text;
    if (!value(labels, text)) continue;
    labels.Set(name, text);
    row.labels = RowLabels(std::move(labels));
    if (name == kMetricName) row.drop_name = false;  // a name given on purpose stays
  }
  return MergeDuplicates(std::move(m));
}

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// A replacement text, taken apart once: literals and references to groups, as Go's regexp.Expand
// reads them.
class Template {
 public:
  Template(std::string_view text, const RE2& regex) {
    const auto& names = regex.NamedCapturingGroups();
    std::string literal;
    while (!text.empty()) {
      const size_t dollar = text.find('$');
      literal += text.substr(0, dollar);
      if (dollar == std::string_view::npos) break;
      text.remove_prefix(dollar + 1);
      if (!text.empty() && text[0] == '$') {
        literal += '$';
        text.remove_prefix(1);
        continue;
      }
      std::string_view name;
      if (!ParseName(text, name)) {
        literal += '$';
        continue;
      }
      parts_.push_back({std::move(literal), GroupOf(name, names, regex.NumberOfCapturingGroups())});
      literal.clear();
    }
    parts_.push_back({std::move(literal), kNoGroup});
  }

  [[nodiscard]] std::string Expand(const std::vector<re2::StringPiece>& groups) const {
    std::string out;
    for (const Part& part : parts_) {
      out += part.literal;
      if (part.group == kNoGroup) continue;
      const re2::StringPiece& g = groups[static_cast<size_t>(part.group)];
      out.append(g.data() == nullptr ? "" : g.data(), g.size());
    }
    return out;
  }

 private:
  static constexpr int kNoGroup = -1;
  struct Part {
    std::string literal;
    int group = kNoGroup;
  };

  // `name` or `{name}` at the front of `text`; takes it off.
  static bool ParseName(std::string_view& text, std::string_view& name) {
    const bool braced = !text.empty() && text[0] == '{';
    std::string_view rest = braced ? text.substr(1) : text;
    size_t n = 0;
    while (n < rest.size() && IsNameByte(rest[n])) ++n;
    if (n == 0 || (braced && (n == rest.size() || rest[n] != '}'))) return false;
    name = rest.substr(0, n);
    text = rest.substr(braced ? n + 1 : n);
    return true;
  }

  static int GroupOf(std::string_view name, const std::map<std::string, int>& names, int groups) {
    int number = 0;
    bool numeric = !(name.size() > 1 && name[0] == '0');
    constexpr int kTooLarge = 100'000'000;
    for (const char c : name) {
      if (c < '0' || c > '9' || number >= kTooLarge) {
        numeric = false;
        break;
      }
      number = number * 10 + (c - '0');
    }
    if (numeric) return number <= groups ? number : kNoGroup;
    const auto it = names.find(std::string(name));
    return it == names.end() ? kNoGroup : it->second;
  }

  std::vector<Part> parts_;
};

}  // namespace

Result<Matrix> LabelReplace(CallInput& in) {
  const std::string& destination = in.text(1);
  const std::string& source = in.text(3);
  const std::string& pattern = in.text(4);
  RE2::Options options;
  options.set_dot_nl(true);
  options.set_log_errors(false);
  const RE2 regex(SpelledForRe2(pattern), options);
  if (!regex.ok())
    return FailedPrecondition("invalid regular expression in label_replace(): " + pattern);
  if (!IsLabelName(destination)) {
    return FailedPrecondition("invalid destination label name in label_replace(): " + destination);
  }
  const Template replacement(in.text(2), regex);
  std::vector<re2::StringPiece> groups(static_cast<size_t>(regex.NumberOfCapturingGroups()) + 1);
  return SetLabel(std::move(in.args[0]), destination, [&](const Labels& labels, std::string& out) {
    const std::string_view value = labels.Get(source);
    const re2::StringPiece text(value.data() == nullptr ? "" : value.data(), value.size());
    if (!regex.Match(text, 0, text.size(), RE2::ANCHOR_BOTH, groups.data(),
                     static_cast<int>(groups.size()))) {
      return false;
    }
    out = replacement.Expand(groups);
    return true;
  });
}

Result<Matrix> LabelJoin(CallInput& in) {
  const std::string& destination = in.text(1);
  const std::string& separator = in.text(2);
  for (size_t i = 3; i < in.node.args.size(); ++i) {
    if (!IsLabelName(in.text(i))) {
      return FailedPrecondition("invalid source label name in label_join(): " + in.text(i));
    }
  }
  if (!IsLabelName(destination)) {
    return FailedPrecondition("invalid destination label name in label_join(): " + destination);
  }
  return SetLabel(std::move(in.args[0]), destination, [&](const Labels& labels, std::string& out) {
    for (size_t i = 3; i < in.node.args.size(); ++i) {
      if (i > 3) out += separator;
      out += labels.Get(in.text(i));
    }
    return true;
  });
}

}  // namespace basalt::query::exec
