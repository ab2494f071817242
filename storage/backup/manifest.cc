#include "storage/backup/manifest.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <span>

namespace basalt::storage {
namespace {

constexpr std::string_view kMagic = "basalt-backup 1";
constexpr std::string_view kMagicName = "basalt-backup ";

std::string Hex(uint64_t v, int digits) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%0*llx", digits, static_cast<unsigned long long>(v));
  return text.data();
}

template <typename T>
bool ParseNumber(std::string_view text, T& out, int base = 10) {
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && at == text.data() + text.size() && !text.empty();
}

// The part before the next space, taken off `rest`.
std::string_view TakeWord(std::string_view& rest) {
  const size_t space = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return word;
}

// Of a manifest that somebody may have written: nothing outside of the data directory.
bool StaysInside(std::string_view path) {
  if (path.empty() || path.size() > kMaxBackupPath || path.find('\n') != std::string_view::npos ||
      path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash + 1 == path.size()) return false;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return true;
}

std::string Checksum(std::string_view text) {
  return Hex(Crc32c(std::as_bytes(std::span(text.data(), text.size()))), 8);
}

// The lines of a text, one at a time.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  // False at the end, and for a last line that is not ended.
  bool Next(std::string_view& line) {
    const size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) return false;
    line = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }
  [[nodiscard]] size_t at() const { return at_; }

 private:
  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string BlobName(const BackupFile& file) {
  return Hex(file.hash.high, 16) + Hex(file.hash.low, 16) + "-" + std::to_string(file.bytes);
}

void AppendFileLine(const BackupFile& file, std::string& out) {
  out += "file " + Hex(file.hash.high, 16) + Hex(file.hash.low, 16) + " " +
         std::to_string(file.bytes) + " " + std::to_string(file.modified_ns) + " " +
         Hex(file.tail_hash, 16) + " " + file.path + "\n";
}

Result<BackupFile> ParseFileLine(std::string_view line) {
  BackupFile file;
  if (TakeWord(line) != "file") return DataLoss("not a file's line");
  const std::string_view hash = TakeWord(line);
  if (hash.size() != 32 || !ParseNumber(hash.substr(0, 16), file.hash.high, 16) ||
      !ParseNumber(hash.substr(16), file.hash.low, 16)) {
    return DataLoss("a file's hash does not parse");
  }
  if (!ParseNumber(TakeWord(line), file.bytes)) return DataLoss("a file's size does not parse");
  if (!ParseNumber(TakeWord(line), file.modified_ns))
    return DataLoss("a file's time does not parse");
  if (!ParseNumber(TakeWord(line), file.tail_hash, 16))
    return DataLoss("the hash of a file's end does not parse");
  file.path = line;
  if (!StaysInside(file.path)) return DataLoss("path \"" + file.path + "\" is not allowed");
  return file;
}

std::string EncodeManifest(const BackupManifest& manifest) {
  std::string out(kMagic);
  out += "\nname " + manifest.name + "\ntaken_ms " + std::to_string(manifest.taken_ms) +
         "\nsource " + manifest.source + "\nfiles " + std::to_string(manifest.files.size()) + "\n";
  for (const BackupFile& file : manifest.files) AppendFileLine(file, out);
  out += "end " + Checksum(out) + "\n";
  return out;
}

Result<BackupManifest> DecodeManifest(std::string_view text) {
  Lines lines(text);
  std::string_view line;
  if (!lines.Next(line) || !line.starts_with(kMagicName)) return DataLoss("not a manifest");
  if (line != kMagic) {
    return FailedPrecondition("\"" + std::string(line) + "\" needs a later version of Basalt");
  }
  // The checksum first: after it, a misfit is a bug and no bad disk.
  const size_t end = text.rfind("end ");
  if (end == std::string_view::npos || end == 0 || text[end - 1] != '\n' ||
      text.substr(end) != "end " + Checksum(text.substr(0, end)) + "\n") {
    return DataLoss("wrong checksum");
  }
  BackupManifest manifest;
  const auto value = [&](std::string_view key, std::string_view& out) {
    if (!lines.Next(line) || TakeWord(line) != key) return false;
    out = line;
    return true;
  };
  std::string_view name;
  std::string_view taken;
  std::string_view source;
  std::string_view count_text;
  size_t count = 0;
  if (!value("name", name) || !value("taken_ms", taken) || !ParseNumber(taken, manifest.taken_ms) ||
      !value("source", source) || !value("files", count_text) || !ParseNumber(count_text, count)) {
    return DataLoss("its head does not parse");
  }
  manifest.name = name;
  manifest.source = source;
  while (lines.at() < end) {
    if (!lines.Next(line)) return DataLoss("a line does not end");
    BASALT_TRY_ASSIGN(BackupFile file, ParseFileLine(line));
    manifest.files.push_back(std::move(file));
  }
  if (manifest.files.size() != count) return DataLoss("the number of files differs");
  return manifest;
}

}  // namespace basalt::storage
