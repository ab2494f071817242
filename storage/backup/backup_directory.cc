#include "storage/backup/backup_directory.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <span>
#include <utility>

#include "storage/backup.h"

namespace basalt::storage {
namespace {

constexpr std::string_view kFormatText = "basalt-backup-directory 1\n";
constexpr std::string_view kSuffix = ".manifest";
constexpr std::string_view kTemporary = ".part";

std::span<const std::byte> Raw(std::string_view bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

// Of a name that may come from the command line.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

Result<std::string> ReadSmallFile(Files& files, const std::string& path) {
  BASALT_TRY_ASSIGN(const auto file, files.Open(path, OpenMode::kRead));
  BASALT_TRY_ASSIGN(const uint64_t bytes, file->Size());
  if (bytes > kMaxManifestBytes) return DataLoss(path + ": too large");
  std::string text(bytes, '\0');
  BASALT_TRY_ASSIGN(const size_t got, file->Read(0, std::as_writable_bytes(std::span(text))));
  text.resize(got);
  return text;
}

Result<BackupDirectory> BackupDirectory::Open(Files& files, std::string path) {
  const auto names = files.List(path);
  if (names.status().code() == StatusCode::kNotFound) {
    return NotFound(path + ": there is no such directory; name one that 'basalt backup --to' made");
  }
  BASALT_TRY(names.status());
  const auto format = ReadSmallFile(files, path + "/" + std::string(kBackupMarker));
  if (!format.ok() && format.status().code() != StatusCode::kNotFound) return format.status();
  if (!format.ok()) {
    return FailedPrecondition(path + ": is not a backup directory (it has no file " +
                              std::string(kBackupMarker) + ")");
  }
  if (*format != kFormatText) {
    return FailedPrecondition(path + "/" + std::string(kBackupMarker) +
                              ": written by another version of Basalt");
  }
  return BackupDirectory(files, std::move(path));
}

Result<BackupDirectory> BackupDirectory::OpenForWriting(Files& files, std::string path) {
  BASALT_TRY(files.CreateDirectories(path));
  BASALT_TRY_ASSIGN(std::vector<std::string> names, files.List(path));
  std::erase_if(names, [](const std::string& name) {
    return name == "lost+found" || name == "LOCK" ||
           name == std::string(kBackupMarker) + std::string(kTemporary);
  });
  BackupDirectory directory(files, path);
  if (names.empty()) {
    BASALT_TRY(directory.WriteDurably(path, std::string(kBackupMarker), kFormatText));
  } else {
    auto opened = Open(files, path);
    if (opened.status().code() == StatusCode::kFailedPrecondition) {
      return FailedPrecondition(std::string(opened.status().message()) +
                                "; backups go into a directory of their own: name an empty one");
    }
    BASALT_TRY(opened.status());
  }
  auto lock = files.Lock(path + "/LOCK");
  if (lock.status().code() == StatusCode::kFailedPrecondition) {
    return FailedPrecondition(path + ": another backup or prune is under way there");
  }
  BASALT_TRY(lock.status());
  directory.lock_ = *std::move(lock);
  BASALT_TRY(files.CreateDirectories(path + "/blobs"));
  BASALT_TRY(files.CreateDirectories(path + "/backups"));
  BASALT_TRY_ASSIGN(const auto blobs, files.List(path + "/blobs"));
  for (const std::string& name : blobs) {
    const size_t dash = name.find('-');
    if (dash != std::string::npos) {
      directory.sizes_.insert(std::strtoull(name.c_str() + dash + 1, nullptr, 10));
    }
  }
  return directory;
}

std::string BackupDirectory::ManifestPath(const std::string& name) const {
  return path_ + "/backups/" + name + std::string(kSuffix);
}

Result<std::vector<std::string>> BackupDirectory::Names() const {
  const auto found = files_->List(path_ + "/backups");
  if (found.status().code() == StatusCode::kNotFound) return std::vector<std::string>{};
  BASALT_TRY(found.status());
  std::vector<std::string> names;
  for (const std::string& name : *found) {
    if (name.ends_with(kSuffix)) names.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
  return names;
}

Result<BackupManifest> BackupDirectory::Load(const std::string& name) const {
  if (!IsName(name)) return InvalidArgument("backup name \"" + name + "\" is not possible");
  const std::string path = ManifestPath(name);
  const auto text = ReadSmallFile(*files_, path);
  if (text.status().code() == StatusCode::kNotFound) {
    std::string known;
    BASALT_TRY_ASSIGN(const auto names, Names());
    for (const std::string& n : names) known += (known.empty() ? "" : ", ") + n;
    return NotFound(path_ + " has no backup \"" + name + "\"; it has " +
                    (known.empty() ? "none" : known));
  }
  BASALT_TRY(text.status());
  Result<BackupManifest> manifest = DecodeManifest(*text);
  if (!manifest.ok()) return manifest.status().WithContext(path);
  if (manifest->name != name) return DataLoss(path + ": calls itself \"" + manifest->name + "\"");
  return manifest;
}

Result<std::vector<BackupManifest>> BackupDirectory::LoadAll(
    std::vector<std::string>& damaged) const {
  std::vector<BackupManifest> out;
  BASALT_TRY_ASSIGN(const auto names, Names());
  for (const std::string& name : names) {
    Result<BackupManifest> manifest = Load(name);
    if (manifest.ok()) {
      out.push_back(*std::move(manifest));
    } else {
      damaged.emplace_back(manifest.status().message());
    }
  }
  return out;
}

bool BackupDirectory::HasBlob(const BackupFile& file) const {
  const auto info = files_->Stat(BlobPath(file));
  return info.ok() && !info->is_directory && info->bytes == file.bytes;
}

Status BackupDirectory::PutBlob(const File& source, BackupFile& file, bool& copied,
                                const PieceRead& on_piece) {
  copied = false;
  PieceRead on_copied = on_piece;
  BASALT_TRY_ASSIGN(const uint64_t size, source.Size());
  if (sizes_.contains(size)) {
    // Perhaps it is here already: reading it twice costs less than writing it for nothing.
    BASALT_TRY_ASSIGN(const Content content, ReadContent(source, nullptr, on_piece));
    file.hash = content.hash;
    file.bytes = content.bytes;
    if (HasBlob(file)) return OkStatus();
    if (on_piece) on_copied = [&](size_t) { return on_piece(0); };
  }
  const std::string temporary = path_ + "/blobs/copy" + std::string(kTemporary);
  BASALT_TRY_ASSIGN(auto to, files_->Open(temporary, OpenMode::kCreate));
  BASALT_TRY_ASSIGN(const Content content, ReadContent(source, to.get(), on_copied));
  file.hash = content.hash;
  file.bytes = content.bytes;
  // A blob's name stands for its bytes, so they are on the disk first.
  BASALT_TRY(to->SyncData());
  to.reset();
  BASALT_TRY(files_->Rename(temporary, BlobPath(file)));
  BASALT_TRY(files_->SyncDirectory(path_ + "/blobs"));
  sizes_.insert(file.bytes);
  copied = true;
  return OkStatus();
}

std::vector<BackupFile> BackupDirectory::Journal() const {
  std::vector<BackupFile> out;
  const auto text = ReadSmallFile(*files_, JournalPath());
  if (!text.ok()) return out;
  // A kill may have torn its last line; whatever does not parse is read from the source again.
  size_t at = 0;
  for (size_t end = text->find('\n'); end != std::string::npos; end = text->find('\n', at)) {
    if (auto file = ParseFileLine(std::string_view(*text).substr(at, end - at)); file.ok()) {
      out.push_back(*std::move(file));
    }
    at = end + 1;
  }
  return out;
}

Status BackupDirectory::AppendJournal(const BackupFile& file) {
  if (journal_ == nullptr) {
    BASALT_TRY_ASSIGN(journal_, files_->Open(JournalPath(), OpenMode::kCreate));
  }
  // Not synced: after a power cut files are read once more, and that is all.
  std::string line;
  AppendFileLine(file, line);
  BASALT_TRY(journal_->Write(journal_bytes_, Raw(line)));
  journal_bytes_ += line.size();
  return OkStatus();
}

Status BackupDirectory::WriteDurably(const std::string& directory, const std::string& name,
                                     std::string_view text) {
  const std::string path = directory + "/" + name;
  const std::string temporary = path + std::string(kTemporary);
  {
    BASALT_TRY_ASSIGN(const auto file, files_->Open(temporary, OpenMode::kCreate));
    BASALT_TRY(file->Write(0, Raw(text)));
    BASALT_TRY(file->SyncData());
  }
  BASALT_TRY(files_->Rename(temporary, path));
  return files_->SyncDirectory(directory);
}

Status BackupDirectory::Commit(const BackupManifest& manifest) {
  BASALT_TRY(WriteDurably(path_ + "/backups", manifest.name + std::string(kSuffix),
                          EncodeManifest(manifest)));
  journal_.reset();
  journal_bytes_ = 0;
  const Status removed = files_->Unlink(JournalPath());
  return removed.code() == StatusCode::kNotFound ? OkStatus() : removed;
}

Status BackupDirectory::RemoveManifest(const std::string& name) {
  BASALT_TRY(files_->Unlink(ManifestPath(name)));
  // Before any blob goes: a manifest that came back after a power cut would miss its blobs.
  return files_->SyncDirectory(path_ + "/backups");
}

Result<uint64_t> BackupDirectory::CollectBlobs(const std::vector<BackupManifest>& kept,
                                               bool dry_run) {
  std::set<std::string> needed;
  for (const BackupManifest& manifest : kept) {
    for (const BackupFile& file : manifest.files) needed.insert(BlobName(file));
  }
  for (const BackupFile& file : Journal()) needed.insert(BlobName(file));
  uint64_t freed = 0;
  BASALT_TRY_ASSIGN(const auto names, files_->List(path_ + "/blobs"));
  for (const std::string& name : names) {
    if (needed.contains(name)) continue;
    const std::string path = path_ + "/blobs/" + name;
    BASALT_TRY_ASSIGN(const FileInfo info, files_->Stat(path));
    freed += info.bytes;
    if (!dry_run) BASALT_TRY(files_->Unlink(path));
  }
  if (!dry_run) BASALT_TRY(files_->SyncDirectory(path_ + "/blobs"));
  return freed;
}

}  // namespace basalt::storage
