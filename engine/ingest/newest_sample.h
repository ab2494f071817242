// engine/ingest/newest_sample.h -- where a stored series ends: what goes on from there asks this
// once, after a restart.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/histogram.h"
#include "engine/base/labels.h"
#include "storage/ingest_batch.h"
#include "storage/store.h"

namespace basalt::ingest {

struct NewestSample {
  int64_t time_ms = 0;
  int64_t start_ms = storage::kNoStartMs;
  double value = 0;
  std::optional<NativeHistogram> histogram;  // then `value` means nothing
};

// The newest sample, not older than `since_ms`, of the series with exactly these labels (sorted);
// stale markers do not count. Cheap if there is one shortly before `now_ms`.
Result<std::optional<NewestSample>> FindNewestSample(storage::Store& store, TenantId tenant,
                                                     std::span<const LabelView> labels,
                                                     int64_t now_ms, int64_t since_ms);

}  // namespace basalt::ingest
