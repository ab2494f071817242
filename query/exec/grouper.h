// query/exec/grouper.h -- by () and without (): which group a row belongs to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

// Finds which group a row belongs to. Groups are numbered in the order in which they first show up.
// One thread.
class Grouper {
 public:
  explicit Grouper(const plan::Grouping& grouping) : grouping_(grouping) {}

  uint32_t Find(const RowLabels& labels);
  uint32_t Find(const Labels& group);  // a group's own labels
  [[nodiscard]] size_t size() const { return labels_.size(); }
  [[nodiscard]] const Labels& labels(size_t group) const { return labels_[group]; }

 private:
  // `key_` holds the group's identity; makes the group if it is new.
  template <typename MakeLabels>
  uint32_t FindKey(MakeLabels&& make_labels);

  plan::Grouping grouping_;
  std::vector<Labels> labels_;
  absl::flat_hash_map<std::string, uint32_t, StringHash, StringEq> by_key_;
  std::string key_;
  std::vector<std::string_view> values_;
  // The values found last, if they stay in their places: neighbours mostly have the same.
  std::vector<std::string_view> last_values_;
  uint32_t last_group_ = 0;
};

}  // namespace basalt::query::exec
