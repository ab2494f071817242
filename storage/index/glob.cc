#include "storage/index/glob.h"

#include <algorithm>
#include <utility>

namespace basalt::storage::index_internal {

bool Glob::Matches(std::string_view value) const {
  if (is_literal()) return value == literals[0];
  const std::string& prefix = literals.front();
  const std::string& suffix = literals.back();
  if (value.size() < prefix.size() + suffix.size() || !value.starts_with(prefix) ||
      !value.ends_with(suffix)) {
    return false;
  }
  // What lies between: the first place of each literal leaves the most room for those after it.
  std::string_view rest = value.substr(prefix.size());
  rest.remove_suffix(suffix.size());
  for (size_t gap = 0; gap + 1 < at_least.size(); ++gap) {
    const size_t at = rest.find(literals[gap + 1], at_least[gap]);
    if (at == std::string_view::npos) return false;
    rest.remove_prefix(at + literals[gap + 1].size());
  }
  return rest.size() >= at_least.back();
}

namespace {

using Globs = std::vector<Glob>;

constexpr std::string_view kMeta = R"(\.+*?()|[]{}^$)";

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// False where two gaps meet that ask for two characters together, which bytes cannot count.
bool AppendTo(Glob& left, const Glob& right) {
  if (!right.is_literal() && right.literals[0].empty() && !left.is_literal() &&
      left.literals.back().empty()) {
    // Two gaps with nothing between are one.
    if (left.at_least.back() + right.at_least[0] > 1) return false;
    left.at_least.back() = static_cast<uint8_t>(left.at_least.back() + right.at_least[0]);
    left.literals.pop_back();
    left.literals.insert(left.literals.end(), right.literals.begin() + 1, right.literals.end());
    left.at_least.insert(left.at_least.end(), right.at_least.begin() + 1, right.at_least.end());
    return true;
  }
  left.literals.back() += right.literals[0];
  left.literals.insert(left.literals.end(), right.literals.begin() + 1, right.literals.end());
  left.at_least.insert(left.at_least.end(), right.at_least.begin(), right.at_least.end());
  return true;
}

// Recursive descent over the part of RE2's syntax that globs can say. The first thing that it does
// not know ends it.
class Parser {
 public:
  explicit Parser(std::string_view pattern) : in_(pattern) {}

  std::optional<Globs> Parse() {
    Globs all;
    if (!Alternatives(0, all) || !in_.empty()) return std::nullopt;
    return all;
  }

 private:
  bool Take(std::string_view text) {
    if (!in_.starts_with(text)) return false;
    in_.remove_prefix(text.size());
    return true;
  }

  bool Alternatives(size_t depth, Globs& out) {
    if (depth > kMaxGlobDepth) return false;
    do {
      Globs one;
      if (!Concatenation(depth, one)) return false;
      out.insert(out.end(), std::make_move_iterator(one.begin()),
                 std::make_move_iterator(one.end()));
      if (out.size() > kMaxGlobs) return false;
    } while (Take("|"));
    return true;
  }

  bool Concatenation(size_t depth, Globs& out) {
    out.assign(1, Glob());
    // The whole is anchored, so these say nothing new at the ends of its alternatives.
    if (depth == 0) Take("^");
    while (!in_.empty() && in_[0] != '|' && in_[0] != ')') {
      if (depth == 0 && in_[0] == '$' && (in_.size() == 1 || in_[1] == '|')) {
        in_.remove_prefix(1);
        break;
      }
      Globs next;
      if (!Atom(depth, next) || !Multiply(out, next)) return false;
    }
    return true;
  }

  bool Atom(size_t depth, Globs& out) {
    if (in_[0] == '.') return Gap(out);
    if (in_[0] == '(') {
      in_.remove_prefix(1);
      if (in_.starts_with("?") && !Take("?:")) return false;
      if (!Alternatives(depth + 1, out) || !Take(")")) return false;
    } else if (in_[0] == '[') {
      if (!Class(out)) return false;
    } else if (!Character(out)) {
      return false;
    }
    if (Take("?")) {
      Take("?");  // lazy: of no account when the whole is matched
      if (std::find(out.begin(), out.end(), Glob()) == out.end()) out.emplace_back();
    }
    return in_.empty() || (in_[0] != '*' && in_[0] != '+' && in_[0] != '{' && in_[0] != '?');
  }

  bool Gap(Globs& out) {
    in_.remove_prefix(1);
    const bool star = in_.starts_with("*");
    if (!star && !in_.starts_with("+")) return false;
    in_.remove_prefix(1);
    Take("?");
    out.assign(1, Glob{.literals = {"", ""}, .at_least = {static_cast<uint8_t>(star ? 0 : 1)}});
    return true;
  }

  // One character, all of its bytes, so that a "?" after it takes all of it away.
  bool Character(Globs& out) {
    std::string text;
    if (Take("\\")) {
      // Escapes of letters and digits are classes, assertions or numbers: not ours to read.
      if (in_.empty() || !IsAscii(in_[0]) || IsAlnum(in_[0]) || in_[0] == '_') return false;
    } else if (kMeta.find(in_[0]) != std::string_view::npos) {
      return false;
    }
    do {
      text += in_[0];
      in_.remove_prefix(1);
    } while (!in_.empty() && IsContinuation(in_[0]));
    out.assign(1, Glob{.literals = {text}, .at_least = {}});
    return true;
  }

  // [abc0-9]: letters, digits, and what has no meaning in a class.
  bool Class(Globs& out) {
    constexpr std::string_view kPlain = "_./:,;=@ ";
    const auto plain = [&](char c) {
      return IsAlnum(c) || kPlain.find(c) != std::string_view::npos;
    };
    in_.remove_prefix(1);
    while (!in_.empty() && in_[0] != ']') {
      const char first = in_[0];
      if (!plain(first)) return false;
      in_.remove_prefix(1);
      char last = first;
      if (in_.size() > 1 && in_[0] == '-') {
        last = in_[1];
        if (!IsAlnum(first) || !IsAlnum(last) || last < first) return false;
        in_.remove_prefix(2);
      }
      for (int c = static_cast<unsigned char>(first); c <= static_cast<unsigned char>(last); ++c) {
        const Glob glob{.literals = {std::string(1, static_cast<char>(c))}, .at_least = {}};
        if (std::find(out.begin(), out.end(), glob) == out.end()) out.push_back(glob);
      }
    }
    return !out.empty() && Take("]");
  }

  // Every one of `left` before every one of `right`.
  static bool Multiply(Globs& left, const Globs& right) {
    if (left.size() * right.size() > kMaxGlobs) return false;
    if (right.size() == 1) {
      return std::all_of(left.begin(), left.end(),
                         [&](Glob& glob) { return AppendTo(glob, right[0]); });
    }
    Globs made;
    made.reserve(left.size() * right.size());
    for (const Glob& a : left) {
      for (const Glob& b : right) {
        if (!AppendTo(made.emplace_back(a), b)) return false;
      }
    }
    left = std::move(made);
    return true;
  }

  std::string_view in_;
};

}  // namespace

std::optional<std::vector<Glob>> ParseGlobs(std::string_view pattern) {
  return Parser(pattern).Parse();
}

}  // namespace basalt::storage::index_internal
