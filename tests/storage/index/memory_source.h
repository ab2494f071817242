// tests/storage/index/memory_source.h -- an IndexSource over a map: the disk of index tests.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "storage/index/persist.h"

namespace basalt::storage {

class MemorySource final : public IndexSource {
 public:
  void Apply(const IndexFlush& flush) {
    for (const IndexWrite& write : flush.writes) {
      if (write.value.empty()) {
        keys.erase({write.family, write.key});
      } else {
        keys[{write.family, write.key}] = write.value;
      }
    }
  }
  Status ForEach(
      IndexFamily family, std::string_view prefix,
      const std::function<Status(std::string_view, std::string_view)>& fn) const override {
    for (auto it = keys.lower_bound({family, std::string(prefix)});
         it != keys.end() && it->first.first == family && it->first.second.starts_with(prefix);
         ++it) {
      if (Status s = fn(it->first.second, it->second); !s.ok()) return s;
    }
    return OkStatus();
  }

  std::map<std::pair<IndexFamily, std::string>, std::string> keys;
};

}  // namespace basalt::storage
