// engine/base/labels.h -- label sets: the identity of a series.
#pragma once

#include <compare>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/status.h"

namespace basalt {

inline constexpr std::string_view kMetricName = "__name__";

struct Label {
  std::string name;
  std::string value;
  friend auto operator<=>(const Label&, const Label&) = default;
};

// The same without owning the bytes; wire decoders make these.
struct LabelView {
  std::string_view name;
  std::string_view value;
  friend auto operator<=>(const LabelView&, const LabelView&) = default;
};

// Labels sorted by name (bytes), names unique, no empty values (PromQL: an empty label is an absent
// one). A value type. Thread-compatible.
class Labels {
 public:
  Labels() = default;
  Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}
  // Sorts, drops empty values; of equal names the last one wins.
  explicit Labels(std::vector<Label> labels);

  [[nodiscard]] std::string_view Get(std::string_view name) const;  // empty if absent
  [[nodiscard]] bool Has(std::string_view name) const;
  [[nodiscard]] std::string_view metric_name() const { return Get(kMetricName); }
  void Set(std::string_view name, std::string_view value);  // an empty value removes
  void Remove(std::string_view name);

  [[nodiscard]] size_t size() const { return labels_.size(); }
  [[nodiscard]] bool empty() const { return labels_.empty(); }
  [[nodiscard]] auto begin() const { return labels_.begin(); }
  [[nodiscard]] auto end() const { return labels_.end(); }
  [[nodiscard]] const Label& operator[](size_t i) const { return labels_[i]; }

  // {__name__="up", job="x"} is `up{job="x"}`: PromQL's notation, for messages and tables.
  [[nodiscard]] std::string ToString() const;

  // Lexicographic by (name, value) pairs, as Prometheus orders label sets.
  friend auto operator<=>(const Labels&, const Labels&) = default;

 private:
  std::vector<Label> labels_;
};

// Appends the canonical bytes of a sorted label set: varint length, name, varint length, value, for
// each label. These bytes are hashed into ids and stored in logs; their form never changes.
void AppendCanonical(const Labels& labels, std::string& out);
void AppendCanonical(const std::vector<LabelView>& sorted, std::string& out);
// Inverse of AppendCanonical; views into `bytes`. kDataLoss if the bytes do not parse.
Result<std::vector<LabelView>> ParseCanonical(std::string_view bytes);
Result<Labels> LabelsFromCanonical(std::string_view bytes);

// True for [a-zA-Z_][a-zA-Z0-9_]* (no colon: that is for metric names).
bool IsLegacyLabelName(std::string_view name);
// True for [a-zA-Z_:][a-zA-Z0-9_:]*.
bool IsLegacyMetricName(std::string_view name);
bool IsValidUtf8(std::string_view text);

// Writes `text` as a Go/PromQL double-quoted string, escapes included.
void AppendQuoted(std::string_view text, std::string& out);

}  // namespace basalt
