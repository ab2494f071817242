#include "tools/export_command.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>
#include <utility>

#include "engine/base/status.h"
#include "engine/http/client.h"
#include "engine/http/url.h"
#include "tools/server_call.h"

namespace basalt::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kAttempts = 60;  // of a page that the server cannot give yet
constexpr auto kRetryAfter = std::chrono::seconds(1);

// How far an export has come; the text of <output>.resume.
struct Progress {
  std::string cursor;
  std::string query;   // what is asked for: another command must not go on here
  uint64_t bytes = 0;  // of the file
  uint64_t series = 0;
  uint64_t samples = 0;
};

Status Save(const Progress& progress, const std::string& path) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream out(temporary, std::ios::trunc);
    out << "basalt-export " << progress.bytes << ' ' << progress.series << ' ' << progress.samples
        << ' ' << progress.cursor << '\n'
        << progress.query << '\n';
    if (!out.flush()) return Unavailable(temporary + ": cannot be written");
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  return error ? Unavailable(path + ": " + error.message()) : OkStatus();
}

Result<Progress> Load(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  Progress progress;
  if (in >> word >> progress.bytes >> progress.series >> progress.samples >> progress.cursor >>
          progress.query &&
      word == "basalt-export") {
    return progress;
  }
  return InvalidArgument(path + ": is not what basalt export writes; remove it to begin anew");
}

uint64_t NumberIn(const http::Headers& headers, std::string_view name) {
  uint64_t number = 0;
  const std::string_view text = headers.Get(name);
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class ExportRun {
 public:
  explicit ExportRun(const ExportCommandOptions& options) : options_(options) {}

  Status Run() {
    const std::string query = QueryString();
    progress_.query = query;
    BASALT_TRY_ASSIGN(http::Url url, http::ParseUrl(options_.url));
    http::Client client(std::move(url), {.timeout = std::chrono::minutes(5)});
    BASALT_TRY(OpenOutput());
    for (;;) {
      const std::string cursor =
          progress_.cursor.empty() ? "" : "&cursor=" + http::EncodeComponent(progress_.cursor);
      BASALT_TRY_ASSIGN(const http::ClientResponse page, Fetch(client, query + cursor));
      std::ostream& out = ToFile() ? static_cast<std::ostream&>(file_) : std::cout;
      if (!out.write(page.body.data(), static_cast<std::streamsize>(page.body.size())) ||
          !out.flush()) {
        return Unavailable(options_.output + ": cannot be written");
      }
      progress_.bytes += page.body.size();
      progress_.series += NumberIn(page.headers, "X-Basalt-Series");
      progress_.samples += NumberIn(page.headers, "X-Basalt-Samples");
      progress_.cursor = page.headers.Get("X-Basalt-Next-Cursor");
      Show(progress_.cursor.empty());
      if (progress_.cursor.empty()) break;
      if (ToFile()) BASALT_TRY(Save(progress_, ResumePath()));
    }
    std::error_code ignored;  // it may never have been needed
    if (ToFile()) std::filesystem::remove(ResumePath(), ignored);
    return OkStatus();
  }

 private:
  [[nodiscard]] bool ToFile() const { return options_.output != "-"; }
  [[nodiscard]] std::string ResumePath() const { return options_.output + ".resume"; }

  [[nodiscard]] std::string QueryString() const {
    std::string query = "format=" + http::EncodeComponent(options_.format);
    for (const std::string& selector : options_.selectors)
      query += "&match[]=" + http::EncodeComponent(selector);
    if (!options_.start.empty()) query += "&start=" + http::EncodeComponent(options_.start);
    if (!options_.end.empty()) query += "&end=" + http::EncodeComponent(options_.end);
    return query;
  }

  // A new file, or an interrupted one cut back to what its .resume tells.
  Status OpenOutput() {
    if (!ToFile()) return OkStatus();
    std::error_code error;
    const bool resumes = std::filesystem::exists(ResumePath(), error);
    if (!resumes && std::filesystem::exists(options_.output, error))
      return InvalidArgument("-o " + options_.output + ": is there already; name another file");
    if (resumes) {
      BASALT_TRY_ASSIGN(const Progress before, Load(ResumePath()));
      if (before.query != progress_.query) {
        return InvalidArgument(ResumePath() +
                               ": another export was interrupted here; repeat its command, or "
                               "remove both files");
      }
      progress_ = before;
      std::filesystem::resize_file(options_.output, before.bytes, error);
      if (error) return Unavailable(options_.output + ": " + error.message());
      std::fprintf(stderr, "%s: going on after %llu series\n", options_.output.c_str(),
                   static_cast<unsigned long long>(progress_.series));
    }
    file_.open(options_.output, std::ios::binary | (resumes ? std::ios::app : std::ios::trunc));
    return file_ ? OkStatus()
                 : InvalidArgument("-o " + options_.output + ": " + std::strerror(errno));
  }

  Result<http::ClientResponse> Fetch(http::Client& client, const std::string& query) {
    Status last;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(kRetryAfter);
      auto response = client.Get("/api/v1/export?" + query +
                                 "&max_bytes=" + std::to_string(options_.page_bytes));
      if (response.ok() && response->status == 200) return response;
      if (response.ok() && response->status != 503 && response->status != 429) {
        return InvalidArgument(RefusalText(response->status, response->body));
      }
      last = response.ok()
                 ? Unavailable(RefusalText(response->status, response->body))
                 : response.status().WithContext("is 'basalt serve' running? (--url says where)");
      if (attempt == 0) {
        std::fprintf(stderr, "basalt export: %s; trying again for a minute\n",
                     std::string(last.message()).c_str());
      }
    }
    return last;
  }

  // At most once a second, on one line of a terminal.
  void Show(bool done) {
    const auto now = SteadyClock::now();
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    if (!done && (!terminal || now - shown_ < std::chrono::seconds(1))) return;
    shown_ = now;
    std::fprintf(stderr, "%s%s: %llu series, %llu samples, %.1f MB%s", terminal ? "\r" : "",
                 ToFile() ? options_.output.c_str() : "stdout",
                 static_cast<unsigned long long>(progress_.series),
                 static_cast<unsigned long long>(progress_.samples),
                 static_cast<double>(progress_.bytes) / 1e6, done ? "\n" : "");
    std::fflush(stderr);
  }

  const ExportCommandOptions& options_;
  Progress progress_;
  std::ofstream file_;
  SteadyClock::time_point shown_{};
};

}  // namespace

int RunExport(const ExportCommandOptions& options) {
  const Status status = ExportRun(options).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "basalt export: %s\n", std::string(status.message()).c_str());
  if (options.output != "-" && status.code() == StatusCode::kUnavailable)
    std::fprintf(stderr, "the same command goes on from here\n");
  return 1;
}

}  // namespace basalt::cli
