#include "tools/import_command.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <thread>
#include <utility>

#include "engine/base/compress.h"
#include "engine/base/status.h"
#include "engine/http/client.h"
#include "engine/ingest/native_format.h"
#include "tools/server_call.h"

namespace basalt::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kPieceBytes = 4u << 20;  // of whole lines; far below the server's ingest.max_body
constexpr std::string_view kNativePath = "/api/v1/import/native";
constexpr int kAttempts = 60;  // of a piece that the server cannot take yet
constexpr auto kRetryAfter = std::chrono::seconds(1);

constexpr uint64_t kShownRefusals = 10;  // pieces whose refused lines are told of

struct Format {
  const char* path = "";
  const char* content_type = "";
};

Result<Format> FormatOf(const std::string& name, const std::string& first_line) {
  if (first_line.find('\0') != std::string::npos)
    return InvalidArgument("line 1: is binary, and no section of 'basalt export' either");
  if (name == "json" || (name.empty() && first_line.starts_with("{\"metric\"")))
    return Format{"/api/v1/import", "application/json"};
  if (name == "openmetrics")
    return Format{"/api/v1/import/prometheus", "application/openmetrics-text"};
  if (name == "prometheus" || name.empty())
    return Format{"/api/v1/import/prometheus", "text/plain"};
  return InvalidArgument("--format: \"" + name +
                         "\" is none of prometheus, openmetrics, json, native");
}

// For a terminal: what a line held that is not text is shown as '?'.
std::string Printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7f) c = '?';
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// One file on its way, piece by piece; every piece is durable before the next one is sent.
class Importer {
 public:
  Importer(http::Client& client, const ImportCommandOptions& options, std::string name)
      : client_(client), options_(options), name_(std::move(name)) {}

  Status Run(std::istream& in, uint64_t from_line) {
    const bool is_native =
        options_.format == "native" || (options_.format.empty() && BeginsLikeNative(in));
    BASALT_TRY(is_native ? RunSections(in, from_line) : RunLines(in, from_line));
    Progress(true);
    return refused_ == 0 ? OkStatus()
                         : InvalidArgument(name_ +
                                           ": some of it was refused, see above; the rest "
                                           "is stored");
  }

 private:
  static bool BeginsLikeNative(std::istream& in) {
    return in.peek() == ingest::kSectionMagic.front();  // no line of the other formats does
  }

  Status RunSections(std::istream& in, uint64_t from_section) {
    format_ = {kNativePath.data(), "application/octet-stream"};
    std::string piece;
    size_t message_bytes = 0;  // what the piece unpacks to
    std::string header(ingest::kSectionHeaderBytes, '\0');
    for (uint64_t number = 1; in.read(header.data(), static_cast<std::streamsize>(header.size()));
         ++number) {
      const auto read = ingest::ReadSectionHeader(header);
      if (!read.ok()) return Broken(number, read.status().message());
      std::string body(read->body_bytes, '\0');
      if (!in.read(body.data(), static_cast<std::streamsize>(body.size())))
        return Broken(number, "cut short");
      lines_ = number;
      bytes_ += header.size() + body.size();
      if (number < from_section) continue;
      if (piece.empty()) first_line_ = number;
      piece += header;
      piece += body;
      message_bytes += read->message_bytes;
      if (message_bytes < kPieceBytes) continue;
      BASALT_TRY(Send(piece));
      piece.clear();
      message_bytes = 0;
    }
    if (in.gcount() != 0) return Broken(lines_ + 1, "cut short");
    BASALT_TRY(CheckBeginning(from_section, lines_));
    return piece.empty() ? OkStatus() : Send(piece);
  }
  [[nodiscard]] Status CheckBeginning(uint64_t from, uint64_t count) const {
    if (from <= count + 1) return OkStatus();
    return InvalidArgument(name_ + ": --from-line " + std::to_string(from) +
                           " is past its end: it has " + std::to_string(count));
  }
  [[nodiscard]] Status Broken(uint64_t section, std::string_view why) const {
    return InvalidArgument(name_ + ": section " + std::to_string(section) + ": " +
                           std::string(why));
  }

  Status RunLines(std::istream& in, uint64_t from_line) {
    std::string line;
    uint64_t number = 0;
    std::string piece;
    while (std::getline(in, line)) {
      ++number;
      if (number == 1) {
        auto format = FormatOf(options_.format, line);
        if (!format.ok()) return format.status().WithContext(name_);
        format_ = *format;
      }
      if (number < from_line) continue;
      if (piece.empty()) first_line_ = number;
      piece += line;
      piece += '\n';
      lines_ = number;
      bytes_ += line.size() + 1;
      if (piece.size() >= kPieceBytes) {
        BASALT_TRY(Send(piece));
        piece.clear();
      }
    }
    if (in.bad()) return Unavailable(name_ + ": cannot be read");
    BASALT_TRY(CheckBeginning(from_line, number));
    return piece.empty() ? OkStatus() : Send(piece);
  }

  Status Send(const std::string& piece) {
    std::string body;
    BASALT_TRY(Compress(ContentCoding::kZstd, piece, body));
    Status last;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(kRetryAfter);
      const auto response = client_.Send("POST", format_.path,
                                         {{"Content-Type", format_.content_type},
                                          {"Content-Encoding", "zstd"},
                                          {"X-Basalt-First-Line", std::to_string(first_line_)}},
                                         body);
      if (!response.ok()) {
        last = response.status().WithContext("is 'basalt serve' running? (--url says where)");
        if (attempt == 0) TellOfWaiting(last);
        continue;
      }
      if (response->status == 503 || response->status == 429) {
        last = Unavailable(RefusalText(response->status, response->body));
        if (attempt == 0) TellOfWaiting(last);
        continue;
      }
      if (response->status == 400) {  // all but what the message names is stored
        TellOfRefusal(response->body);
      } else if (response->status / 100 != 2) {
        last = InvalidArgument(RefusalText(response->status, response->body));
        break;
      }
      const std::string_view too_old = response->headers.Get("X-Basalt-Samples-Too-Old");
      uint64_t samples = 0;
      std::from_chars(too_old.data(), too_old.data() + too_old.size(), samples);
      too_old_ += samples;
      Progress(false);
      return OkStatus();
    }
    return last.WithContext(name_ + ": stored up to number " + std::to_string(first_line_ - 1) +
                            "; go on with --from-line " + std::to_string(first_line_));
  }

  void TellOfWaiting(const Status& why) const {
    std::fprintf(stderr, "%s%s: %s; trying again for a minute\n", LineEnd(), name_.c_str(),
                 std::string(why.message()).c_str());
  }
  void TellOfRefusal(const std::string& why) {
    ++refused_;
    if (refused_ <= kShownRefusals)
      std::fprintf(stderr, "%s%s: %s\n", LineEnd(), name_.c_str(), Printable(why).c_str());
    if (refused_ == kShownRefusals)
      std::fprintf(stderr, "%s: further refusals are not shown\n", name_.c_str());
  }
  // Ends the progress line, if one stands there.
  [[nodiscard]] const char* LineEnd() const {
    return shown_ != begun_ && ::isatty(STDERR_FILENO) != 0 ? "\n" : "";
  }

  // At most once a second, on one line of a terminal.
  void Progress(bool done) {
    const auto now = SteadyClock::now();
    if (!done && now - shown_ < std::chrono::seconds(1)) return;
    shown_ = now;
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    if (!done && !terminal) return;
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    std::fprintf(stderr, "%s%s: %llu %s, %.1f MB, %.1f MB/s%s", terminal ? "\r" : "", name_.c_str(),
                 static_cast<unsigned long long>(lines_),
                 std::string_view(format_.path) == kNativePath ? "sections" : "lines",
                 static_cast<double>(bytes_) / 1e6,
                 static_cast<double>(bytes_) / 1e6 / (seconds > 0 ? seconds : 1), done ? "\n" : "");
    if (done && too_old_ > 0) {
      std::fprintf(stderr,
                   "%s: %llu samples were left out: older than what the server's retention keeps\n",
                   name_.c_str(), static_cast<unsigned long long>(too_old_));
    }
    std::fflush(stderr);
  }

  http::Client& client_;
  const ImportCommandOptions& options_;
  const std::string name_;
  Format format_{};
  uint64_t first_line_ = 1;  // of the piece
  uint64_t lines_ = 0;
  uint64_t bytes_ = 0;
  uint64_t refused_ = 0;
  uint64_t too_old_ = 0;  // samples
  const SteadyClock::time_point begun_ = SteadyClock::now();
  SteadyClock::time_point shown_ = begun_;
};

Status Import(const ImportCommandOptions& options) {
  BASALT_TRY_ASSIGN(http::Url url, http::ParseUrl(options.url));
  http::Client client(std::move(url), {.timeout = std::chrono::minutes(2)});
  Status worst;
  for (size_t i = 0; i < options.files.size(); ++i) {
    const std::string& name = options.files[i];
    const uint64_t from_line = i == 0 ? options.from_line : 1;
    Status status;
    if (name == "-") {
      status = Importer(client, options, "stdin").Run(std::cin, from_line);
    } else {
      std::ifstream file(name, std::ios::binary);
      status = file ? Importer(client, options, name).Run(file, from_line)
                    : NotFound(name + ": cannot be opened");
    }
    if (status.code() == StatusCode::kInvalidArgument && worst.ok()) worst = status;
    // Refused lines do not stop the rest; a server that is not there does.
    if (!status.ok() && status.code() != StatusCode::kInvalidArgument) return status;
  }
  return worst;
}

}  // namespace

int RunImport(const ImportCommandOptions& options) {
  const Status status = Import(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "basalt import: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace basalt::cli
