#include "storage/backup/content.h"

#include <algorithm>
#include <array>
#include <span>

namespace basalt::storage {
namespace {

// Deep enough for any data directory; a loop of links ends here.
constexpr size_t kMaxDepth = 16;

Status ListInto(Files& files, const std::string& root, const std::string& below, size_t depth,
                const std::function<bool(const std::string&)>& skip,
                std::vector<std::string>& out) {
  if (depth > kMaxDepth) return FailedPrecondition(root + "/" + below + ": nested too deeply");
  BASALT_TRY_ASSIGN(const auto names, files.List(below.empty() ? root : root + "/" + below));
  for (const std::string& name : names) {
    const std::string path = below.empty() ? name : below + "/" + name;
    if (skip(path)) continue;
    const auto info = files.Stat(root + "/" + path);
    // Files come and go beside us where nobody is kept out; what has gone is not part of it.
    if (info.status().code() == StatusCode::kNotFound) continue;
    BASALT_TRY(info.status());
    if (info->is_directory) {
      BASALT_TRY(ListInto(files, root, path, depth + 1, skip, out));
    } else {
      out.push_back(path);
    }
  }
  return OkStatus();
}

}  // namespace

void ContentHash::Add(std::string_view piece) {
  std::array<std::byte, 16> bytes;
  StoreBigEndian(HashBytes128(piece), bytes);
  pieces_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<Content> ReadContent(const File& from, File* to, const PieceRead& on_piece) {
  Content content;
  ContentHash hash;
  std::string piece;
  while (true) {
    piece.resize(kPieceBytes);
    BASALT_TRY_ASSIGN(const size_t got,
                      from.Read(content.bytes, std::as_writable_bytes(std::span(piece))));
    piece.resize(got);
    if (got == 0) break;
    hash.Add(piece);
    if (to != nullptr) {
      BASALT_TRY(to->Write(content.bytes, std::as_bytes(std::span(piece.data(), piece.size()))));
    }
    content.bytes += got;
    if (on_piece) BASALT_TRY(on_piece(got));
    if (got < kPieceBytes) break;
  }
  content.hash = hash.Finish();
  return content;
}

Result<uint64_t> TailHash(const File& file, uint64_t bytes) {
  std::string tail(std::min<uint64_t>(bytes, kTailBytes), '\0');
  BASALT_TRY_ASSIGN(const size_t got,
                    file.Read(bytes - tail.size(), std::as_writable_bytes(std::span(tail))));
  tail.resize(got);
  return HashBytes64(tail);
}

Result<std::vector<std::string>> ListTree(Files& files, const std::string& root,
                                          const std::function<bool(const std::string&)>& skip) {
  std::vector<std::string> out;
  BASALT_TRY(ListInto(files, root, "", 0, skip, out));
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace basalt::storage
