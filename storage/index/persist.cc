// Flush and load. Keys and values are drawn in storage/docs/keys.md.
#include "storage/index/persist.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <string>

#include "engine/base/varint.h"
#include "storage/index/impl.h"
#include "storage/index/index.h"

namespace basalt::storage {

using index_internal::DayActivity;
using index_internal::kNoPair;
using index_internal::LabelPair;
using index_internal::PairId;
using index_internal::SeriesEntry;
using index_internal::ShapeView;
using index_internal::StringId;
using index_internal::Tables;

namespace {

// Entries a block: big enough that keys and per-key costs vanish, small enough that writing a
// half-full block again at the next commit is cheap (a block of series is about 18 KB).
constexpr uint32_t kStringsPerBlock = 1024;
constexpr uint32_t kPairsPerBlock = 4096;
constexpr uint32_t kGroupsPerBlock = 1024;
constexpr uint32_t kShapesPerBlock = 1024;
constexpr uint32_t kSeriesPerBlock = 1024;

// Tables of the dictionary, a byte of its keys.
constexpr char kStringTable = 's';
constexpr char kPairTable = 'p';
constexpr char kGroupTable = 'g';
constexpr char kShapeTable = 'h';

void AppendBigEndian16(uint16_t v, std::string& out) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}
void AppendBigEndian32(uint32_t v, std::string& out) {
  AppendBigEndian16(static_cast<uint16_t>(v >> 16), out);
  AppendBigEndian16(static_cast<uint16_t>(v), out);
}
uint32_t ReadBigEndian(std::string_view bytes) {
  uint32_t v = 0;
  for (const char c : bytes) v = v << 8 | static_cast<unsigned char>(c);
  return v;
}

std::string PartitionPrefix(PartitionId partition) {
  std::string key;
  AppendBigEndian16(static_cast<uint16_t>(partition), key);
  return key;
}
std::string DictionaryPrefix(PartitionId partition, char table) {
  return PartitionPrefix(partition) + table;
}

// Writes entries [flushed, count) as whole blocks: the last one that was written may have been
// half full, so writing begins at its first entry. AppendBlock(begin, end, out) writes one block.
template <typename AppendBlock>
void WriteBlocks(IndexFamily family, const std::string& prefix, uint32_t per_block,
                 uint32_t flushed, uint32_t count, std::vector<IndexWrite>& writes,
                 const AppendBlock& append) {
  if (flushed == count) return;
  for (uint32_t block = flushed / per_block; block * uint64_t{per_block} < count; ++block) {
    IndexWrite write{family, prefix, {}};
    AppendBigEndian32(block, write.key);
    const uint64_t end = std::min<uint64_t>(count, (block + uint64_t{1}) * per_block);
    append(block * per_block, static_cast<uint32_t>(end), write.value);
    writes.push_back(std::move(write));
  }
}

// A block as its entries one after another.
template <typename AppendEntry>
auto OneByOne(AppendEntry append) {
  return [append](uint32_t begin, uint32_t end, std::string& out) {
    for (uint32_t i = begin; i < end; ++i) append(i, out);
  };
}

// Reads entries [0, count); blocks must be there without a gap. ReadBlock(in, n) takes the first n
// entries of one block and returns false if they do not parse. What lies beyond `count` was never
// committed.
template <typename ReadBlock>
Status ReadBlocks(const IndexSource& source, IndexFamily family, const std::string& prefix,
                  uint32_t per_block, uint32_t count, const char* what, const ReadBlock& read) {
  uint32_t next = 0;
  const auto damaged = [&](const std::string& why) {
    return DataLoss(std::string("index: ") + what + " block " + std::to_string(next / per_block) +
                    " of partition " + std::to_string(ReadBigEndian(prefix.substr(0, 2))) + ": " +
                    why);
  };
  const Status status =
      source.ForEach(family, prefix, [&](std::string_view key, std::string_view value) -> Status {
        if (next >= count) return OkStatus();
        if (key.size() != prefix.size() + 4) return damaged("key of a wrong length");
        if (ReadBigEndian(key.substr(prefix.size())) != next / per_block) {
          return damaged("missing");
        }
        VarintReader in(value);
        const uint32_t n = std::min(count - next, per_block);
        if (!read(in, n)) return damaged("does not parse");
        next += n;
        return OkStatus();
      });
  BASALT_TRY(status);
  return next == count ? OkStatus() : damaged("missing");
}

template <typename ReadEntry>
auto EachOf(ReadEntry read) {
  return [read](VarintReader& in, uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) {
      if (in.done() || !read(in)) return false;
    }
    return true;
  };
}

bool ReadNumber(VarintReader& in, uint64_t limit, uint32_t& out) {
  uint64_t v = 0;
  if (!in.Read(v) || v >= limit) return false;
  out = static_cast<uint32_t>(v);
  return true;
}

bool ReadPairList(VarintReader& in, size_t pair_count, std::vector<PairId>& out) {
  uint64_t n = 0;
  if (!in.Read(n) || n > in.remaining()) return false;
  out.resize(n);
  for (PairId& pair : out) {
    if (!ReadNumber(in, pair_count, pair)) return false;
  }
  return true;
}

void AppendPairList(std::span<const PairId> pairs, std::string& out) {
  AppendVarint(pairs.size(), out);
  for (const PairId pair : pairs) AppendVarint(pair, out);
}

// Series in columns: the ids, which are noise, then group and shape as differences to the series
// before, which mostly are 0 and 1.
void AppendSeriesBlock(const Tables& tables, uint32_t begin, uint32_t end, std::string& out) {
  AppendVarint(end - begin, out);
  for (uint32_t i = begin; i < end; ++i) {
    std::array<std::byte, 16> id;
    StoreBigEndian(tables.ids[i].hash, id);
    out.append(reinterpret_cast<const char*>(id.data()), id.size());
  }
  int64_t group = 0;
  int64_t shape = 0;
  for (uint32_t i = begin; i < end; ++i) {
    const SeriesEntry& entry = tables.series[i];
    AppendVarint(ZigZag(int64_t{static_cast<uint32_t>(entry.group)} - group), out);
    AppendVarint(ZigZag(int64_t{entry.shape} - shape), out);
    group = static_cast<uint32_t>(entry.group);
    shape = entry.shape;
  }
}

bool ReadDifference(VarintReader& in, uint64_t limit, int64_t& number) {
  int64_t difference = 0;
  if (!in.ReadSigned(difference)) return false;
  // Unsigned, so that no hostile difference overflows; what wraps around is beyond the limit.
  const uint64_t sum = static_cast<uint64_t>(number) + static_cast<uint64_t>(difference);
  if (sum >= limit) return false;
  number = static_cast<int64_t>(sum);
  return true;
}

std::string BitmapBytes(const Roaring& bitmap) {
  Roaring packed = bitmap;
  packed.runOptimize();
  std::string out(packed.getSizeInBytes(), '\0');
  packed.write(out.data());
  return out;
}

}  // namespace

IndexFlush PartitionIndex::PrepareFlush() const {
  const Impl& impl = *impl_;
  const Tables& tables = *impl.tables;
  IndexFlush flush;
  flush.partition = impl.partition;
  {
    // One moment: an entry only refers to entries that were there before it.
    const ReaderLock lock(impl.mu);
    flush.counts = {
        static_cast<uint32_t>(tables.strings.size()), static_cast<uint32_t>(tables.pairs.size()),
        static_cast<uint32_t>(tables.groups.size()), static_cast<uint32_t>(tables.shapes.size()),
        static_cast<uint32_t>(tables.series.size())};
  }
  const MutexLock flush_lock(impl.flush_mu);
  const IndexCounts& done = impl.flushed;
  std::vector<IndexWrite>& writes = flush.writes;
  WriteBlocks(IndexFamily::kDictionary, DictionaryPrefix(impl.partition, kStringTable),
              kStringsPerBlock, done.strings, flush.counts.strings, writes,
              OneByOne([&](uint32_t i, std::string& out) {
                const std::string_view text = tables.String(i);
                AppendVarint(text.size(), out);
                out += text;
              }));
  WriteBlocks(IndexFamily::kDictionary, DictionaryPrefix(impl.partition, kPairTable),
              kPairsPerBlock, done.pairs, flush.counts.pairs, writes,
              OneByOne([&](uint32_t i, std::string& out) {
                const LabelPair& pair = tables.Pair(i);
                AppendVarint(static_cast<uint32_t>(pair.tenant), out);
                AppendVarint(pair.name, out);
                AppendVarint(pair.value, out);
              }));
  WriteBlocks(IndexFamily::kDictionary, DictionaryPrefix(impl.partition, kGroupTable),
              kGroupsPerBlock, done.groups, flush.counts.groups, writes,
              OneByOne([&](uint32_t i, std::string& out) {
                AppendVarint(static_cast<uint32_t>(tables.groups[i].tenant), out);
                AppendPairList(tables.GroupPairs(GroupId{i}), out);
              }));
  WriteBlocks(IndexFamily::kDictionary, DictionaryPrefix(impl.partition, kShapeTable),
              kShapesPerBlock, done.shapes, flush.counts.shapes, writes,
              OneByOne([&](uint32_t i, std::string& out) {
                const ShapeView shape = tables.Shape(i);
                AppendVarint(shape.name == kNoPair ? 0 : uint64_t{shape.name} + 1, out);
                AppendPairList(shape.own, out);
              }));
  WriteBlocks(IndexFamily::kRegistry, PartitionPrefix(impl.partition), kSeriesPerBlock, done.series,
              flush.counts.series, writes, [&](uint32_t begin, uint32_t end, std::string& out) {
                AppendSeriesBlock(tables, begin, end, out);
              });

  const ReaderLock activity_lock(impl.activity_mu);
  for (const uint16_t day : impl.forgotten_days) {
    flush.days.emplace_back(day, 0);
    if (impl.days.contains(day)) continue;  // marked again: written below
    IndexWrite write{IndexFamily::kActivity, PartitionPrefix(impl.partition), {}};
    AppendBigEndian16(day, write.key);
    writes.push_back(std::move(write));
  }
  for (const auto& [day, activity] : impl.days) {
    if (activity.version == activity.saved) continue;
    // Series inserted after the counts were taken may be in it; Load drops them.
    flush.days.emplace_back(day, activity.version);
    IndexWrite write{IndexFamily::kActivity, PartitionPrefix(impl.partition), {}};
    AppendBigEndian16(day, write.key);
    write.value = BitmapBytes(activity.series);
    writes.push_back(std::move(write));
  }
  return flush;
}

void PartitionIndex::FlushCommitted(const IndexFlush& flush) {
  Impl& impl = *impl_;
  const MutexLock flush_lock(impl.flush_mu);
  impl.flushed = flush.counts;
  const WriterLock lock(impl.activity_mu);
  for (const auto& [day, version] : flush.days) {
    if (version == 0) {
      std::erase(impl.forgotten_days, day);
    } else if (const auto it = impl.days.find(day); it != impl.days.end()) {
      // Versions never repeat, so a day dropped and marked again meanwhile is written again.
      it->second.saved = version;
    }
  }
}

Status PartitionIndex::Load(const IndexSource& source, const IndexCounts& committed) {
  Impl& impl = *impl_;
  Tables& tables = *impl.tables;
  const MutexLock flush_lock(impl.flush_mu);
  const WriterLock lock(impl.mu);
  BASALT_CHECK(tables.series.empty(), "Load wants an empty index");
  impl.strings.reserve(committed.strings);
  impl.pairs.reserve(committed.pairs);
  impl.groups.reserve(committed.groups);
  impl.shapes.reserve(committed.shapes);
  impl.series.reserve(committed.series);

  // The lambdas below run under the locks taken here, which the analysis cannot see.
  uint32_t seen = 0;
  const auto dictionary = [&](char table, uint32_t per_block, uint32_t count, const char* what,
                              const auto& read) {
    return ReadBlocks(source, IndexFamily::kDictionary, DictionaryPrefix(impl.partition, table),
                      per_block, count, what, EachOf(read));
  };
  BASALT_TRY(dictionary(kStringTable, kStringsPerBlock, committed.strings, "dictionary",
                        [&](VarintReader& in) BASALT_NO_THREAD_SAFETY_ANALYSIS {
                          std::string_view text;
                          if (!in.ReadString(text)) return false;
                          if (seen++ < index_internal::kReservedStrings) return text.empty();
                          impl.strings.insert(tables.AddString(text));
                          return true;
                        }));
  BASALT_TRY(dictionary(kPairTable, kPairsPerBlock, committed.pairs, "label pair",
                        [&](VarintReader& in) BASALT_NO_THREAD_SAFETY_ANALYSIS {
                          LabelPair pair;
                          uint32_t tenant = 0;
                          if (!ReadNumber(in, uint64_t{1} << 32, tenant) ||
                              !ReadNumber(in, committed.strings, pair.name) ||
                              !ReadNumber(in, committed.strings, pair.value)) {
                            return false;
                          }
                          pair.tenant = TenantId{tenant};
                          impl.RegisterPair(tables.AddPair(pair));
                          return true;
                        }));
  std::vector<PairId> list;
  BASALT_TRY(dictionary(kGroupTable, kGroupsPerBlock, committed.groups, "group",
                        [&](VarintReader& in) BASALT_NO_THREAD_SAFETY_ANALYSIS {
                          uint32_t tenant = 0;
                          if (!ReadNumber(in, uint64_t{1} << 32, tenant) ||
                              !ReadPairList(in, committed.pairs, list)) {
                            return false;
                          }
                          tables.AddGroup(TenantId{tenant}, list);
                          impl.RegisterGroup();
                          return true;
                        }));
  BASALT_TRY(dictionary(kShapeTable, kShapesPerBlock, committed.shapes, "shape",
                        [&](VarintReader& in) BASALT_NO_THREAD_SAFETY_ANALYSIS {
                          uint32_t name = 0;
                          if (!ReadNumber(in, uint64_t{committed.pairs} + 1, name) ||
                              !ReadPairList(in, committed.pairs, list)) {
                            return false;
                          }
                          tables.AddShape(name == 0 ? kNoPair : name - 1, list);
                          impl.RegisterShape();
                          return true;
                        }));
  std::vector<SeriesId> ids;
  BASALT_TRY(ReadBlocks(source, IndexFamily::kRegistry, PartitionPrefix(impl.partition),
                        kSeriesPerBlock, committed.series, "registry",
                        [&](VarintReader& in, uint32_t n) BASALT_NO_THREAD_SAFETY_ANALYSIS {
                          uint64_t stored = 0;
                          if (!in.Read(stored) || stored < n || stored > kSeriesPerBlock)
                            return false;
                          ids.clear();
                          for (uint64_t i = 0; i < stored; ++i) {
                            std::string_view bytes;
                            if (!in.ReadBytes(16, bytes)) return false;
                            ids.push_back({LoadHash128(std::span<const std::byte, 16>(
                                reinterpret_cast<const std::byte*>(bytes.data()), 16))});
                            // Post looks each of them up: by then their places in the table are at
                            // hand.
                            impl.series.prefetch(ids.back());
                          }
                          int64_t group = 0;
                          int64_t shape = 0;
                          for (uint32_t i = 0; i < n; ++i) {
                            if (!ReadDifference(in, committed.groups, group) ||
                                !ReadDifference(in, committed.shapes, shape)) {
                              return false;
                            }
                            // Postings are not stored: they follow from the entries
                            // (docs/0001-postings.md).
                            const SeriesEntry entry{GroupId{static_cast<uint32_t>(group)},
                                                    static_cast<uint32_t>(shape)};
                            impl.Post(static_cast<uint32_t>(tables.AddSeries(ids[i], entry)));
                          }
                          return true;
                        }));

  const WriterLock activity_lock(impl.activity_mu);
  const std::string prefix = PartitionPrefix(impl.partition);
  Roaring known;
  known.addRange(0, committed.series);
  BASALT_TRY(source.ForEach(
      IndexFamily::kActivity, prefix,
      [&](std::string_view key, std::string_view value) BASALT_NO_THREAD_SAFETY_ANALYSIS -> Status {
        if (key.size() != prefix.size() + 2) {
          return DataLoss("index: activity key of a wrong length");
        }
        const auto day = static_cast<uint16_t>(ReadBigEndian(key.substr(prefix.size())));
        DayActivity& activity = impl.days[day];
        try {
          activity.series = Roaring::readSafe(value.data(), value.size());
        } catch (const std::exception& e) {
          return DataLoss("index: activity of partition " +
                          std::to_string(static_cast<uint16_t>(impl.partition)) + " day " +
                          std::to_string(day) + ": " + e.what());
        }
        activity.series &= known;
        activity.version = activity.saved = ++impl.last_version;
        return OkStatus();
      }));
  impl.flushed = committed;
  return OkStatus();
}

}  // namespace basalt::storage
