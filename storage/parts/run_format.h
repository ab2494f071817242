// storage/parts/run_format.h -- a run's line in the manifest and its directory, as bytes.
// Drawn in storage/docs/keys.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/keys.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

inline RunKey KeyOf(const RunInfo& run) { return {run.partition, run.day, run.level, run.number}; }

// The key of a superblock of `run`.
std::string SuperblockKey(const RunInfo& run, const SeriesPlace& place, uint16_t row);
// The last key of a run: its directory.
std::string DirectoryKey(const RunInfo& run);

// The number stands in the manifest's key.
std::string EncodeRunInfo(const RunInfo& run);
Result<RunInfo> DecodeRunInfo(uint32_t number, std::string_view bytes);

std::string EncodeDirectory(const std::vector<SuperblockRef>& refs);
// kDataLoss if the bytes do not parse or are not in rising order.
Result<std::vector<SuperblockRef>> DecodeDirectory(std::string_view bytes);

}  // namespace basalt::storage
