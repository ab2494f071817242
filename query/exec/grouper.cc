#include "query/exec/grouper.h"

#include <utility>

#include "engine/base/varint.h"

namespace basalt::query::exec {

template <typename MakeLabels>
uint32_t Grouper::FindKey(MakeLabels&& make_labels) {
  const auto it = by_key_.find(key_);
  if (it != by_key_.end()) return it->second;
  const auto group = static_cast<uint32_t>(labels_.size());
  by_key_.emplace(key_, group);
  labels_.push_back(make_labels());
  return group;
}

uint32_t Grouper::Find(const RowLabels& labels) {
  if (grouping_.without) {
    Labels rest = labels.ToLabels();
    for (const std::string& name : grouping_.labels) rest.Remove(name);
    rest.Remove(kMetricName);
    return Find(rest);
  }
  if (grouping_.labels.empty() && !labels_.empty()) return 0;
  bool same = labels.in_selection() && !last_values_.empty();
  values_.clear();
  for (size_t i = 0; i < grouping_.labels.size(); ++i) {
    const std::string_view value = values_.emplace_back(labels.Get(grouping_.labels[i]));
    same = same && value.data() == last_values_[i].data() && value.size() == last_values_[i].size();
  }
  if (same) return last_group_;
  key_.clear();
  for (const std::string_view value : values_) {
    AppendVarint(value.size(), key_);
    key_ += value;
  }
  const uint32_t group = FindKey([&] {
    std::vector<Label> out;
    for (size_t i = 0; i < values_.size(); ++i)
      out.push_back({grouping_.labels[i], std::string(values_[i])});
    return Labels(std::move(out));
  });
  last_group_ = group;
  last_values_.clear();
  if (labels.in_selection()) std::swap(last_values_, values_);
  return group;
}

uint32_t Grouper::Find(const Labels& group) {
  key_.clear();
  if (grouping_.without) {
    AppendCanonical(group, key_);
  } else {
    for (const std::string& name : grouping_.labels) {
      const std::string_view value = group.Get(name);
      AppendVarint(value.size(), key_);
      key_ += value;
    }
  }
  return FindKey([&] { return group; });
}

}  // namespace basalt::query::exec
