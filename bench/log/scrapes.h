// bench/log/scrapes.h -- realistic requests: every batch is one scrape of up to 1,000 series of one
// target.
#pragma once

#include <cstddef>
#include <vector>

#include "storage/ingest_batch.h"

namespace basalt::bench {

// Where the values come from: "recorded", or "generated" if ../shared/data is not there.
const char* ScrapesSource();
// `count` batches, scrapes 15 s apart; made once. All series known, ordinals in the order of the
// scrape.
const std::vector<storage::IngestBatch>& Scrapes(size_t count);

}  // namespace basalt::bench
