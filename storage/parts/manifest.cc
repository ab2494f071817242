#include "storage/parts/manifest.h"

#include "engine/base/varint.h"
#include "storage/parts/meta_keys.h"
#include "storage/parts/run_format.h"
#include "storage/parts/stored_run.h"

namespace basalt::storage {
namespace {

std::string NumberedKey(std::string_view prefix, uint64_t number, size_t bytes) {
  std::string key(prefix);
  AppendBigEndian(number, bytes, key);
  return key;
}

std::string WriterKey(const Hash128& writer) {
  std::string key(kWriterPrefix);
  AppendBigEndian(writer.high, 8, key);
  AppendBigEndian(writer.low, 8, key);
  return key;
}

std::string EncodeCounts(const IndexCounts& counts) {
  std::string out;
  for (const uint32_t n :
       {counts.strings, counts.pairs, counts.groups, counts.shapes, counts.series}) {
    AppendVarint(n, out);
  }
  return out;
}

Result<IndexCounts> DecodeCounts(std::string_view bytes) {
  VarintReader in(bytes);
  IndexCounts counts;
  for (uint32_t* const n :
       {&counts.strings, &counts.pairs, &counts.groups, &counts.shapes, &counts.series}) {
    uint64_t v = 0;
    if (!in.Read(v) || v > UINT32_MAX) return DataLoss("meta: index counts do not parse");
    *n = static_cast<uint32_t>(v);
  }
  return counts;
}

// One line each; the key comes without its prefix.

Status ReadRun(std::string_view key, std::string_view value, Manifest& manifest) {
  uint64_t number = 0;
  if (!ReadBigEndian(key, 4, number)) return DataLoss("meta: run key does not parse");
  BASALT_TRY_ASSIGN(const RunInfo info, DecodeRunInfo(static_cast<uint32_t>(number), value));
  manifest.runs.push_back(info);
  return OkStatus();
}

Status ReadReplayFrom(std::string_view key, std::string_view value, Manifest& manifest) {
  uint64_t lane = 0;
  uint64_t seq = 0;
  if (!ReadBigEndian(key, 2, lane) || !ReadBigEndian(value, 8, seq)) {
    return DataLoss("meta: replay position does not parse");
  }
  manifest.replay_from[static_cast<uint16_t>(lane)] = {static_cast<uint16_t>(lane), seq};
  return OkStatus();
}

Status ReadCounts(std::string_view key, std::string_view value, Manifest& manifest) {
  uint64_t partition = 0;
  if (!ReadBigEndian(key, 2, partition)) return DataLoss("meta: index counts key does not parse");
  BASALT_TRY_ASSIGN(manifest.counts[static_cast<PartitionId>(partition)], DecodeCounts(value));
  return OkStatus();
}

}  // namespace

Result<Manifest> ReadManifest(const Database& database) {
  Manifest manifest;
  for (const auto& [prefix, read] :
       {std::pair{kRunPrefix, &ReadRun}, std::pair{kReplayPrefix, &ReadReplayFrom},
        std::pair{kCountsPrefix, &ReadCounts}}) {
    BASALT_TRY(database.ForEach(Family::kMeta, prefix,
                                [&](std::string_view key, std::string_view value) -> Status {
                                  return read(key.substr(prefix.size()), value, manifest);
                                }));
  }
  BASALT_TRY(database.ForEach(Family::kMeta, kQuarantinePrefix,
                              [&](std::string_view key, std::string_view value) -> Status {
                                QuarantinedBlock& block = manifest.quarantined.emplace_back();
                                block.key = key;
                                block.reason = value;
                                if (!ParseQuarantineKey(key, block.run, block.block)) {
                                  return DataLoss("meta: quarantine key does not parse");
                                }
                                return OkStatus();
                              }));
  const Result<std::string> stored = database.Get(Family::kMeta, kNextRunKey);
  if (!stored.ok() && stored.status().code() != StatusCode::kNotFound) return stored.status();
  uint64_t next = 1;
  if (stored.ok() && !ReadBigEndian(*stored, 4, next)) {
    return DataLoss("meta: next run number does not parse");
  }
  manifest.next_run = static_cast<uint32_t>(next);
  return manifest;
}

Result<std::vector<std::pair<Hash128, uint64_t>>> ReadWriters(const Database& database) {
  std::vector<std::pair<Hash128, uint64_t>> out;
  BASALT_TRY(database.ForEach(
      Family::kMeta, kWriterPrefix, [&](std::string_view key, std::string_view value) -> Status {
        Hash128 writer;
        uint64_t seq = 0;
        key.remove_prefix(kWriterPrefix.size());
        if (key.size() != 16 || !ReadBigEndian(key.substr(0, 8), 8, writer.high) ||
            !ReadBigEndian(key.substr(8), 8, writer.low) || !ReadBigEndian(value, 8, seq)) {
          return DataLoss("meta: writer sequence does not parse");
        }
        out.emplace_back(writer, seq);
        return OkStatus();
      }));
  return out;
}

void PutRun(const RunInfo& info, WriteBatch& batch) {
  batch.Put(Family::kMeta, NumberedKey(kRunPrefix, info.number, 4), EncodeRunInfo(info));
}

WriteBatch CommitRecord(RunCommit& commit, std::span<const std::string> unneeded,
                        uint32_t next_run) {
  WriteBatch batch = std::move(commit.extra);
  for (const FinishedRun& run : commit.added) PutRun(run.info(), batch);
  for (const uint32_t number : commit.dropped) {
    batch.Delete(Family::kMeta, NumberedKey(kRunPrefix, number, 4));
  }
  for (const std::string& key : unneeded) batch.Delete(Family::kMeta, key);
  for (const LogPosition& position : commit.replay_from) {
    batch.Put(Family::kMeta, NumberedKey(kReplayPrefix, position.lane, 2),
              NumberedKey({}, position.seq, 8));
  }
  for (const IndexFlush& flush : commit.index) {
    batch.Put(Family::kMeta, NumberedKey(kCountsPrefix, static_cast<uint16_t>(flush.partition), 2),
              EncodeCounts(flush.counts));
  }
  for (const auto& [writer, seq] : commit.writers) {
    if (seq == 0) {
      batch.Delete(Family::kMeta, WriterKey(writer));
    } else {
      batch.Put(Family::kMeta, WriterKey(writer), NumberedKey({}, seq, 8));
    }
  }
  batch.Put(Family::kMeta, kNextRunKey, BigEndian32(next_run));
  return batch;
}

}  // namespace basalt::storage
