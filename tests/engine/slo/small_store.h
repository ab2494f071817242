// tests/engine/slo/small_store.h -- a small real store, and series selected by their labels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "storage/resolver.h"
#include "storage/store.h"

namespace basalt::slo {

// The clock outlives the store, which looks at it while it closes.
inline storage::StoreOptions SmallStore(const std::string& directory, const Clock& clock,
                                        uint32_t partitions = 4) {
  storage::StoreOptions options;
  options.directory = directory;
  options.partitions = partitions;
  options.sync = storage::SyncMode::kInterval;
  options.block_cache_bytes = 8u << 20;
  options.clock = &clock;
  return options;
}

// The next Add* of `builder` is for the series with these labels.
inline void Select(storage::BatchBuilder& builder, const Labels& labels) {
  std::string raw;
  AppendCanonical(labels, raw);
  if (builder.SelectKnown(HashBytes128(raw))) return;
  std::vector<LabelView> views;
  for (const Label& label : labels) views.push_back({label.name, label.value});
  builder.SelectLabels(HashBytes128(raw), views);
}

}  // namespace basalt::slo
