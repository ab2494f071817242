// storage/cardinality.h -- adds up how many series have which label, and picks the largest.
// Private to storage: Snapshot::CountLabels (reader.h) is the way to ask.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/hash.h"
#include "storage/reader.h"

namespace basalt::storage {

// One request. One thread.
class CardinalityCounter {
 public:
  // `name` and `value` must live until Finish. The same label may come again, from another
  // partition.
  void Add(std::string_view name, std::string_view value, uint64_t series) {
    if (series != 0) names_[name][value] += series;
  }
  void AddSeries(uint64_t series) { series_ += series; }
  // The `limit` largest of each list.
  [[nodiscard]] Cardinality Finish(size_t limit) const;

 private:
  using Values = absl::flat_hash_map<std::string_view, uint64_t, StringHash, StringEq>;
  absl::flat_hash_map<std::string_view, Values, StringHash, StringEq> names_;
  uint64_t series_ = 0;
};

}  // namespace basalt::storage
