// storage/backup/manifest.h -- what a backup consists of, as text. Format: README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/status.h"

namespace basalt::storage {

// Bounds of what a manifest may say, so that a damaged or hostile one is an error and no trouble.
inline constexpr size_t kMaxManifestBytes = 256u << 20;
inline constexpr size_t kMaxBackupPath = 4096;

// A file of the source. `hash` is of its content (content.h) and names its blob.
struct BackupFile {
  std::string path;  // relative to the data directory, no "..", no "//"
  uint64_t bytes = 0;
  Hash128 hash;
  // What the source looked like, so that the next backup need not read it again: time of change,
  // and a hash of its last bytes. An SST ends with what makes it unique.
  int64_t modified_ns = 0;
  uint64_t tail_hash = 0;
  friend bool operator==(const BackupFile&, const BackupFile&) = default;
};

struct BackupManifest {
  std::string name;
  int64_t taken_ms = 0;
  std::string source;
  std::vector<BackupFile> files;  // by path
};

// "<hash, 32 hex digits>-<bytes>"
std::string BlobName(const BackupFile& file);

// One line, newline included; the journal of an unfinished backup consists of these.
void AppendFileLine(const BackupFile& file, std::string& out);
// kDataLoss saying which field does not fit. A path that leaves the directory is refused here.
Result<BackupFile> ParseFileLine(std::string_view line);

std::string EncodeManifest(const BackupManifest& manifest);
// kDataLoss if the checksum at its end, or anything else, does not fit; kFailedPrecondition for a
// later version's.
Result<BackupManifest> DecodeManifest(std::string_view text);

}  // namespace basalt::storage
