#include "storage/damage.h"

#include <array>

#include "storage/codec/keys.h"
#include "storage/log/record.h"
#include "storage/parts/run_format.h"

namespace basalt::storage {
namespace {

std::string Hex(std::string_view bytes) {
  constexpr std::array<char, 17> kDigits = {"0123456789abcdef"};
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// "partition 3 day 2026-11-23 run 42 block 17" has the day in it; no second calendar here.
std::string DayIn(const std::string& described) {
  constexpr std::string_view kBefore = " day ";
  const size_t at = described.find(kBefore);
  return at == std::string::npos ? "" : described.substr(at + kBefore.size(), 10);
}

}  // namespace

Damage DescribeBlock(const Run& run, size_t block, const std::string& file, const std::string& what,
                     const PartitionIndex* index) {
  const RunInfo& info = run.info();
  Damage damage{.file = file, .what = what, .block = DamagedBlock()};
  DamagedBlock& out = *damage.block;
  out.partition = static_cast<uint16_t>(info.partition);
  out.day = DayIn(run.Describe(block));
  out.run = info.number;
  out.range = {info.min_ms, info.max_ms};
  out.samples = info.samples;
  out.key = Hex(DirectoryKey(info));
  if (block == kDirectoryBlock) return damage;
  out.block = block;
  const auto directory = run.Directory();
  if (!directory.ok() || block >= (*directory)->size()) return damage;
  const SuperblockRef& ref = (**directory)[block];
  out.key = Hex(SuperblockKey(info, ref.place, ref.row));
  out.samples = ref.samples;
  if (ref.samples != 0) out.range = {ref.min_ms, ref.max_ms};
  if (index != nullptr && ref.place.metric != MetricId{kTimesMetric}) {
    out.first_metric = index->metric_name(ref.place.metric);
    out.last_metric = index->metric_name(ref.last_place.metric);
  }
  return damage;
}

Status CheckRecord(const LogRecord& record, uint32_t partitions) {
  BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record.bytes));
  if (kind == RecordKind::kDelete) return DecodeDelete(record.bytes).status();
  if (kind != RecordKind::kAppend) return OkStatus();
  BASALT_TRY_ASSIGN(const AppendView view, ViewAppend(record.bytes));
  IngestBatch batch;
  for (const RecordSection& section : view.sections) {
    if (static_cast<uint32_t>(section.partition) >= partitions) {
      return DataLoss("it names partition " +
                      std::to_string(static_cast<uint32_t>(section.partition)));
    }
    BASALT_TRY(DecodeSection(section, batch));
  }
  return OkStatus();
}

}  // namespace basalt::storage
