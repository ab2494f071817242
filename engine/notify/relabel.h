// engine/notify/relabel.h -- Prometheus' relabelling: rules that rewrite, drop or keep label sets.
//
// Every action and corner of Prometheus' model/relabel: regular expressions are RE2's and match
// the whole value with dot matching newlines; `$1`, `${1}` and `${name}` expand as Go's
// regexp.Expand does; hashmod is the last eight bytes of MD5, as older Prometheis had it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"

namespace basalt::notify {

enum class RelabelAction : uint8_t {
  kReplace,
  kKeep,
  kDrop,
  kKeepEqual,
  kDropEqual,
  kHashMod,
  kLabelMap,
  kLabelDrop,
  kLabelKeep,
  kLowercase,
  kUppercase,
};
// Any case, as upstream. kInvalidArgument with the names there are.
Result<RelabelAction> ParseRelabelAction(std::string_view name);
std::string_view RelabelActionName(RelabelAction action);

// One rule as it is written; the defaults are upstream's.
struct RelabelSpec {
  std::vector<std::string> source_labels;
  std::string separator = ";";
  std::string regex = "(.*)";
  uint64_t modulus = 0;
  std::string target_label;
  std::string replacement = "$1";
  RelabelAction action = RelabelAction::kReplace;
  friend bool operator==(const RelabelSpec&, const RelabelSpec&) = default;
};

// A rule that is ready to run. A value type, cheap to copy; const functions are thread-safe.
class RelabelRule {
 public:
  // kInvalidArgument naming the field and the value: what upstream refuses when it loads its
  // configuration.
  static Result<RelabelRule> Make(RelabelSpec spec);

  [[nodiscard]] const RelabelSpec& spec() const;
  // False: the label set is dropped, and `labels` are as they were.
  [[nodiscard]] bool Apply(Labels& labels) const;

 private:
  struct Compiled;
  explicit RelabelRule(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

using RelabelRules = std::vector<RelabelRule>;
// In order. False as soon as one rule drops.
[[nodiscard]] bool Relabel(const RelabelRules& rules, Labels& labels);

// Go's regexp.Expand over RE2's submatches: `$name` takes the longest run of letters, digits and
// underscores, `$$` is a dollar, what names no group is empty. `groups[0]` is the whole match.
std::string ExpandTemplate(std::string_view text, const std::vector<std::string_view>& groups,
                           const std::vector<std::string>& names);

}  // namespace basalt::notify
