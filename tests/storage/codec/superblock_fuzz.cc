// Bytes as a superblock, behind a checksum made to fit: everything that a reader can touch stays
// inside.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "storage/codec/superblock.h"
#include "storage/codec/superblock_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt::storage;
  if (size < kSuperblockHeaderBytes) return 0;
  std::vector<char> bytes(data, data + size);
  const auto length = static_cast<uint32_t>(size);
  std::memcpy(bytes.data() + kSizeOffset, &length, sizeof length);
  const uint32_t checksum = SuperblockChecksum({bytes.data(), bytes.size()});
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, sizeof checksum);
  const auto block = Superblock::Open({bytes.data(), bytes.size()});
  if (!block.ok()) return 0;

  for (uint32_t i = 0; i < block->column_count(); ++i) {
    const auto column = block->column(i);
    if (!column.ok()) continue;
    std::vector<int64_t> times(column->samples);
    (void)block->DecodeTimeColumn(i, times);
  }
  RowDecoder decoder(*block);
  std::vector<basalt::SeriesOrdinal> wanted;
  std::vector<HistogramPoint> points;
  for (uint32_t i = 0; i < block->row_count(); ++i) {
    wanted.push_back(block->ordinal(i));
    const auto row = block->row(i);
    if (!row.ok()) continue;
    const auto column = block->column(row->time_column);
    std::vector<int64_t> column_times(column->samples);
    std::vector<int64_t> times(row->samples);
    std::vector<double> values(row->samples);
    (void)block->SelectTimes(i, column_times, times);
    (void)block->DecodeStarts(i, times);
    (void)block->Summary(i);
    if (const auto info = block->row(i); info.ok()) (void)block->Summary(i, *info);
    (void)decoder.Values(i, values);
    (void)decoder.Histograms(i, column_times, points);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::vector<RowMatch> matches;
  block->FindRows(wanted, matches);
  return matches.size() == block->row_count() ? 0 : (__builtin_trap(), 0);
}
