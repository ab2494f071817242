#include "storage/parts/run_format.h"

#include <tuple>

#include "engine/base/varint.h"

namespace basalt::storage {

namespace {

// First byte of both; a reader refuses what it does not know.
constexpr uint64_t kRunInfoVersion = 1;
constexpr uint64_t kDirectoryVersion = 0;

void AppendPosition(const LogPosition& p, std::string& out) {
  AppendVarint(p.lane, out);
  AppendVarint(p.seq, out);
}

// Reads numbers that must fit; the first one that does not stops all.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : in_(bytes) {}
  template <typename T>
  void Number(T& out) {
    uint64_t v = 0;
    ok_ = ok_ && in_.Read(v) && static_cast<T>(v) == v;
    out = static_cast<T>(v);
  }
  void Signed(int64_t& out) { ok_ = ok_ && in_.ReadSigned(out); }
  void Position(LogPosition& out) {
    Number(out.lane);
    Number(out.seq);
  }
  void Place(SeriesPlace& out) {
    uint32_t v = 0;
    Number(v);
    out.tenant = TenantId{v};
    Number(v);
    out.metric = MetricId{v};
    Number(v);
    out.group = GroupId{v};
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && in_.done(); }
  [[nodiscard]] size_t remaining() const { return in_.remaining(); }

 private:
  VarintReader in_;
  bool ok_ = true;
};

void AppendPlace(const SeriesPlace& place, std::string& out) {
  AppendVarint(static_cast<uint32_t>(place.tenant), out);
  AppendVarint(static_cast<uint32_t>(place.metric), out);
  AppendVarint(static_cast<uint32_t>(place.group), out);
}

}  // namespace

std::string SuperblockKey(const RunInfo& run, const SeriesPlace& place, uint16_t row) {
  return EncodeBlockKey({.run = KeyOf(run),
                         .tenant = place.tenant,
                         .metric = static_cast<uint32_t>(place.metric),
                         .group = static_cast<uint32_t>(place.group),
                         .row = row});
}

std::string DirectoryKey(const RunInfo& run) {
  return EncodeBlockKey({.run = KeyOf(run),
                         .tenant = TenantId{UINT32_MAX},
                         .metric = UINT32_MAX,
                         .group = UINT32_MAX,
                         .row = UINT16_MAX});
}

std::string EncodeRunInfo(const RunInfo& run) {
  std::string out;
  AppendVarint(kRunInfoVersion, out);
  AppendVarint(static_cast<uint16_t>(run.partition), out);
  AppendVarint(run.day, out);
  AppendVarint(run.level, out);
  AppendPosition(run.after, out);
  AppendPosition(run.last, out);
  AppendPosition(run.deletes_applied, out);
  AppendVarint(run.samples, out);
  AppendVarint(run.superblocks, out);
  AppendVarint(run.bytes, out);
  AppendVarint(ZigZag(run.min_ms), out);
  AppendVarint(ZigZag(run.max_ms), out);
  AppendVarint(run.rows, out);
  AppendVarint(run.shape, out);
  AppendVarint(run.raw_gone ? 1 : 0, out);
  return out;
}

Result<RunInfo> DecodeRunInfo(uint32_t number, std::string_view bytes) {
  Fields in(bytes);
  RunInfo run;
  run.number = number;
  uint64_t version = 0;
  uint16_t partition = 0;
  in.Number(version);
  in.Number(partition);
  run.partition = PartitionId{partition};
  in.Number(run.day);
  in.Number(run.level);
  in.Position(run.after);
  in.Position(run.last);
  in.Position(run.deletes_applied);
  in.Number(run.samples);
  in.Number(run.superblocks);
  in.Number(run.bytes);
  in.Signed(run.min_ms);
  in.Signed(run.max_ms);
  in.Number(run.rows);
  in.Number(run.shape);
  in.Number(run.raw_gone);
  if (!in.done() || version != kRunInfoVersion) {
    return DataLoss("meta: run " + std::to_string(number) + " does not parse");
  }
  return run;
}

std::string EncodeDirectory(const std::vector<SuperblockRef>& refs) {
  std::string out;
  AppendVarint(kDirectoryVersion, out);
  AppendVarint(refs.size(), out);
  for (const SuperblockRef& ref : refs) {
    AppendPlace(ref.place, out);
    AppendVarint(ref.row, out);
    AppendPlace(ref.last_place, out);
    AppendVarint(ZigZag(ref.min_ms), out);
    AppendVarint(static_cast<uint64_t>(ref.max_ms - ref.min_ms), out);
    AppendVarint(ref.samples, out);
    AppendVarint(ref.bytes, out);
  }
  return out;
}

Result<std::vector<SuperblockRef>> DecodeDirectory(std::string_view bytes) {
  Fields in(bytes);
  uint64_t version = 0;
  uint64_t count = 0;
  in.Number(version);
  in.Number(count);
  // An entry has eleven fields of a byte at least.
  if (!in.ok() || version != kDirectoryVersion || count > in.remaining() / 11) {
    return DataLoss("directory does not parse");
  }
  std::vector<SuperblockRef> refs(count);
  for (size_t i = 0; i < refs.size(); ++i) {
    SuperblockRef& ref = refs[i];
    uint64_t span = 0;
    in.Place(ref.place);
    in.Number(ref.row);
    in.Place(ref.last_place);
    in.Signed(ref.min_ms);
    in.Number(span);
    in.Number(ref.samples);
    in.Number(ref.bytes);
    ref.max_ms = static_cast<int64_t>(static_cast<uint64_t>(ref.min_ms) + span);
    if (!in.ok() || ref.last_place < ref.place || ref.max_ms < ref.min_ms) {
      return DataLoss("directory does not parse at entry " + std::to_string(i));
    }
    if (i > 0 && std::tie(ref.place, ref.row) <= std::tie(refs[i - 1].place, refs[i - 1].row)) {
      return DataLoss("directory does not rise at entry " + std::to_string(i));
    }
  }
  if (!in.done()) return DataLoss("directory has bytes after its end");
  return refs;
}

}  // namespace basalt::storage
